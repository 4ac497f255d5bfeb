// The likeliest of components of which scores are linear, in single precision: labels are exact all the same, since rows
// that rounding leaves unsure are worked out again.
#pragma once

#include "simd_float.hpp"
#include "whitened.hpp"

namespace stream_mix::STREAM_MIX_ISA {

constexpr int LINES = W == 8 ? 8 : 4;  // components that are worked on together
constexpr int FLOATS = 2;              // vectors of rows that are worked on together
static_assert(TILE % (FLOATS * V) == 0);
// Multiplications for a row from which on single precision is worth while.
constexpr std::int64_t SINGLE_WORK = 128;
// One in how many rows may be unsure before double precision costs less: half of the work is saved, and a row by itself
// costs a few times its share of a tile.
constexpr int UNSURE = 8;
// Beyond it no number is for single precision.
constexpr double WIDEST = 1e18;
constexpr float LOWEST = -3e38f;

// Scores of LINES components, linear in the features, for FLOATS vectors of rows; the next block of the mixture.
inline const float* single_block(std::int64_t features, const float* theta, const float* column, fvec (&s)[LINES][FLOATS]) {
    for (int r = 0; r < LINES; ++r)
        for (int v = 0; v < FLOATS; ++v) s[r][v] = splat(theta[r]);
    theta += LINES;
    for (std::int64_t f = 0; f < features; ++f, theta += LINES, column += TILE)
        for (int v = 0; v < FLOATS; ++v) {
            const fvec y = load(column + v * V);
            for (int r = 0; r < LINES; ++r) s[r][v] += splat(theta[r]) * y;
        }
    return theta;
}

// Where the mixture in single precision lies: `pack_single` fills it.
struct Single {
    double* head;  // whether it is there; the error of a score: a constant, and a factor of the row's length
    float* theta;  // blocks of LINES components: constant, d factors of y
    std::int64_t k, d;

    Single(const Mixture& m, const Layout& size, const double* packed)
        : head(const_cast<double*>(packed) + size.scores), theta(reinterpret_cast<float*>(head + 8)), k(m.k), d(m.d) {}

    bool there() const { return head[0] != 0.0; }
};

inline void pack_single(const Mixture& m, const Layout& size, double* packed) {
    const Single to(m, size, packed);
    to.head[0] = 0.0;
    if (m.k * m.d < SINGLE_WORK) return;
    float* out = to.theta;
    double constant = 0.0, longest = 0.0, widest = 0.0;
    for (std::int64_t k = 0; k < m.k; k += LINES)
        for (std::int64_t i = 0; i <= m.d; ++i)
            for (std::int64_t b = k; b < k + LINES; ++b) {
                const double factor = b < m.k ? m.theta[b * (1 + m.d) + i] : 0.0, size_of = __builtin_fabs(factor);
                widest = size_of <= widest ? widest : size_of;
                *out++ = b >= m.k && !i ? LOWEST : static_cast<float>(size_of <= WIDEST ? factor : 0.0);
            }
    for (std::int64_t k = 0; k < m.k; ++k) {
        const double* theta = m.theta + k * (1 + m.d);
        const double own = __builtin_fabs(theta[0]);
        double squared = 0.0;
        for (std::int64_t j = 1; j <= m.d; ++j) squared += theta[j] * theta[j];
        constant = own > constant ? own : constant;
        longest = squared > longest ? squared : longest;
    }
    // Each number is rounded once, each product and sum too, to 2^-24 of what goes in; and as much again.
    const double rounding = static_cast<double>(m.d + 4) * 0x1p-23;
    to.head[0] = widest <= WIDEST ? 1.0 : 0.0;
    to.head[1] = rounding * constant + 1e-30;
    to.head[2] = rounding * __builtin_sqrt(longest);
}

// Each row's largest score, the second largest and whose the largest is, of FLOATS vectors of rows.
inline void largest_single(const Single& of, const float* columns, float* top, float* second, float* label) {
    const float* theta = of.theta;
    fvec most[FLOATS], next[FLOATS], best[FLOATS];
    for (int v = 0; v < FLOATS; ++v) most[v] = next[v] = splat(LOWEST), best[v] = fvec{};
    for (std::int64_t k = 0; k < of.k; k += LINES) {
        fvec s[LINES][FLOATS];
        theta = single_block(of.d, theta, columns, s);
        for (int r = 0; r < LINES; ++r) {
            const fvec whose = splat(static_cast<float>(k + r));
            for (int v = 0; v < FLOATS; ++v) {
                best[v] = select(above(s[r][v], most[v]), whose, best[v]);
                next[v] = max(min(s[r][v], most[v]), next[v]);
                most[v] = max(s[r][v], most[v]);
            }
        }
    }
    for (int v = 0; v < FLOATS; ++v) {
        store(top + v * V, most[v]);
        store(second + v * V, next[v]);
        store(label + v * V, best[v]);
    }
}

// The same of one row in double precision, from blocks of BLOCK components as pack_linear left them.
inline void largest_of_row(const Mixture& m, const double* theta, const double* row, double& top, double& second, double& label) {
    top = second = NO_SCORE;
    label = 0.0;
    for (std::int64_t k = 0; k < m.k; k += BLOCK) {
        four s = load_four(theta);
        theta += BLOCK;
        for (std::int64_t j = 0; j < m.d; ++j, theta += BLOCK) s += load_four(theta) * row[j];
        for (int r = 0; r < BLOCK && k + r < m.k; ++r) {
            const double score = s[r], less = score < top ? score : top;
            second = less > second ? less : second;
            label = score > top ? static_cast<double>(k + r) : label;
            top = score > top ? score : top;
        }
    }
}

// Of `count` rows of a tile: whose score is the largest, no more than it is, and no less than the second largest is.
// `columns` is room for (d, TILE) floats. False where so many rows were unsure that double precision costs less.
inline bool label_single(const Mixture& m, const Single& of, const double* packed, const Tile& tile, int count,
                         float* columns, double* top, double* label, double* second) {
    vec length[TILE / W] = {};
    for (std::int64_t j = 0; j < m.d; ++j)
        for (int v = 0; v < TILE / W; ++v) {
            const vec y = load(tile.columns + j * TILE + v * W);
            length[v] += y * y;
            store_half(columns + j * TILE + v * W, y);
        }
    alignas(64) float most[TILE], next[TILE], whose[TILE];
    for (int first = 0; first < TILE; first += FLOATS * V)
        largest_single(of, columns + first, most + first, next + first, whose + first);
    int unsure = 0;
    for (int v = 0; v < TILE / W; ++v) {
        const vec error = of.head[1] + of.head[2] * sqrt(length[v]);
        const vec low = load_half(most + v * W) - error, high = load_half(next + v * W) + error;
        store(top + v * W, low);
        store(second + v * W, high);
        store(label + v * W, load_half(whose + v * W));
        for (bits left = ALL & ~bits_of(above(low, high)); left; left &= left - 1) {
            const int b = v * W + __builtin_ctz(left);
            if (b >= count) continue;
            largest_of_row(m, packed, tile.rows + b * tile.stride, top[b], second[b], label[b]);
            ++unsure;
        }
    }
    return UNSURE * unsure <= count;
}

}  // namespace stream_mix::STREAM_MIX_ISA
