// Components of which the squared distance to a row grows feature by feature: |z|^2 with z whitened.
#pragma once

#include "problem.hpp"
#include "simd.hpp"
#include "tile.hpp"

namespace stream_mix::STREAM_MIX_ISA {

constexpr int BLOCK = 4;                 // components, or rows of a triangle, that are worked on together
constexpr int VECTORS = W == 8 ? 4 : 2;  // vectors of rows that are worked on together
constexpr int WIDTH = VECTORS * W;
static_assert(TILE % WIDTH == 0);

// A score that no row has: that of the components that fill up a block.
constexpr double NO_SCORE = -1e308;

// A lower triangle (d(d+1)/2, row by row) in blocks of four rows: for each block, column by column, four entries.
inline const double* pack_triangle(const double* triangle, std::int64_t d, double* out) {
    for (std::int64_t i = 0; i < d; i += BLOCK)
        for (std::int64_t j = 0; j < i + BLOCK; ++j)
            for (std::int64_t r = i; r < i + BLOCK; ++r)
                *out++ = r < d && j <= r ? triangle[r * (r + 1) / 2 + j] : 0.0;
    return out;
}

// For each component its triangle, its whitened mean, its peak.
inline void pack_full(const Mixture& m, double* out) {
    const std::int64_t entries = m.d * (m.d + 1) / 2;
    for (std::int64_t k = 0; k < m.k; ++k) {
        out = const_cast<double*>(pack_triangle(m.whiten + k * entries, m.d, out));
        const double* theta = m.theta + k * (m.d + 1);
        for (std::int64_t i = 0; i < (m.d + BLOCK - 1) / BLOCK * BLOCK; ++i) *out++ = i < m.d ? theta[1 + i] : 0.0;
        *out++ = theta[0];
    }
}

// For each component the roots of its precisions, its whitened mean, its peak.
inline void pack_diag(const Mixture& m, const Layout& size, double* out) {
    for (std::int64_t k = 0; k < m.k; ++k, out += 2 * size.row + 1) {
        const double* theta = m.theta + k * (1 + 2 * m.d);
        for (std::int64_t j = 0; j < size.row; ++j) {
            out[j] = j < m.d ? __builtin_sqrt(-2.0 * theta[1 + m.d + j]) : 0.0;
            out[size.row + j] = j < m.d ? theta[1 + j] / out[j] : 0.0;
        }
        out[2 * size.row] = m.peak[k];
    }
}

// length += |z|^2 over rows `from` to `to` of z = triangle y - mean, for N vectors of rows; mean is 0 where there is
// none. `from` is a multiple of four.
template <int N>
inline void add_whitened(const double* triangle, const double* mean, std::int64_t d, const double* columns,
                         std::int64_t from, std::int64_t to, vec* length) {
    triangle += Layout::triangle(from);
    for (std::int64_t i = from; i < to; i += BLOCK) {
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

// Components with a triangle of their own, as pack_full left them.
struct Triangles {
    const double* packed;
    std::int64_t d, triangle, each;

    Triangles(const Mixture& m, const Layout&, const double* at)
        : packed(at), d(m.d), triangle(Layout::triangle(d)), each(triangle + (d + BLOCK - 1) / BLOCK * BLOCK + 1) {}
    double peak(std::int64_t k) const { return packed[k * each + each - 1]; }

    template <int N>
    void add(std::int64_t k, const double* columns, std::int64_t from, std::int64_t to, vec* length) const {
        const double* own = packed + k * each;
        add_whitened<N>(own, own + triangle, d, columns, from, to, length);
    }
    // |z|^2 of one row.
    double length(std::int64_t k, const double* row) const {
        using four = double __attribute__((vector_size(8 * BLOCK)));
        const double *own = packed + k * each, *mean = own + triangle;
        four total{};
        for (std::int64_t i = 0; i < d; i += BLOCK) {
            four even{}, odd{}, at;
            __builtin_memcpy(&at, mean + i, sizeof at);
            const std::int64_t last = i + BLOCK < d ? i + BLOCK : d;
            std::int64_t j = 0;
            for (; j + 1 < last; j += 2) {
                four a, b;
                __builtin_memcpy(&a, own + j * BLOCK, sizeof a);
                __builtin_memcpy(&b, own + (j + 1) * BLOCK, sizeof b);
                even += a * row[j];
                odd += b * row[j + 1];
            }
            if (j < last) {
                four a;
                __builtin_memcpy(&a, own + j * BLOCK, sizeof a);
                even += a * row[j];
            }
            own += (i + BLOCK) * BLOCK;
            const four z = even + odd - at;
            total += z * z;
        }
        return (total[0] + total[1]) + (total[2] + total[3]);
    }
};

// Components with a precision for each feature, as pack_diag left them.
struct Diagonals {
    const double* packed;
    std::int64_t d, row, each;

    Diagonals(const Mixture& m, const Layout& size, const double* at)
        : packed(at), d(m.d), row(size.row), each(2 * row + 1) {}
    double peak(std::int64_t k) const { return packed[k * each + 2 * row]; }

    template <int N>
    void add(std::int64_t k, const double* columns, std::int64_t from, std::int64_t to, vec* length) const {
        const double* own = packed + k * each;
        for (std::int64_t j = from; j < to; ++j) {
            const vec root = splat(own[j]), mean = splat(own[row + j]);
            for (int v = 0; v < N; ++v) {
                const vec z = root * load(columns + j * TILE + v * W) - mean;
                length[v] += z * z;
            }
        }
    }
};

// Features that are looked at before a component that is out of reach of some rows is left; and the numbers of
// features and of components from which on that pays.
constexpr std::int64_t LEAD = 8, LEAST_FEATURES = 12, LEAST_COMPONENTS = 8;

// Scores of components of which |z|^2 grows feature by feature: all features of all of them.
template <class Components>
inline void score_all(const Mixture& m, const Components& of, const Tile& tile, double* scores) {
    for (int first = 0; first < TILE; first += WIDTH)
        for (std::int64_t k = 0; k < m.k; ++k) {
            vec length[VECTORS] = {};
            of.template add<VECTORS>(k, tile.columns + first, 0, m.d, length);
            for (int v = 0; v < VECTORS; ++v)
                store(scores + k * TILE + first + v * W, splat(of.peak(k)) - 0.5 * length[v]);
        }
}

// More of a component's scores of N vectors of rows, as long as it is within reach of one of them.
template <int N>
inline void score_on(const Triangles& of, std::int64_t k, std::int64_t from, const double* columns, const double* floor,
                     double* scores) {
    while (from < of.d) {
        const std::int64_t to = from + LEAD < of.d ? from + LEAD : of.d;
        vec length[N] = {};
        of.add<N>(k, columns, from, to, length);
        bits near[N];
        int count = 0;
        for (int v = 0; v < N; ++v) {
            const vec score = load(scores + v * W) - 0.5 * length[v];
            store(scores + v * W, score);
            count += (near[v] = bits_of(above(score, load(floor + v * W)))) != 0;
        }
        from = to;
        if (!count) return;
        if constexpr (N > 1) {
            if (2 * count > N) continue;
            for (int v = 0; v < N; ++v)
                if (near[v]) score_on<1>(of, k, from, columns + v * W, floor + v * W, scores + v * W);
            return;
        }
    }
}

// The same scores, but a component is not worked out to the end where its score over the first features is already
// negligible beside that of another: what stays there is an upper bound.
inline void score_near(const Mixture& m, const Triangles& of, const Tile& tile, double* scores) {
    for (int first = 0; first < TILE; first += WIDTH) {
        vec top[VECTORS], best[VECTORS];
        for (int v = 0; v < VECTORS; ++v) top[v] = splat(NO_SCORE), best[v] = vec{};
        for (std::int64_t k = 0; k < m.k; ++k) {
            vec length[VECTORS] = {};
            of.add<VECTORS>(k, tile.columns + first, 0, LEAD, length);
            for (int v = 0; v < VECTORS; ++v) {
                const vec score = splat(of.peak(k)) - 0.5 * length[v];
                store(scores + k * TILE + first + v * W, score);
                best[v] = select(above(score, top[v]), splat(static_cast<double>(k)), best[v]);
                top[v] = max(score, top[v]);
            }
        }
        double floor[WIDTH], whose[WIDTH];
        for (int v = 0; v < VECTORS; ++v) store(whose + v * W, best[v]);
        for (int b = 0; b < WIDTH; ++b) {
            const std::int64_t k = static_cast<std::int64_t>(whose[b]);
            floor[b] = of.peak(k) - 0.5 * of.length(k, tile.rows + (first + b) * tile.stride) + NEGLIGIBLE;
        }
        for (std::int64_t k = 0; k < m.k; ++k) {
            double* own = scores + k * TILE + first;
            bits near = 0;
            for (int v = 0; v < VECTORS; ++v) near |= bits_of(above(load(own + v * W), load(floor + v * W)));
            if (near) score_on<VECTORS>(of, k, LEAD, tile.columns + first, floor, own);
        }
    }
}

}  // namespace stream_mix::STREAM_MIX_ISA
