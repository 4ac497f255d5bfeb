// A tile of rows, twice: column by column for the scores, row by row for the sums.
#pragma once

#include "problem.hpp"
#include "simd.hpp"

namespace stream_mix::STREAM_MIX_ISA {

struct Tile {
    double* columns;  // (Layout::features, TILE)
    double* rows;     // (TILE, Layout::second)
    double* end;      // the workspace behind
    std::int64_t stride;

    Tile(const Mixture& m, const Layout& size, double* workspace)
        : columns(workspace),
          rows(workspace + size.features * TILE),
          end(rows + size.second * TILE),
          stride(size.second) {
        __builtin_memset(rows, 0, sizeof(double) * size.second * TILE);
        (void)m;
    }

    // Rows start to start + count; the rest of the tile is 0. False where a value is missing and must not be.
    bool fill(const Mixture& m, const Rows& from, std::int64_t start, int count) {
        if (from.single)
            read(m, static_cast<const float*>(from.x) + start * from.row_stride, from, count);
        else
            read(m, static_cast<const double*>(from.x) + start * from.row_stride, from, count);
        if (m.holes) mark_observed(m, count);
        turn(m.d);
        if (!m.holes && missing(m)) return false;
        if (m.second == Second::diag) square_rows(m, count);
        widen(m);
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
        for (std::int64_t j = 2 * m.d; j < 3 * m.d; ++j)
            for (int b = 0; b < TILE; ++b) columns[j * TILE + b] = rows[b * stride + j];
    }

    // Whether any value is NaN, which every sum with it is.
    bool missing(const Mixture& m) const {
        vec total{};
        for (std::int64_t i = 0; i < m.d * TILE; i += W) total += load(columns + i) * 0.0;
        return bits_of(total != total) != 0;
    }

    // y of each row.
    template <class Number>
    void read(const Mixture& m, const Number* x, const Rows& from, int count) {
        for (int b = 0; b < count; ++b) {
            const Number* value = x + b * from.row_stride;
            double* row = rows + b * stride;
            if (from.column_stride == 1)
                for (std::int64_t j = 0; j < m.d; ++j)
                    row[j] = (static_cast<double>(value[j]) - m.origin[j]) * m.inverse_scale[j] - m.centre[j];
            else
                for (std::int64_t j = 0; j < m.d; ++j)
                    row[j] = (static_cast<double>(value[j * from.column_stride]) - m.origin[j]) * m.inverse_scale[j] -
                             m.centre[j];
        }
        for (int b = count; b < TILE; ++b) __builtin_memset(rows + b * stride, 0, sizeof(double) * stride);
    }

    // columns = the first d numbers of each row.
    void turn(std::int64_t d) {
        const std::int64_t whole = d / W * W;
        for (std::int64_t j = 0; j < whole; j += W)
            for (int b = 0; b < TILE; b += W) transpose(rows + b * stride + j, stride, columns + j * TILE + b, TILE);
        for (std::int64_t j = whole; j < d; ++j)
            for (int b = 0; b < TILE; ++b) columns[j * TILE + b] = rows[b * stride + j];
    }

    void square_rows(const Mixture& m, int count) {
        for (int b = 0; b < count; ++b) {
            double* row = rows + b * stride;
            for (std::int64_t j = 0; j < m.d; ++j) row[m.d + j] = row[j] * row[j];
        }
    }

    // The features of the scores beyond y.
    void widen(const Mixture& m) {
        if (m.scores == Scores::diag) {
            for (std::int64_t i = 0; i < m.d * TILE; i += W) {
                const vec y = load(columns + i);
                store(columns + m.d * TILE + i, y * y);
            }
        } else if (m.scores == Scores::round) {
            lengths(m, columns + m.d * TILE);
        }
    }

    // |y|^2 of each row.
    void lengths(const Mixture& m, double* out) const {
        for (int v = 0; v < TILE; v += W) {
            vec total{};
            for (std::int64_t j = 0; j < m.d; ++j) {
                const vec y = load(columns + j * TILE + v);
                total += y * y;
            }
            store(out + v, total);
        }
    }

    // Upper triangle of sum w y y' over the rows of the tile.
    void add_pooled(const Mixture& m, const Layout& size, const double* w, int count, double* pooled) const {
        for (std::int64_t i = 0; i < m.d; ++i) {
            double wy[TILE];
            for (int b = 0; b < count; ++b) wy[b] = columns[i * TILE + b] * (w ? w[b] : 1.0);
            for (std::int64_t c = i / W * W; c < size.row; c += W) {
                vec total = load(pooled + i * size.row + c);
                for (int b = 0; b < count; ++b) total += splat(wy[b]) * load(rows + b * stride + c);
                store(pooled + i * size.row + c, total);
            }
        }
    }
};

}  // namespace stream_mix::STREAM_MIX_ISA
