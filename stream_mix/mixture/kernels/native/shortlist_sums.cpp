// The sums of one component over the rows that have to do with it.
#include "shortlist_parts.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

// N vectors of the sums, from the column `first` on.
template <int N>
inline void add_some(const Pair* pairs, std::int64_t n, const double* rows, std::int64_t stride, double* sums) {
    vec sum[N];
    for (int v = 0; v < N; ++v) sum[v] = load(sums + v * W);
    for (std::int64_t i = 0; i < n; ++i) {
        const double* row = rows + pairs[i].row * stride;
        const vec r = splat(pairs[i].r);
        for (int v = 0; v < N; ++v) sum[v] += r * load(row + v * W);
    }
    for (int v = 0; v < N; ++v) store(sums + v * W, sum[v]);
}

// R lines of the triangle, N vectors of each.
template <int R, int N>
inline void add_lines(const Pair* pairs, std::int64_t n, const double* rows, std::int64_t stride, std::int64_t line,
                      std::int64_t column, double* outer, std::int64_t width) {
    vec sum[R][N];
    for (int i = 0; i < R; ++i)
        for (int v = 0; v < N; ++v) sum[i][v] = load(outer + i * width + v * W);
    for (std::int64_t p = 0; p < n; ++p) {
        const double* row = rows + pairs[p].row * stride;
        const vec r = splat(pairs[p].r);
        vec part[N];
        for (int v = 0; v < N; ++v) part[v] = r * load(row + column + v * W);
        for (int i = 0; i < R; ++i)
            for (int v = 0; v < N; ++v) sum[i][v] += splat(row[line + i]) * part[v];
    }
    for (int i = 0; i < R; ++i)
        for (int v = 0; v < N; ++v) store(outer + i * width + v * W, sum[i][v]);
}

// Pairs whose rows are gone through again and again while they are near.
constexpr std::int64_t NEAR = 64;
constexpr int LINES = 4;

inline void add_triangle(const Pair* pairs, std::int64_t n, const double* rows, std::int64_t stride, std::int64_t d,
                         std::int64_t width, double* outer) {
    for (std::int64_t i = 0; i < d; i += LINES)
        for (std::int64_t c = i / W * W; c < width;) {
            double* to = outer + i * width + c;
            if (i + LINES > d) {
                for (std::int64_t l = i; l < d; ++l, to += width)
                    add_lines<1, 1>(pairs, n, rows, stride, l, c, to, width);
                c += W;
            } else if (c + W < width) {
                add_lines<LINES, 2>(pairs, n, rows, stride, i, c, to, width);
                c += 2 * W;
            } else {
                add_lines<LINES, 1>(pairs, n, rows, stride, i, c, to, width);
                c += W;
            }
        }
}

}  // namespace

double add_pairs(const Pair* pairs, std::int64_t n, const double* rows, std::int64_t stride, double* sums, std::int64_t d,
                 std::int64_t width, double* outer) {
    double mass = 0.0;
    for (std::int64_t i = 0; i < n; ++i) mass += pairs[i].r;
    for (std::int64_t c = 0; c < stride;) {
        if (c + 4 * W <= stride) {
            add_some<4>(pairs, n, rows + c, stride, sums + c);
            c += 4 * W;
        } else {
            add_some<1>(pairs, n, rows + c, stride, sums + c);
            c += W;
        }
    }
    for (std::int64_t first = 0; outer && first < n; first += NEAR)
        add_triangle(pairs + first, n - first < NEAR ? n - first : NEAR, rows, stride, d, width, outer);
    return mass;
}

}  // namespace stream_mix::STREAM_MIX_ISA
