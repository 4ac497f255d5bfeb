// The sums of a tile of rows under their responsibilities.
#pragma once

#include "problem.hpp"
#include "simd.hpp"
#include "tile.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// Whether y^2 is worked out when it is added, not before: where whole registers hold y.
inline bool squared_late(const Mixture& m) { return m.second == Second::diag && !m.holes && m.d % W == 0; }

// Registers of numbers that are summed together.
constexpr int TOGETHER = W == 8 ? 4 : 2;

// A few rows of a tile and what each counts. Their number is known when compiled, so that no loop over them ends by
// surprise: rows that count 0 fill it up.
template <int N>
struct Few {
    vec count[N];
    const double* row[N];

    Few(const Tile& tile, const double* r, rows_of_tile& left) {
        for (int i = 0; i < N; ++i) {
            const int b = left ? __builtin_ctz(left) : 0;
            count[i] = left ? splat(r[b]) : vec{};
            row[i] = tile.rows + b * tile.stride;
            left &= left - 1;
        }
    }
    // sums += count * numbers of the row
    void add(double* sums, std::int64_t width) const {
        for (std::int64_t c = 0; c < width; c += W) {
            vec total = load(sums + c);
            for (int i = 0; i < N; ++i) total += count[i] * load(row[i] + c);
            store(sums + c, total);
        }
    }
    // The same, and behind it sums += count * their squares.
    void add_squared(double* sums, std::int64_t width) const {
        for (std::int64_t c = 0; c < width; c += W) {
            vec total = load(sums + c), squares = load(sums + width + c);
            for (int i = 0; i < N; ++i) {
                const vec y = load(row[i] + c), once = count[i] * y;
                total += once;
                squares += once * y;
            }
            store(sums + c, total);
            store(sums + width + c, squares);
        }
    }
    // The upper triangle of matrix += count y y', in whole registers: from the one that holds the diagonal on.
    void add_outer(double* matrix, std::int64_t d, std::int64_t width) const {
        for (std::int64_t i = 0; i < d; ++i, matrix += width) {
            vec factor[N];
            for (int l = 0; l < N; ++l) factor[l] = count[l] * splat(row[l][i]);
            for (std::int64_t c = i / W * W; c < width; c += W) {
                vec total = load(matrix + c);
                for (int l = 0; l < N; ++l) total += factor[l] * load(row[l] + c);
                store(matrix + c, total);
            }
        }
    }
};

// N sums, each in C registers, += factor_n (TILE,) times the rows' numbers from column c on: a product of matrices. With
// `Squared` so many numbers further on those += factor_n times the squares.
template <int N, int C, bool Squared>
inline void add_product(const Tile& tile, double* const (&sums)[BLOCK], const double* const (&factor)[BLOCK],
                        std::int64_t c, std::int64_t further) {
    vec total[N][C], squares[N][C] = {};
    for (int n = 0; n < N; ++n)
        for (int u = 0; u < C; ++u) {
            total[n][u] = load(sums[n] + c + u * W);
            if (Squared) squares[n][u] = load(sums[n] + further + c + u * W);
        }
    const double* row = tile.rows + c;
    for (int b = 0; b < TILE; ++b, row += tile.stride) {
        vec number[C], square[C] = {};
        for (int u = 0; u < C; ++u) {
            number[u] = load(row + u * W);
            if (Squared) square[u] = number[u] * number[u];
        }
        for (int n = 0; n < N; ++n) {
            const vec f = splat(factor[n][b]);
            for (int u = 0; u < C; ++u) total[n][u] += f * number[u];
            for (int u = 0; Squared && u < C; ++u) squares[n][u] += f * square[u];
        }
    }
    for (int n = 0; n < N; ++n)
        for (int u = 0; u < C; ++u) {
            store(sums[n] + c + u * W, total[n][u]);
            if (Squared) store(sums[n] + further + c + u * W, squares[n][u]);
        }
}

template <int N, bool Squared>
inline void add_products(const Tile& tile, double* const (&sums)[BLOCK], const double* const (&factor)[BLOCK],
                         std::int64_t first, std::int64_t width) {
    constexpr int C = Squared ? TOGETHER / 2 : TOGETHER;
    std::int64_t c = first;
    for (; c + C * W <= width; c += C * W) add_product<N, C, Squared>(tile, sums, factor, c, width);
    const std::int64_t left = (width - c) / W;
    if (C > 3 && left == 3) add_product<N, 3, Squared>(tile, sums, factor, c, width);
    if (C > 2 && left == 2) add_product<N, 2, Squared>(tile, sums, factor, c, width);
    if (left == 1) add_product<N, 1, Squared>(tile, sums, factor, c, width);
}

// The same for any number up to BLOCK of them.
template <bool Squared>
inline void add_products(const Tile& tile, int count, double* const (&sums)[BLOCK],
                         const double* const (&factor)[BLOCK], std::int64_t first, std::int64_t width) {
    if (count == 1) return add_products<1, Squared>(tile, sums, factor, first, width);
    if (count == 2) return add_products<2, Squared>(tile, sums, factor, first, width);
    if (count == 3) return add_products<3, Squared>(tile, sums, factor, first, width);
    add_products<4, Squared>(tile, sums, factor, first, width);
}

// Where the sums of each component lie, `each` apart: `width` numbers of a row, and then their squares, or y y', or nothing.
enum class Behind { nothing, squares, outer };
struct Place {
    double* sums;
    std::int64_t each, width;
    Behind behind;
    bool outer() const { return behind == Behind::outer; }
};

// Adds a tile to the sums, component after component.
struct TileSums {
    const Mixture& m;
    const Layout& size;
    const Tile& tile;
    double* scaled;  // (d, TILE), room for r y of one component
    double* own[BLOCK];
    const double* factor[BLOCK];
    const Place to;
    int waiting = 0;

    TileSums(const Mixture& mixture, const Layout& layout, const Tile& rows, double* room, const Place& place)
        : m(mixture), size(layout), tile(rows), scaled(room), to(place) {}

    // Whether these of a tile's rows are summed by themselves, rather than all, those that count 0 too.
    bool few(rows_of_tile rows) const {
        const bool wide = to.outer() || (to.behind == Behind::nothing && to.width > W);
        return __builtin_popcount(rows) < (wide ? 20 : 10);
    }

    // r (TILE,) is what each row counts for component k.
    void add(std::int64_t k, const double* r) {
        double* sums = to.sums + k * to.each;
        own[waiting] = sums;
        factor[waiting] = r;
        if (++waiting == BLOCK) finish();
        if (to.outer()) add_outer(sums + to.width, r);
    }

    // The same of these rows alone: r need not be there for others.
    void add_few(std::int64_t k, const double* r, rows_of_tile rows) const {
        double* sums = to.sums + k * to.each;
        while (rows) {
            const int count = __builtin_popcount(rows);
            if (count > 2)
                add_some<4>(sums, r, rows);
            else if (count == 2)
                add_some<2>(sums, r, rows);
            else
                add_some<1>(sums, r, rows);
        }
    }

    // What waits for company.
    void finish() {
        if (waiting && to.behind == Behind::squares)
            add_products<true>(tile, waiting, own, factor, 0, to.width);
        else if (waiting)
            add_products<false>(tile, waiting, own, factor, 0, to.width);
        waiting = 0;
    }

  private:
    template <int N>
    void add_some(double* sums, const double* r, rows_of_tile& rows) const {
        const Few<N> few(tile, r, rows);
        if (to.behind == Behind::squares) return few.add_squared(sums, to.width);
        few.add(sums, to.width);
        if (to.outer()) few.add_outer(sums + to.width, m.d, size.row);
    }

    // The upper triangle of matrix += sum r y y', four rows of it at a time.
    void add_outer(double* matrix, const double* r) const {
        for (std::int64_t i = 0; i < m.d; ++i)
            for (int v = 0; v < TILE; v += W)
                store(scaled + i * TILE + v, load(tile.columns + i * TILE + v) * load(r + v));
        for (std::int64_t i = 0; i < m.d; i += BLOCK) {
            const int count = static_cast<int>(m.d - i < BLOCK ? m.d - i : BLOCK);
            double* lines[BLOCK];
            const double* factors[BLOCK];
            for (int l = 0; l < BLOCK; ++l) {
                lines[l] = matrix + (i + (l < count ? l : 0)) * size.row;
                factors[l] = scaled + (i + (l < count ? l : 0)) * TILE;
            }
            add_products<false>(tile, count, lines, factors, i / W * W, size.row);
        }
    }
};

}  // namespace stream_mix::STREAM_MIX_ISA
