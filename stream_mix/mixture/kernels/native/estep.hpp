// Scores of a tile of rows under all components.
#pragma once

#include "problem.hpp"
#include "simd.hpp"
#include "tile.hpp"

namespace stream_mix::STREAM_MIX_ISA {

constexpr int BLOCK = 4;                 // components, or rows of a triangle, that are worked on together
constexpr int VECTORS = W == 8 ? 4 : 2;  // vectors of rows that are worked on together
constexpr int WIDTH = VECTORS * W;
static_assert(TILE % WIDTH == 0);

// A lower triangle (d(d+1)/2, row by row) in blocks of four rows: for each block, column by column, four entries.
inline const double* pack_triangle(const double* triangle, std::int64_t d, double* out) {
    for (std::int64_t i = 0; i < d; i += BLOCK)
        for (std::int64_t j = 0; j < i + BLOCK; ++j)
            for (std::int64_t r = i; r < i + BLOCK; ++r)
                *out++ = r < d && j <= r ? triangle[r * (r + 1) / 2 + j] : 0.0;
    return out;
}

// full: for each component its triangle, its whitened mean, its peak. Else: blocks of four components, feature by
// feature, the constant first; then the shared triangle, if there is one.
inline void pack_scores(const Mixture& m, const Layout& size, double* out) {
    const std::int64_t f = size.features + 1;
    if (m.scores == Scores::full) {
        const std::int64_t entries = m.d * (m.d + 1) / 2;
        for (std::int64_t k = 0; k < m.k; ++k) {
            out = const_cast<double*>(pack_triangle(m.whiten + k * entries, m.d, out));
            const double* theta = m.theta + k * (m.d + 1);
            for (std::int64_t i = 0; i < (m.d + BLOCK - 1) / BLOCK * BLOCK; ++i) *out++ = i < m.d ? theta[1 + i] : 0.0;
            *out++ = theta[0];
        }
        return;
    }
    for (std::int64_t k = 0; k < m.k; k += BLOCK)
        for (std::int64_t i = 0; i < f; ++i)
            for (std::int64_t b = k; b < k + BLOCK; ++b) *out++ = b < m.k ? m.theta[b * f + i] : 0.0;
    if (m.whiten) pack_triangle(m.whiten, m.d, out);
}

// |z|^2 of z = triangle y - mean for WIDTH rows, mean being 0 where there is none. It ends early where already
// peak - |z|^2 / 2 is below `floor` for all of them.
inline void whitened(const double* triangle, const double* mean, std::int64_t d, const double* columns, double peak,
                     const double* floor, vec* length) {
    for (int v = 0; v < VECTORS; ++v) length[v] = vec{};
    for (std::int64_t i = 0; i < d; i += BLOCK) {
        vec z[BLOCK][VECTORS];
        for (int r = 0; r < BLOCK; ++r)
            for (int v = 0; v < VECTORS; ++v) z[r][v] = splat(mean ? -mean[i + r] : 0.0);
        const std::int64_t last = i + BLOCK < d ? i + BLOCK : d;
        for (std::int64_t j = 0; j < last; ++j, triangle += BLOCK)
            for (int v = 0; v < VECTORS; ++v) {
                const vec y = load(columns + j * TILE + v * W);
                for (int r = 0; r < BLOCK; ++r) z[r][v] += splat(triangle[r]) * y;
            }
        triangle += (i + BLOCK - last) * BLOCK;
        for (int r = 0; r < BLOCK; ++r)
            for (int v = 0; v < VECTORS; ++v) length[v] += z[r][v] * z[r][v];
        if (!floor || i % 8 != 4 || last == d) continue;
        bits near = 0;
        for (int v = 0; v < VECTORS; ++v)
            near |= bits_of(splat(peak) - 0.5 * length[v] >= load(floor + v * W));
        if (!near) return;
    }
}

// Scores of full components. A component that is out of reach for all of WIDTH rows is not worked out to the end:
// its score stays an upper bound, which is negligible already.
inline void score_full(const Mixture& m, const double* packed, const Tile& tile, double* scores) {
    const std::int64_t triangle = Layout::triangle(m.d), padded_d = (m.d + BLOCK - 1) / BLOCK * BLOCK;
    for (int first = 0; first < TILE; first += WIDTH) {
        double floor[WIDTH];
        for (int b = 0; b < WIDTH; ++b) floor[b] = -1e308;
        const double* at = packed;
        for (std::int64_t k = 0; k < m.k; ++k, at += triangle + padded_d + 1) {
            vec length[VECTORS];
            const double peak = at[triangle + padded_d];
            whitened(at, at + triangle, m.d, tile.columns + first, peak, floor, length);
            for (int v = 0; v < VECTORS; ++v) {
                const vec score = splat(peak) - 0.5 * length[v];
                store(scores + k * TILE + first + v * W, score);
                store(floor + v * W, max(load(floor + v * W), score + NEGLIGIBLE));
            }
        }
    }
}

// Scores that are linear in the features: one product of matrices.
inline void score_linear(const Mixture& m, std::int64_t features, const double* packed, const Tile& tile,
                         double* scores) {
    for (int first = 0; first < TILE; first += WIDTH) {
        const double* theta = packed;
        for (std::int64_t k = 0; k < m.k; k += BLOCK) {
            vec s[BLOCK][VECTORS];
            for (int r = 0; r < BLOCK; ++r)
                for (int v = 0; v < VECTORS; ++v) s[r][v] = splat(theta[r]);
            theta += BLOCK;
            const double* column = tile.columns + first;
            for (std::int64_t f = 0; f < features; ++f, theta += BLOCK, column += TILE)
                for (int v = 0; v < VECTORS; ++v) {
                    const vec y = load(column + v * W);
                    for (int r = 0; r < BLOCK; ++r) s[r][v] += splat(theta[r]) * y;
                }
            for (int r = 0; r < BLOCK; ++r)
                for (int v = 0; v < VECTORS; ++v) store(scores + (k + r) * TILE + first + v * W, s[r][v]);
        }
    }
}

// Scores (k, TILE), and the part (TILE,) of the log density that all components share.
inline void score_tile(const Mixture& m, const Layout& size, const double* packed, const Tile& tile, double* scores,
                       double* quadratic) {
    __builtin_memset(quadratic, 0, sizeof(double) * TILE);
    if (m.scores == Scores::full) return score_full(m, packed, tile, scores);
    score_linear(m, size.features, packed, tile, scores);
    if (m.scores != Scores::linear) return;
    if (!m.whiten) {
        tile.lengths(m, quadratic);
        for (int v = 0; v < TILE; v += W) store(quadratic + v, load(quadratic + v) * (-0.5 * m.precision));
        return;
    }
    const double* triangle = packed + (m.k + BLOCK - 1) / BLOCK * BLOCK * (size.features + 1);
    for (int first = 0; first < TILE; first += WIDTH) {
        vec length[VECTORS];
        whitened(triangle, nullptr, m.d, tile.columns + first, 0.0, nullptr, length);
        for (int v = 0; v < VECTORS; ++v) store(quadratic + first + v * W, -0.5 * length[v]);
    }
}

}  // namespace stream_mix::STREAM_MIX_ISA
