// Rows as the loops want them: y for the sums, z in the frame of the components.
#include "shortlist_parts.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

// y of one row, from the column `first` on.
template <class Number>
inline void read(const Components& c, const Rows& from, const Number* x, std::int64_t first, double* y) {
    for (std::int64_t j = first; j < c.d; ++j)
        y[j] = (static_cast<double>(x[j * from.column_stride]) - c.origin[j]) * c.inverse_scale[j] - c.centre[j];
}

inline void frame(const Components& c, const double* y, double* z) {
    if (c.diagonal) {
        for (std::int64_t j = 0; j < c.width; j += W) store(z + j, load(y + j) * load(c.diagonal + j));
        return;
    }
    for (std::int64_t i = 0; i < c.width; i += W) {
        vec sum{};
        for (std::int64_t j = 0; j < c.d && j < i + W; ++j) sum += load(c.triangle + j * c.width + i) * splat(y[j]);
        store(z + i, sum);
    }
}

}  // namespace

bool rows_of(const Components& c, const Rows& from, const std::int32_t* which, std::int64_t first, int count,
          std::int64_t stride, double* y, double* z) {
    const std::int64_t whole = from.column_stride == 1 && !from.single ? c.d / W * W : 0;
    vec all{};
    for (int b = 0; b < count; ++b, y += stride, z += c.width) {
        const std::ptrdiff_t at = (which ? which[b] : first + b) * from.row_stride;
        if (whole < c.d) store(y + c.width - W, vec{});
        for (std::int64_t j = whole; j < c.width; j += W) store(y + j, vec{});
        for (std::int64_t j = 0; j < whole; j += W)
            store(y + j, (load(static_cast<const double*>(from.x) + at + j) - load(c.origin + j)) * load(c.inverse_scale + j) -
                             load(c.centre + j));
        if (from.single)
            read(c, from, static_cast<const float*>(from.x) + at, whole, y);
        else
            read(c, from, static_cast<const double*>(from.x) + at, whole, y);
        for (std::int64_t j = 0; j < c.width; j += W) {
            const vec value = load(y + j);
            all += value * 0.0;
            if (c.squares) store(y + c.width + j, value * value);
        }
        frame(c, y, z);
    }
    return bits_of(equal(all, vec{})) == ALL;
}

}  // namespace stream_mix::STREAM_MIX_ISA
