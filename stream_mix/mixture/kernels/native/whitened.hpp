// Components of which the squared distance to a row grows feature by feature: |z|^2 with z whitened.
#pragma once

#include "problem.hpp"
#include "simd.hpp"
#include "tile.hpp"

namespace stream_mix::STREAM_MIX_ISA {

constexpr int AT_ONCE = 4;               // pairs of component and row that are worked on together
constexpr int BLOCK = 4;                 // components, or rows of a triangle, that are worked on together
constexpr int VECTORS = W == 8 ? 4 : 2;  // vectors of rows that are worked on together
constexpr int WIDTH = VECTORS * W;
static_assert(TILE % WIDTH == 0);

// A score that no row has: that of the components that fill up a block.
constexpr double NO_SCORE = -1e308;

// Scores of four components, linear in the features, for WIDTH rows; the next block of the packed mixture.
inline const double* linear_block(std::int64_t features, const double* theta, const double* column,
                                  vec (&s)[BLOCK][VECTORS]) {
    for (int r = 0; r < BLOCK; ++r)
        for (int v = 0; v < VECTORS; ++v) s[r][v] = splat(theta[r]);
    theta += BLOCK;
    for (std::int64_t f = 0; f < features; ++f, theta += BLOCK, column += TILE)
        for (int v = 0; v < VECTORS; ++v) {
            const vec y = load(column + v * W);
            for (int r = 0; r < BLOCK; ++r) s[r][v] += splat(theta[r]) * y;
        }
    return theta;
}

// A lower triangle (d(d+1)/2, row by row) in blocks of four rows: for each block, column by column, four entries.
inline const double* pack_triangle(const double* triangle, std::int64_t d, double* out) {
    for (std::int64_t i = 0; i < d; i += BLOCK)
        for (std::int64_t j = 0; j < i + BLOCK; ++j)
            for (std::int64_t r = i; r < i + BLOCK; ++r)
                *out++ = r < d && j <= r ? triangle[r * (r + 1) / 2 + j] : 0.0;
    return out;
}

// For each component its triangle, its whitened mean, its peak, up to a whole cache line.
inline void pack_full(const Mixture& m, double* out) {
    const std::int64_t entries = m.d * (m.d + 1) / 2;
    for (std::int64_t k = 0; k < m.k; ++k) {
        double* const own = out;
        out = const_cast<double*>(pack_triangle(m.whiten + k * entries, m.d, out));
        const double* theta = m.theta + k * (m.d + 1);
        for (std::int64_t i = 0; i < (m.d + BLOCK - 1) / BLOCK * BLOCK; ++i) *out++ = i < m.d ? theta[1 + i] : 0.0;
        *out++ = theta[0];
        out = own + padded(out - own);
    }
}

// For each component the roots of its precisions, its whitened mean, its peak, up to a whole cache line.
inline void pack_diag(const Mixture& m, const Layout& size, double* out) {
    for (std::int64_t k = 0; k < m.k; ++k, out += 2 * size.row + 8) {
        const double* theta = m.theta + k * (1 + 2 * m.d);
        for (std::int64_t j = 0; j < size.row; ++j) {
            out[j] = j < m.d ? __builtin_sqrt(-2.0 * theta[1 + m.d + j]) : 0.0;
            out[size.row + j] = j < m.d ? theta[1 + j] / out[j] : 0.0;
        }
        out[2 * size.row] = m.peak[k];
    }
}

// length = |z|^2 of z = triangle y - mean, for N vectors of rows; mean is 0 where there is none.
template <int N>
inline void whitened_lengths(const double* triangle, const double* mean, std::int64_t d, const double* columns,
                             vec* length) {
    for (int v = 0; v < N; ++v) length[v] = vec{};
    for (std::int64_t i = 0; i < d; i += BLOCK) {
        vec z[BLOCK][N];
        for (int r = 0; r < BLOCK; ++r)
            for (int v = 0; v < N; ++v) z[r][v] = splat(mean ? -mean[i + r] : 0.0);
        const std::int64_t last = i + BLOCK < d ? i + BLOCK : d;
        for (std::int64_t j = 0; j < last; ++j, triangle += BLOCK)
            for (int v = 0; v < N; ++v) {
                const vec y = load(columns + j * TILE + v * W);
                for (int r = 0; r < BLOCK; ++r) z[r][v] += splat(triangle[r]) * y;
            }
        triangle += (i + BLOCK - last) * BLOCK;
        for (int r = 0; r < BLOCK; ++r)
            for (int v = 0; v < N; ++v) length[v] += z[r][v] * z[r][v];
    }
}

using four = double __attribute__((vector_size(8 * BLOCK)));
inline four load_four(const double* at) {
    four v;
    __builtin_memcpy(&v, at, sizeof v);
    return v;
}
inline double fold_four(four v) { return (v[0] + v[1]) + (v[2] + v[3]); }

// Components with a triangle of their own, as pack_full left them. Both ways to a length come to the same bits: what is
// said of a row does not depend on the rows beside it.
struct Triangles {
    // Rows of a tile from which on both ways cost the same, and one in how many of all pairs of row and component may be
    // worked out row by row before all together cost less.
    static constexpr int MANY = 16, CROWD = 2;

    const double* packed;
    std::int64_t d, triangle, each;

    Triangles(const Mixture& m, const Layout&, const double* at)
        : packed(at), d(m.d), triangle(Layout::triangle(d)), each(padded(triangle + (d + BLOCK - 1) / BLOCK * BLOCK + 1)) {}
    double peak(std::int64_t k) const { return packed[k * each + triangle + (d + BLOCK - 1) / BLOCK * BLOCK]; }

    // |z|^2 of N vectors of rows.
    template <int N>
    void lengths(std::int64_t k, const double* columns, vec* length) const {
        const double* own = packed + k * each;
        whitened_lengths<N>(own, own + triangle, d, columns, length);
    }
    // |z|^2 of AT_ONCE pairs of component and row, or less but above `enough`.
    void pairs(const std::int64_t* ks, const double* const* rows, const double* enough, double* lengths) const {
        const double *own[AT_ONCE], *mean[AT_ONCE];
        for (int p = 0; p < AT_ONCE; ++p) {
            own[p] = packed + ks[p] * each;
            mean[p] = own[p] + triangle;
            lengths[p] = 0.0;
        }
        for (std::int64_t i = 0; i < d; i += BLOCK) {
            four z[AT_ONCE];
            for (int p = 0; p < AT_ONCE; ++p) z[p] = -load_four(mean[p] + i);
            const std::int64_t last = i + BLOCK < d ? i + BLOCK : d;
            for (std::int64_t j = 0; j < last; ++j)
                for (int p = 0; p < AT_ONCE; ++p) z[p] += load_four(own[p] + j * BLOCK) * rows[p][j];
            bool near = false;
            for (int p = 0; p < AT_ONCE; ++p) {
                own[p] += (i + BLOCK) * BLOCK;
                for (int r = 0; r < BLOCK; ++r) lengths[p] += z[p][r] * z[p][r];
                near |= !(lengths[p] > enough[p]);
            }
            if (!near) return;
        }
    }
};

// Components with a precision for each feature, as pack_diag left them; both ways as above.
struct Diagonals {
    static constexpr int MANY = 12, CROWD = 5;

    const double* packed;
    std::int64_t d, row, each;

    Diagonals(const Mixture& m, const Layout& size, const double* at)
        : packed(at), d(m.d), row(size.row), each(2 * row + 8) {}
    double peak(std::int64_t k) const { return packed[k * each + 2 * row]; }

    template <int N>
    void lengths(std::int64_t k, const double* columns, vec* length) const {
        const double* own = packed + k * each;
        vec lanes[BLOCK][N] = {};
        std::int64_t j = 0;
        for (; j + BLOCK <= d; j += BLOCK)
            for (int r = 0; r < BLOCK; ++r) add<N>(own + j + r, columns + (j + r) * TILE, lanes[r]);
        if (j < d) add<N>(own + j, columns + j * TILE, lanes[0]);
        if (j + 1 < d) add<N>(own + j + 1, columns + (j + 1) * TILE, lanes[1]);
        if (j + 2 < d) add<N>(own + j + 2, columns + (j + 2) * TILE, lanes[2]);
        for (int v = 0; v < N; ++v) length[v] = (lanes[0][v] + lanes[1][v]) + (lanes[2][v] + lanes[3][v]);
    }
    void pairs(const std::int64_t* ks, const double* const* rows, const double*, double* lengths) const {
        const double* own[AT_ONCE];
        four lanes[AT_ONCE] = {};
        for (int p = 0; p < AT_ONCE; ++p) own[p] = packed + ks[p] * each;
        std::int64_t j = 0;
        for (; j + BLOCK <= d; j += BLOCK)
            for (int p = 0; p < AT_ONCE; ++p) {
                const four z = load_four(own[p] + j) * load_four(rows[p] + j) - load_four(own[p] + row + j);
                lanes[p] += z * z;
            }
        for (int r = 0; j < d; ++j, ++r)
            for (int p = 0; p < AT_ONCE; ++p) {
                const double z = own[p][j] * rows[p][j] - own[p][row + j];
                lanes[p][r] += z * z;
            }
        for (int p = 0; p < AT_ONCE; ++p) lengths[p] = fold_four(lanes[p]);
    }

  private:
    template <int N>
    void add(const double* own, const double* column, vec (&lane)[N]) const {
        const vec root = splat(own[0]), mean = splat(own[row]);
        for (int v = 0; v < N; ++v) {
            const vec z = root * load(column + v * W) - mean;
            lane[v] += z * z;
        }
    }
};

// Scores of one component for WIDTH rows.
template <class Components>
inline void score_whole(const Components& of, std::int64_t k, const double* columns, double* scores) {
    vec length[VECTORS];
    of.template lengths<VECTORS>(k, columns, length);
    for (int v = 0; v < VECTORS; ++v) store(scores + v * W, splat(of.peak(k)) - 0.5 * length[v]);
}

// Scores of all components for all rows of a tile.
template <class Components>
inline void score_all(const Mixture& m, const Components& of, const Tile& tile, double* scores) {
    for (int first = 0; first < TILE; first += WIDTH)
        for (std::int64_t k = 0; k < m.k; ++k)
            score_whole(of, k, tile.columns + first, scores + k * TILE + first);
}

}  // namespace stream_mix::STREAM_MIX_ISA
