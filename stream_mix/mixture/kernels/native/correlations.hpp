// Correlation matrices of a register of components at once: factored, and solved with.
//
// `work` holds the lower triangle of a correlation matrix, row by row, its diagonal not looked at; later its Cholesky
// factor with the inverses of the diagonal on the diagonal. Below it stands a right-hand side, later the solution.
#pragma once

#include "live_lanes.hpp"

namespace stream_mix::STREAM_MIX_ISA {

constexpr int TILE = W == 8 ? 4 : 2;      // rows and columns that are held in registers together
constexpr double LEAST_PIVOT = 1e-13;     // of a correlation matrix: below it the factor has too few digits

static inline std::int64_t triangle(std::int64_t row) { return row * (row + 1) / 2; }
static inline double* row_of(double* work, std::int64_t row) { return work + triangle(row) * W; }

// acc -= (rows i...) (rows j...)' over the first `count` columns of the factor.
template <int R, int C>
static inline void subtract(double* work, std::int64_t i, std::int64_t j, std::int64_t count, vec (&acc)[R][C]) {
    const double *rows[R], *columns[C];
    for (int r = 0; r < R; ++r) rows[r] = row_of(work, i + r);
    for (int c = 0; c < C; ++c) columns[c] = row_of(work, j + c);
    for (std::int64_t t = 0; t < count * W; t += W) {
        vec b[C];
        for (int c = 0; c < C; ++c) b[c] = load(columns[c] + t);
        for (int r = 0; r < R; ++r) {
            const vec a = load(rows[r] + t);
            for (int c = 0; c < C; ++c) acc[r][c] -= a * b[c];
        }
    }
}

// Columns j to j + C of rows i to i + R, below the diagonal: R_ij, scaled by `keep`, becomes L_ij.
template <int R, int C>
static inline void below(double* work, std::int64_t i, std::int64_t j, vec keep) {
    vec acc[R][C];
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) acc[r][c] = keep * load(row_of(work, i + r) + (j + c) * W);
    subtract<R, C>(work, i, j, j, acc);
    for (int c = 0; c < C; ++c) {
        const double* column = row_of(work, j + c);
        for (int r = 0; r < R; ++r) {
            for (int b = 0; b < c; ++b) acc[r][c] -= acc[r][b] * load(column + (j + b) * W);
            acc[r][c] *= load(column + (j + c) * W);
            store(row_of(work, i + r) + (j + c) * W, acc[r][c]);
        }
    }
}

// The triangle on the diagonal, columns j to j + C; the pivots are multiplied into `pivots`.
template <int C>
static inline void diagonal(double* work, std::int64_t j, vec keep, Product& pivots, vec& least) {
    vec acc[C][C];
    for (int r = 0; r < C; ++r)
        for (int c = 0; c < C; ++c) acc[r][c] = c < r ? keep * load(row_of(work, j + r) + (j + c) * W) : splat(1.0);
    subtract<C, C>(work, j, j, j, acc);
    for (int c = 0; c < C; ++c) {
        for (int b = 0; b < c; ++b) acc[c][c] -= acc[c][b] * acc[c][b];
        // A NaN must not get lost: min() takes its second argument then.
        least = min(least, acc[c][c]);
        pivots.times(acc[c][c]);
        const vec inverse = 1.0 / sqrt(acc[c][c]);
        store(row_of(work, j + c) + (j + c) * W, inverse);
        for (int r = c + 1; r < C; ++r) {
            for (int b = 0; b < c; ++b) acc[r][c] -= acc[r][b] * acc[c][b];
            acc[r][c] *= inverse;
            store(row_of(work, j + r) + (j + c) * W, acc[r][c]);
        }
    }
}

template <int C>
static inline void column_block(double* work, std::int64_t d, std::int64_t j, vec keep, Product& pivots, vec& least) {
    diagonal<C>(work, j, keep, pivots, least);
    std::int64_t i = j + C;
    for (; i + TILE <= d; i += TILE) below<TILE, C>(work, i, j, keep);
    for (; i < d; ++i) below<1, C>(work, i, j, keep);
    if ((j & 511) > 511 - TILE) pivots.normal();
}

// Factors the correlations (d, d) in `work`, off the diagonal scaled by `keep`; which lanes kept their digits.
static inline ivec factor(double* work, std::int64_t d, vec keep, Product& pivots) {
    vec least = splat(1.0);
    std::int64_t j = 0;
    for (; j + TILE <= d; j += TILE) column_block<TILE>(work, d, j, keep, pivots, least);
    for (; j < d; ++j) column_block<1>(work, d, j, keep, pivots, least);
    return least > splat(LEAST_PIVOT);
}

// Solves L y = row d of `work`, in place.
static inline void solve(double* work, std::int64_t d) {
    std::int64_t j = 0;
    for (; j + TILE <= d; j += TILE) below<1, TILE>(work, d, j, splat(1.0));
    for (; j < d; ++j) below<1, 1>(work, d, j, splat(1.0));
}

// Keeps of the correlations (d, d) in `work`, and of row d, the n observed features. Nothing moves up past what is
// still to be read: feature `observed[a]` is number a or later.
static inline void cut_down(const Live& s) {
    if (s.n == s.d) return;
    for (std::int64_t a = 0; a <= s.n; ++a) {
        const double* from = row_of(s.work, a < s.n ? s.observed[a] : s.d);
        double* to = row_of(s.work, a);
        for (std::int64_t b = 0; b < (a < s.n ? a + 1 : s.n); ++b) store(to + b * W, load(from + s.observed[b] * W));
    }
}

}  // namespace stream_mix::STREAM_MIX_ISA
