// What components can say of rows at most, in single precision.
#include "shortlist_parts.hpp"
#include "simd_float.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

constexpr int BLOCK = 4;                 // components that are worked on together
constexpr int VECTORS = W == 8 ? 4 : 2;  // vectors of rows, at most
static_assert(LOOK % (VECTORS * V) == 0);
// A feature or factor beyond this is not for single precision.
constexpr double WIDEST = 1e15;

// Scores of blocks of components for N vectors of rows: `each(component, vector, scores)`.
template <int N, class Each>
inline void products(const float* theta, std::int64_t blocks, std::int64_t features, const float* columns, Each&& each) {
    const std::int64_t size = features + 1;
    for (std::int64_t b = 0; b < blocks; ++b, theta += BLOCK * size) {
        fvec s[BLOCK][N];
        for (int r = 0; r < BLOCK; ++r)
            for (int v = 0; v < N; ++v) s[r][v] = splat(theta[r * size + features]);
        const float* column = columns;
        for (std::int64_t f = 0; f < features; ++f, column += LOOK)
            for (int v = 0; v < N; ++v) {
                const fvec y = load(column + v * V);
                for (int r = 0; r < BLOCK; ++r) s[r][v] += splat(theta[r * size + f]) * y;
            }
        for (int r = 0; r < BLOCK; ++r)
            for (int v = 0; v < N; ++v) each(b * BLOCK + r, v, s[r][v]);
    }
}

// Scores of N vectors of rows, where they are asked for, and the largest and whose it is: the first where several are.
template <int N>
inline void largest_of(const float* theta, std::int64_t blocks, std::int64_t features, const float* columns, float* scores,
                       float* top, float* whose) {
    fvec most[N], at[N];
    for (int v = 0; v < N; ++v) {
        most[v] = splat(-3e38f);
        at[v] = splat(0.0f);
    }
    products<N>(theta, blocks, features, columns, [&](std::int64_t k, int v, fvec s) {
        const FloatMask more = above(s, most[v]);
        most[v] = select(more, s, most[v]);
        at[v] = select(more, splat(static_cast<float>(k)), at[v]);
        if (scores) store(scores + k * LOOK + v * V, s);
    });
    for (int v = 0; v < N; ++v) {
        if (top) store(top + v * V, most[v]);
        store(whose + v * V, at[v]);
    }
}

void score(const float* theta, std::int64_t blocks, std::int64_t features, const float* columns, int count, float* scores,
           float* top, float* whose) {
    for (int first = 0; first < count;) {
        const int left = count - first;
        float *to = scores ? scores + first : nullptr, *most = top ? top + first : nullptr;
        if (left > 2 * V && VECTORS == 4) {
            largest_of<VECTORS>(theta, blocks, features, columns + first, to, most, whose + first);
            first += VECTORS * V;
        } else if (left > V) {
            largest_of<2>(theta, blocks, features, columns + first, to, most, whose + first);
            first += 2 * V;
        } else {
            largest_of<1>(theta, blocks, features, columns + first, to, most, whose + first);
            first += V;
        }
    }
}

using half = float __attribute__((vector_size(4 * W)));

// z - centre, column by column: (d, LOOK) of up to LOOK rows (count, width), the rest 0. `turned` is room for LOOK width
// doubles.
void turn(std::int64_t d, std::int64_t width, const double* centre, const double* z, int count, double* turned,
          float* columns) {
    int filled = count / W * W;
    for (int b = 0; b < filled; b += W)
        for (std::int64_t j = 0; j < width; j += W) transpose(z + b * width + j, width, turned + j * LOOK + b, LOOK);
    for (; filled < count; ++filled)
        for (std::int64_t j = 0; j < d; ++j) turned[j * LOOK + filled] = z[filled * width + j];
    for (std::int64_t j = 0; j < d; ++j) {
        for (int b = count; b < LOOK; ++b) turned[j * LOOK + b] = centre ? centre[j] : 0.0;
        const vec origin = splat(centre ? centre[j] : 0.0);
        for (int b = 0; b < LOOK; b += W) {
            const half u = __builtin_convertvector(load(turned + j * LOOK + b) - origin, half);
            __builtin_memcpy(columns + j * LOOK + b, &u, sizeof u);
        }
    }
}

// The features of a tile's rows, those of `turn` being there. A row that is too far out is 0, and wild.
void features_of(const Components& c, int count, float* columns, Fate* fate) {
    for (int b = 0; b < LOOK; b += V) {
        fvec length{};
        for (std::int64_t j = 0; j < c.d; ++j) {
            const fvec u = load(columns + j * LOOK + b);
            length += u * u;
        }
        const FloatMask near = above(splat(static_cast<float>(WIDEST)), length);
        const bits near_bits = bits_of(near);
        for (int l = 0; l < V && b + l < count; ++l) fate[b + l] = near_bits >> l & 1u ? Fate::scored : Fate::wild;
        for (std::int64_t j = 0; j < c.d; ++j) {
            const fvec u = select(near, load(columns + j * LOOK + b), fvec{});
            store(columns + j * LOOK + b, u);
            if (c.by_feature) store(columns + (c.d + j) * LOOK + b, u * u);
        }
        if (!c.by_feature) store(columns + c.d * LOOK + b, select(near, length, fvec{}));
    }
}

}  // namespace

void bounds_of(const Components& c, const Listed& list, const double* z, int count, const BoundsRoom& room, Fate* fate) {
    turn(c.d, c.width, list.centre, z, count, room.turned, room.columns);
    features_of(c, count, room.columns, fate);
    score(list.bounds, (list.count + BLOCK - 1) / BLOCK, c.features(), room.columns, count, room.bounds, room.most,
          room.whose);
}

void nearest_of(std::int64_t d, std::int64_t width, std::int64_t centres, const float* packed, const double* z, int count,
             float* room, std::int32_t* found) {
    float whose[LOOK], *columns = room + 2 * LOOK * width;
    turn(d, width, nullptr, z, count, reinterpret_cast<double*>(room), columns);
    score(packed, (centres + BLOCK - 1) / BLOCK, d, columns, count, nullptr, nullptr, whose);
    for (int b = 0; b < count; ++b) found[b] = static_cast<std::int32_t>(whose[b]);
}

// What rounding in single precision may take from a bound, as a share of the magnitudes that it is the sum of, is
// added to it.
bool pack_bounds(const Components& c, const Listed& list, float* bounds) {
    const std::int64_t f = c.features();
    const double slack = static_cast<double>(f + 8) * 0x1p-23;
    const auto narrow = [](float* to, vec from) {
        const half v = __builtin_convertvector(from, half);
        __builtin_memcpy(to, &v, sizeof v);
    };
    vec most{};
    // Whole vectors are written, from the first on: what is too much is written over by what comes after.
    float* to = bounds;
    for (std::int64_t i = 0; i < list.count; ++i, to += f + 1) {
        const std::int64_t k = list.members[i];
        const double *mean = c.means + k * c.width, *precision = c.precision + k * c.width;
        vec length{};
        for (std::int64_t j = 0; j < c.d; j += W) {
            const vec p = c.by_feature ? load(precision + j) : splat(c.least[k]);
            const vec delta = load(mean + j) - load(list.centre + j), linear = p * delta;
            narrow(to + j, linear);
            length += linear * delta;
            most = max(p, most);
        }
        for (std::int64_t j = 0; j < c.d && c.by_feature; j += W) narrow(to + c.d + j, (slack - 0.5) * load(precision + j));
        if (!c.by_feature) to[c.d] = static_cast<float>((slack - 0.5) * c.least[k]);
        const double all = fold_up(length);
        to[f] = static_cast<float>(c.peak[k] - 0.5 * all + slack * (__builtin_fabs(c.peak[k]) + all));
        most = max(splat(all), most);
    }
    for (std::int64_t i = list.count; i % BLOCK; ++i, to += f + 1)
        for (std::int64_t j = 0; j <= f; ++j) to[j] = j < f ? 0.0f : -1e37f;
    return largest(most) < WIDEST;
}

}  // namespace stream_mix::STREAM_MIX_ISA
