// Bounds of scores that cost one multiplication a feature, and whole scores only where a bound is not negligible.
//
// A component's precision P is at least c Q, with Q the inverse of the mean covariance of all components, so that
//     score = peak - (y - m)' P (y - m) / 2 <= peak - c m' Q m / 2 + c (Q m)' y - c y' Q y / 2,
// which is linear in y and in y' Q y, and that is the same for all components. A guess of the score is the same with t, the
// mean of P over Q in all directions, in place of c: peak + (bound - peak) t / c.
#pragma once

#include "single.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// Squared lengths up to which rows are for single precision.
constexpr double WIDE = 1e30;

// Room to find out which components each row of a tile is near to, and what is found.
struct Nearness {
    float* columns;      // (d + 1, TILE) the tile in single precision, y' Q y behind it
    float* bounds;       // (k, TILE)
    rows_of_tile* rows;  // (k,) the rows that are near to each component: those of which the score may not be negligible
};

// Where the bounds of a packed mixture lie, in single precision: `bound` (reach.cpp) fills them.
struct Reach {
    double* head;      // whether they are there; their error: a constant, and a factor of the squared length below
    double* unit;      // (row,) a precision for each feature: sum unit y^2 is a row's squared length
    double* triangle;  // full: the root of Q, as pack_triangle leaves it; diag: Q is `unit`
    float* theta;      // blocks of LINES components: constant, d factors of y, factor of y' Q y; and of the guess, which
                       // is linear in the bound, constant and factor
    std::int64_t d, k;
    bool full;

    Reach(const Mixture& m, const Layout& size, const double* packed)
        : head(const_cast<double*>(packed) + size.scores),
          unit(head + 8),
          triangle(unit + size.row),
          theta(reinterpret_cast<float*>(triangle + (m.scores == Scores::full ? padded(Layout::triangle(m.d)) : 0))),
          d(m.d),
          k(m.k),
          full(m.scores == Scores::full) {}

    bool there() const { return head[0] != 0.0; }

    // Bounds (k, TILE) of a tile's columns, whose guess is the largest, and by how much rounding may mislead.
    void bound(const double* columns, const Nearness& to, float* whose, double* error) const {
        for (int first = 0; first < TILE; first += WIDTH) narrow(columns + first, to.columns + first, error + first);
        for (int first = 0; first < TILE; first += FLOATS * V)
            bound_some(to.columns + first, to.bounds + first, whose + first);
    }

  private:
    // y and y' Q y in single precision, for WIDTH rows.
    void narrow(const double* columns, float* singles, double* error) const {
        vec length[VECTORS] = {}, squared[VECTORS];
        for (std::int64_t j = 0; j < d; ++j)
            for (int v = 0; v < VECTORS; ++v) {
                const vec y = load(columns + j * TILE + v * W);
                length[v] += splat(unit[j]) * (y * y);
                store_half(singles + j * TILE + v * W, y);
            }
        if (full)
            whitened_lengths<VECTORS>(triangle, nullptr, d, columns, squared);
        else
            __builtin_memcpy(squared, length, sizeof squared);
        for (int v = 0; v < VECTORS; ++v) {
            store_half(singles + d * TILE + v * W, squared[v]);
            // A row that single precision may not hold is near everything.
            const vec wide = select(above(splat(WIDE), length[v]), head[1] + head[2] * length[v], splat(__builtin_inf()));
            store(error + v * W, wide);
        }
    }

    void bound_some(const float* singles, float* bounds, float* whose) const {
        fvec most[FLOATS], best[FLOATS];
        for (int v = 0; v < FLOATS; ++v) most[v] = splat(LOWEST), best[v] = fvec{};
        const float* block = theta;
        for (std::int64_t first = 0; first < k; first += LINES) {
            fvec s[LINES][FLOATS];
            block = single_block(d + 1, block, singles, s);
            for (int r = 0; r < LINES; ++r, ++block) {
                const fvec own = splat(static_cast<float>(first + r));
                for (int v = 0; v < FLOATS; ++v) {
                    store(bounds + (first + r) * TILE + v * V, s[r][v]);
                    const fvec guess = splat(block[0]) + splat(block[LINES]) * s[r][v];
                    best[v] = select(above(guess, most[v]), own, best[v]);
                    most[v] = max(guess, most[v]);
                }
            }
            block += LINES;
        }
        for (int v = 0; v < FLOATS; ++v) store(whose + v * V, best[v]);
    }
};

// The rows of a tile of which the bound is not below the floor; NaN is not.
inline rows_of_tile not_below(const float* bounds, const float* floor) {
    rows_of_tile rows = 0;
    for (int v = 0; v < TILE; v += V)
        rows |= static_cast<rows_of_tile>(ALL_FLOATS & ~bits_of(above(load(floor + v), load(bounds + v)))) << v;
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

// Scores (k, TILE) of the components that some rows are near to; among them those that are negligible beside another of
// the same row may be too large, and negligible all the same. `count` rows are there. False where so many were not
// negligible that all would have cost less.
template <class Components>
inline bool score_near(const Mixture& m, const Components& of, const Reach& reach, const Tile& tile, int count,
                       double* scores, const Nearness& near) {
    alignas(64) float whose[TILE], floor[TILE];
    alignas(64) double error[TILE];
    reach.bound(tile.columns, near, whose, error);
    __builtin_memset(near.rows, 0, sizeof(rows_of_tile) * m.k);
    const auto begin = [&](std::int64_t k) {
        for (int v = 0; v < TILE; v += W) store(scores + k * TILE + v, load_half(near.bounds + k * TILE + v));
    };
    for (int b = 0; b < count; ++b) {
        rows_of_tile& rows = near.rows[static_cast<std::int64_t>(whose[b])];
        if (!rows) begin(static_cast<std::int64_t>(whose[b]));
        rows |= rows_of_tile{1} << b;
    }
    Pairs<Components> pairs(of, tile, scores);
    for (int b = 0; b < count; ++b) pairs.add(static_cast<std::int64_t>(whose[b]), b, NO_SCORE);
    pairs.finish();
    for (int b = 0; b < TILE; ++b) floor[b] = -LOWEST;
    for (int b = 0; b < count; ++b) {
        const double score = scores[static_cast<std::int64_t>(whose[b]) * TILE + b];
        floor[b] = static_cast<float>(score + NEGLIGIBLE - error[b] - 0x1p-22 * __builtin_fabs(score));
    }
    const rows_of_tile filled = count == TILE ? ~rows_of_tile{0} : (rows_of_tile{1} << count) - 1;
    std::int64_t found = count;
    for (std::int64_t k = 0; k < m.k; ++k) {
        rows_of_tile others = not_below(near.bounds + k * TILE, floor) & filled & ~near.rows[k];
        if (!others) continue;
        if (!near.rows[k]) begin(k);
        near.rows[k] |= others;
        found += __builtin_popcount(others);
        if (__builtin_popcount(others) < Components::MANY) {
            for (; others; others &= others - 1) pairs.add(k, __builtin_ctz(others), floor[__builtin_ctz(others)]);
            continue;
        }
        for (int first = 0; first < TILE; first += WIDTH)
            if (others >> first & ((std::uint64_t{1} << WIDTH) - 1))
                score_whole(of, k, tile.columns + first, scores + k * TILE + first);
    }
    pairs.finish();
    return Components::CROWD * found <= m.k * count;
}

}  // namespace stream_mix::STREAM_MIX_ISA
