// Scores of a tile of rows under all components.
#pragma once

#include "reach.hpp"
#include "single.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// Blocks of four components, feature by feature, the constant first; then the shared triangle, if there is one.
inline void pack_linear(const Mixture& m, std::int64_t features, double* out) {
    for (std::int64_t k = 0; k < m.k; k += BLOCK)
        for (std::int64_t i = 0; i <= features; ++i)
            for (std::int64_t b = k; b < k + BLOCK; ++b)
                *out++ = b < m.k ? m.theta[b * (1 + features) + i] : i ? 0.0 : NO_SCORE;
    if (m.whiten) pack_triangle(m.whiten, m.d, out);
}

inline void pack_scores(const Mixture& m, const Layout& size, double* out) {
    if (m.scores == Scores::full) return pack_full(m, out);
    if (m.scores == Scores::diag && !m.holes) return pack_diag(m, size, out);
    pack_linear(m, size.features, out);
    if (m.scores == Scores::linear) pack_single(m, size, out);
}

inline void score_linear(const Mixture& m, std::int64_t features, const double* packed, const Tile& tile,
                         double* scores) {
    for (int first = 0; first < TILE; first += WIDTH) {
        const double* theta = packed;
        for (std::int64_t k = 0; k < m.k; k += BLOCK) {
            vec s[BLOCK][VECTORS];
            theta = linear_block(features, theta, tile.columns + first, s);
            for (int r = 0; r < BLOCK; ++r)
                for (int v = 0; v < VECTORS; ++v) store(scores + (k + r) * TILE + first + v * W, s[r][v]);
        }
    }
}

// Each row's largest score (TILE,), whose it is, the first where several are, and, if asked for, the second largest.
template <bool Second>
inline void largest_linear(const Mixture& m, std::int64_t features, const double* packed, const Tile& tile, double* top,
                           double* label, double* second) {
    for (int first = 0; first < TILE; first += WIDTH) {
        const double* theta = packed;
        vec most[VECTORS], next[VECTORS], best[VECTORS];
        for (int v = 0; v < VECTORS; ++v) most[v] = next[v] = splat(NO_SCORE), best[v] = vec{};
        for (std::int64_t k = 0; k < m.k; k += BLOCK) {
            vec s[BLOCK][VECTORS];
            theta = linear_block(features, theta, tile.columns + first, s);
            for (int r = 0; r < BLOCK; ++r) {
                const vec whose = splat(static_cast<double>(k + r));
                for (int v = 0; v < VECTORS; ++v) {
                    best[v] = select(above(s[r][v], most[v]), whose, best[v]);
                    if (Second) next[v] = max(min(s[r][v], most[v]), next[v]);
                    most[v] = max(s[r][v], most[v]);
                }
            }
        }
        for (int v = 0; v < VECTORS; ++v) {
            store(top + first + v * W, most[v]);
            store(label + first + v * W, best[v]);
            if (Second) store(second + first + v * W, next[v]);
        }
    }
}

// Some of k components, by number, or all of them.
struct Listed {
    const std::int64_t* some;  // null: all
    std::int64_t count;
    std::int64_t operator[](std::int64_t i) const { return some ? some[i] : i; }
};

// The same from scores (k, TILE) of the listed components; whose it is only where that is wanted.
template <bool Whose>
inline void largest(const Listed& listed, const double* scores, double* top, double* label) {
    for (int first = 0; first < TILE; first += WIDTH) {
        vec most[VECTORS], best[VECTORS];
        for (int v = 0; v < VECTORS; ++v) {
            most[v] = load(scores + listed[0] * TILE + first + v * W);
            best[v] = splat(static_cast<double>(listed[0]));
        }
        for (std::int64_t i = 1; i < listed.count; ++i) {
            const std::int64_t k = listed[i];
            const vec whose = splat(static_cast<double>(k));
            for (int v = 0; v < VECTORS; ++v) {
                const vec score = load(scores + k * TILE + first + v * W);
                if (Whose) best[v] = select(above(score, most[v]), whose, best[v]);
                most[v] = max(score, most[v]);
            }
        }
        for (int v = 0; v < VECTORS; ++v) {
            store(top + first + v * W, most[v]);
            if (Whose) store(label + first + v * W, best[v]);
        }
    }
}

// The part (TILE,) of the log density that all components share.
inline void shared_part(const Mixture& m, const Layout& size, const double* packed, const Tile& tile,
                        double* quadratic) {
    if (m.scores != Scores::linear) {
        __builtin_memset(quadratic, 0, sizeof(double) * TILE);
        return;
    }
    if (!m.whiten) {
        tile.lengths(m, quadratic);
        for (int v = 0; v < TILE; v += W) store(quadratic + v, load(quadratic + v) * (-0.5 * m.precision));
        return;
    }
    const double* triangle = packed + (m.k + BLOCK - 1) / BLOCK * BLOCK * (size.features + 1);
    for (int first = 0; first < TILE; first += WIDTH) {
        vec length[VECTORS];
        whitened_lengths<VECTORS>(triangle, nullptr, m.d, tile.columns + first, length);
        for (int v = 0; v < VECTORS; ++v) store(quadratic + first + v * W, -0.5 * length[v]);
    }
}

// What saves work for most rows, unless the tile before said that it does not pay: that is asked again after a while.
struct Sparing {
    // Of rows for which it never pays, one tile in sixteen is worked on twice.
    static constexpr int PAUSE = 15;
    int pause = 0;

    // Labels (TILE,) with what bounds the two largest scores: exact where single precision is not there or does not pay.
    void label(const Mixture& m, const Layout& size, const double* packed, const Tile& tile, int count, float* room,
               double* top, double* label, double* second) {
        const Single single(m, size, packed);
        if (pause > 0 || !single.there()) {
            pause -= pause > 0;
            return largest_linear<true>(m, size.features, packed, tile, top, label, second);
        }
        if (!label_single(m, single, packed, tile, count, room, top, label, second)) pause = PAUSE;
    }

    // Scores of `count` rows; false where they are those of all components for all rows.
    template <class Components>
    bool score(const Mixture& m, const Components& of, const Reach& reach, const Tile& tile, int count, double* scores,
               const Nearness& near) {
        const bool all = pause > 0 || !reach.there();
        pause -= pause > 0;
        if (all) score_all(m, of, tile, scores);
        else if (!score_near(m, of, reach, tile, count, scores, near)) pause = PAUSE;
        return !all;
    }
};

// Scores (k, TILE) without the part that all components share, of `count` rows. True where they are those of components
// that some rows are near to; of these a negligible one may be larger than it is.
inline bool score_tile(const Mixture& m, const Layout& size, const double* packed, const Tile& tile, int count,
                       Sparing& sparing, double* scores, const Nearness& near) {
    const bool full = m.scores == Scores::full, bounded = size.bounded && m.bounds;
    const Triangles triangles(m, size, packed);
    const Diagonals diagonals(m, size, packed);
    if (!full && (m.scores != Scores::diag || m.holes)) {
        score_linear(m, size.features, packed, tile, scores);
    } else if (bounded) {
        const Reach reach(m, size, packed);
        return full ? sparing.score(m, triangles, reach, tile, count, scores, near)
                    : sparing.score(m, diagonals, reach, tile, count, scores, near);
    } else if (full) {
        score_all(m, triangles, tile, scores);
    } else {
        score_all(m, diagonals, tile, scores);
    }
    return false;
}

}  // namespace stream_mix::STREAM_MIX_ISA
