// Bounds of scores that cost one multiplication a feature, and whole scores only where a bound is not negligible.
//
// A component's precision P is at least c Q, with Q the inverse of the mean covariance of all components, so that
//     score = peak - (y - m)' P (y - m) / 2 <= peak - c m' Q m / 2 + c (Q m)' y - c y' Q y / 2,
// which is linear in y and in y' Q y, and that is the same for all components. A guess of the score is the same with t, the
// mean of P over Q in all directions, in place of c: peak + (bound - peak) t / c.
#pragma once

#include "whitened.hpp"

namespace stream_mix::STREAM_MIX_ISA {

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

// Where the bounds of a packed mixture lie: `bound` (reach.cpp) fills them.
struct Reach {
    double* head;      // whether they are there; their error: a constant, and a factor of the squared length below
    double* unit;      // (row,) a precision for each feature: sum unit y^2 is a row's squared length
    double* triangle;  // full: the root of Q, as pack_triangle leaves it; diag: Q is `unit`
    double* theta;     // blocks of four components: constant, d factors of y, factor of y' Q y; and of the guess, which
                       // is linear in the bound, constant and factor
    std::int64_t d, k;
    bool full;

    Reach(const Mixture& m, const Layout& size, const double* packed)
        : head(const_cast<double*>(packed) + size.scores),
          unit(head + 8),
          triangle(unit + size.row),
          theta(triangle + (m.scores == Scores::full ? padded(Layout::triangle(m.d)) : 0)),
          d(m.d),
          k(m.k),
          full(m.scores == Scores::full) {}

    bool there() const { return head[0] != 0.0; }

    // Bounds (k, TILE) for WIDTH rows, whose guess is the largest, and by how much rounding may mislead.
    void bound(double* columns, double* bounds, double* whose, double* error) const {
        vec length[VECTORS] = {}, squared[VECTORS], most[VECTORS], best[VECTORS] = {};
        for (std::int64_t j = 0; j < d; ++j)
            for (int v = 0; v < VECTORS; ++v) {
                const vec y = load(columns + j * TILE + v * W);
                length[v] += splat(unit[j]) * (y * y);
            }
        if (full)
            whitened_lengths<VECTORS>(triangle, nullptr, d, columns, squared);
        else
            __builtin_memcpy(squared, length, sizeof squared);
        for (int v = 0; v < VECTORS; ++v) {
            store(columns + d * TILE + v * W, squared[v]);
            store(error + v * W, head[1] + head[2] * length[v]);
            most[v] = splat(NO_SCORE);
        }
        const double* block = theta;
        for (std::int64_t first = 0; first < k; first += BLOCK) {
            vec s[BLOCK][VECTORS];
            block = linear_block(d + 1, block, columns, s);
            for (int r = 0; r < BLOCK; ++r, ++block) {
                const vec own = splat(static_cast<double>(first + r));
                for (int v = 0; v < VECTORS; ++v) {
                    store(bounds + (first + r) * TILE + v * W, s[r][v]);
                    const vec guess = splat(block[0]) + splat(block[BLOCK]) * s[r][v];
                    best[v] = select(above(guess, most[v]), own, best[v]);
                    most[v] = max(guess, most[v]);
                }
            }
            block += BLOCK;
        }
        for (int v = 0; v < VECTORS; ++v) store(whose + v * W, best[v]);
    }
};

// The rows of a tile of which the bound is not below the floor; NaN is not.
inline rows_of_tile not_below(const double* bounds, const double* floor) {
    rows_of_tile rows = 0;
    for (int v = 0; v < TILE; v += W)
        rows |= static_cast<rows_of_tile>(ALL & ~bits_of(above(load(floor + v), load(bounds + v)))) << v;
    return rows;
}

// Scores of single pairs of component and row, as soon as there are so many as are worked on together.
template <class Components>
struct Pairs {
    const Components& of;
    const Tile& tile;
    double* scores;  // (k, TILE)
    int count = 0;
    std::int64_t ks[AT_ONCE], row[AT_ONCE];
    double enough[AT_ONCE];

    Pairs(const Components& components, const Tile& rows, double* to) : of(components), tile(rows), scores(to) {}

    // Less than `least` may stay more than it is.
    void add(std::int64_t k, std::int64_t b, double least) {
        ks[count] = k;
        row[count] = b;
        enough[count] = 2.0 * (of.peak(k) - least);
        if (++count == AT_ONCE) finish();
    }

    void finish() {
        if (!count) return;
        const double* rows[AT_ONCE];
        double lengths[AT_ONCE] = {};
        for (int p = 0; p < AT_ONCE; ++p) {
            const int q = p < count ? p : 0;
            ks[p] = ks[q], row[p] = row[q], enough[p] = enough[q];
            rows[p] = tile.rows + row[p] * tile.stride;
        }
        of.pairs(ks, rows, enough, lengths);
        for (int p = 0; p < AT_ONCE; ++p) scores[ks[p] * TILE + row[p]] = of.peak(ks[p]) - 0.5 * lengths[p];
        count = 0;
    }
};

// Scores (k, TILE) of which those that are negligible beside another of the same row may be too large, and negligible
// all the same. `count` rows are there, `done` (k,) is room. False where so many were not negligible that all would
// have cost less.
template <class Components>
inline bool score_near(const Mixture& m, const Components& of, const Reach& reach, const Tile& tile, int count,
                       double* scores, rows_of_tile* done) {
    alignas(64) double whose[TILE], floor[TILE];
    for (int first = 0; first < TILE; first += WIDTH)
        reach.bound(tile.columns + first, scores + first, whose + first, floor + first);
    __builtin_memset(done, 0, sizeof(rows_of_tile) * m.k);
    Pairs<Components> pairs(of, tile, scores);
    for (int b = 0; b < count; ++b) {
        const std::int64_t k = static_cast<std::int64_t>(whose[b]);
        pairs.add(k, b, NO_SCORE);
        done[k] |= rows_of_tile{1} << b;
    }
    pairs.finish();
    for (int b = 0; b < TILE; ++b)
        floor[b] = b < count ? scores[static_cast<std::int64_t>(whose[b]) * TILE + b] + NEGLIGIBLE - floor[b] : -NO_SCORE;
    std::int64_t found = count;
    for (std::int64_t k = 0; k < m.k; ++k) {
        rows_of_tile near = not_below(scores + k * TILE, floor) & ~done[k];
        if (!near) continue;
        found += __builtin_popcount(near);
        if (__builtin_popcount(near) < Components::MANY) {
            for (; near; near &= near - 1) pairs.add(k, __builtin_ctz(near), floor[__builtin_ctz(near)]);
            continue;
        }
        for (int first = 0; first < TILE; first += WIDTH)
            if (near >> first & ((std::uint64_t{1} << WIDTH) - 1))
                score_whole(of, k, tile.columns + first, scores + k * TILE + first);
    }
    pairs.finish();
    return Components::CROWD * found <= m.k * count;
}

}  // namespace stream_mix::STREAM_MIX_ISA
