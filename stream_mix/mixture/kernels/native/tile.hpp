// A tile of rows, twice: column by column for the scores, row by row for the sums.
#pragma once

#include "problem.hpp"
#include "simd.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// Rows of a tile, one bit each.
using rows_of_tile = std::uint32_t;
static_assert(TILE == 32);

struct Tile {
    double* columns;  // (Layout::columns, TILE), and room for a whole register of them
    double* rows;     // (TILE, Layout::stride)
    double* end;      // the workspace behind
    std::int64_t stride;

    Tile(const Layout& size, double* workspace)
        : columns(workspace),
          rows(workspace + padded(size.columns) * TILE),
          end(rows + size.stride * TILE),
          stride(size.stride) {
        __builtin_memset(rows, 0, sizeof(double) * size.stride * TILE);
    }

    // Rows start to start + count; the rest of the tile is 0. `squares`: whether y^2 is to stand behind y, where sums, or
    // scores of rows with holes, are made of it. False where a value is missing and must not be, or too large.
    bool fill(const Mixture& m, const Rows& from, std::int64_t start, int count, bool squares) {
        if (from.single)
            read(m, static_cast<const float*>(from.x) + start * from.row_stride, from, count);
        else
            read(m, static_cast<const double*>(from.x) + start * from.row_stride, from, count);
        if (m.holes) mark_observed(m, count);
        if (m.second == Second::diag && squares) square_rows(m, count);
        turn(m.holes ? Layout(m).columns : m.d);
        if (!m.holes && unfit(m)) return false;
        if (m.second == Second::full && m.d <= WIDE_FEATURES) widen(m);
        if (m.scores == Scores::round) lengths(m, columns + m.d * TILE);
        return true;
    }

    // 1 for what a row has and 0 for what it lacks, behind y and y^2; and 0 for y where it lacks it.
    void mark_observed(const Mixture& m, int count) {
        for (int b = 0; b < count; ++b)
            for (std::int64_t j = 0; j < m.d; ++j) {
                double& y = rows[b * stride + j];
                const bool there = y == y;
                y = there ? y : 0.0;
                rows[b * stride + 2 * m.d + j] = there ? 1.0 : 0.0;
            }
    }

    // Whether any value is missing or too large: then it, or 0 times it, is NaN, which every sum with it is.
    bool unfit(const Mixture& m) const {
        vec total[TILE / W] = {};
        for (std::int64_t j = 0; j < m.d; ++j)
            for (int v = 0; v < TILE / W; ++v) total[v] += load(columns + j * TILE + v * W) * m.overflow * 0.0;
        for (int v = 1; v < TILE / W; ++v) total[0] += total[v];
        return bits_of(total[0] != total[0]) != 0;
    }

    // y of each row.
    template <class Number>
    void read(const Mixture& m, const Number* x, const Rows& from, int count) {
        std::int64_t done = 0;
        if (from.column_stride == 1) {
            done = m.d / W * W;
            for (int b = 0; b < count && done; ++b)
                for (std::int64_t j = 0; j < done; j += W) {
                    const Number* at = x + b * from.row_stride + j;
                    __builtin_prefetch(at + TILE * from.row_stride);  // of the next tile; beyond the end it does nothing
                    store(rows + b * stride + j, (load_numbers(at) - load(m.origin + j)) * load(m.inverse_scale + j) -
                                                     load(m.centre + j));
                }
        }
        for (std::int64_t j = done; j < m.d; ++j) {
            const double origin = m.origin[j], inverse = m.inverse_scale[j], centre = m.centre[j];
            const Number* value = x + j * from.column_stride;
            for (int b = 0; b < count; ++b)
                rows[b * stride + j] = (static_cast<double>(value[b * from.row_stride]) - origin) * inverse - centre;
        }
        for (int b = count; b < TILE; ++b) __builtin_memset(rows + b * stride, 0, sizeof(double) * stride);
    }

    static vec load_numbers(const double* at) { return load(at); }
    static vec load_numbers(const float* at) {
        vec v;
        for (int i = 0; i < W; ++i) v[i] = at[i];
        return v;
    }

    // columns = the first numbers of each row, as many as asked for and up to the next whole register.
    void turn(std::int64_t width) {
        for (std::int64_t j = 0; j < width; j += W)
            for (int b = 0; b < TILE; b += W) transpose(rows + b * stride + j, stride, columns + j * TILE + b, TILE);
    }

    // y^2 behind y. What lies behind y^2 is not touched: there stands what is observed, or 0.
    void square_rows(const Mixture& m, int count) {
        const std::int64_t done = m.d / W * W;
        for (int b = 0; b < count && done; ++b)
            for (std::int64_t j = 0; j < done; j += W) {
                const vec y = load(rows + b * stride + j);
                store(rows + b * stride + m.d + j, y * y);
            }
        for (std::int64_t j = done; j < m.d; ++j)
            for (int b = 0; b < count; ++b) {
                const double y = rows[b * stride + j];
                rows[b * stride + m.d + j] = y * y;
            }
    }

    // Wide rows: y, and behind it y_i y_j for i <= j, from the columns.
    void widen(const Mixture& m) {
        double* product = columns + m.d * TILE;
        for (std::int64_t i = 0; i < m.d; ++i)
            for (std::int64_t j = i; j < m.d; ++j, product += TILE)
                for (int v = 0; v < TILE; v += W)
                    store(product + v, load(columns + i * TILE + v) * load(columns + j * TILE + v));
        for (std::int64_t c = m.d / W * W; c < stride; c += W)
            for (int b = 0; b < TILE; b += W) transpose(columns + c * TILE + b, TILE, rows + b * stride + c, stride);
    }

    // |y|^2 of each row.
    void lengths(const Mixture& m, double* out) const {
        vec total[TILE / W] = {};
        for (std::int64_t j = 0; j < m.d; ++j)
            for (int v = 0; v < TILE / W; ++v) {
                const vec y = load(columns + j * TILE + v * W);
                total[v] += y * y;
            }
        for (int v = 0; v < TILE / W; ++v) store(out + v * W, total[v]);
    }

    // Upper triangle of sum w y y' over the rows of the tile.
    void add_pooled(const Mixture& m, const Layout& size, const double* w, int count, double* pooled) const {
        for (std::int64_t i = 0; i < m.d; ++i) {
            double wy[TILE];
            for (int b = 0; b < count; ++b) wy[b] = columns[i * TILE + b] * w[b];
            for (std::int64_t c = i / W * W; c < size.row; c += W) {
                vec total = load(pooled + i * size.row + c);
                for (int b = 0; b < count; ++b) total += splat(wy[b]) * load(rows + b * stride + c);
                store(pooled + i * size.row + c, total);
            }
        }
    }
};

}  // namespace stream_mix::STREAM_MIX_ISA
