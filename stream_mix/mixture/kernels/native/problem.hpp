// What the bindings hand to the hot loops: plain structs over memory that somebody else owns.
#pragma once

#include <cstddef>
#include <cstdint>

// Functions that files for several instruction sets share must leave no copy of their own behind: the linker would
// keep one for all.
#define STREAM_MIX_INLINE __attribute__((always_inline))

namespace stream_mix {

// What a component is like: families/*.py.
enum class Family : int { kmeans, spherical, diag, tied, full };

// Rows that a covariance of the family needs to be one: families/*.py.
STREAM_MIX_INLINE inline double rows_needed(Family family, std::int64_t d) {
    return family == Family::full ? static_cast<double>(d) + 1.0 : 2.0;
}

// How the past counts: memory.py, without the window.
enum class Memory : int { forever, half_life, time_half_life };

// Rows after which a row counts half in the running log-likelihood: learning.EVIDENCE_HALF_LIFE.
constexpr double EVIDENCE_HALF_LIFE = 4096.0;

// How the scores of a row depend on y, the row about the mixture's centre.
enum class Scores : int {
    linear,  // a constant and y; the quadratic term is the same for all components: kmeans, tied
    round,   // a constant, y and |y|^2: spherical
    diag,    // a constant, y and y^2
    full     // |W_k y - W_k m_k|^2 with a triangle W_k for each component
};

// Which sums over rows the M-step needs beside the mass.
enum class Second : int {
    diag,  // y and y^2 of each component
    tied,  // y of each component, y y' of all together
    full   // y and y y' of each component
};

STREAM_MIX_INLINE constexpr Second second_of(Family family) {
    return family == Family::full ? Second::full : family == Family::tied ? Second::tied : Second::diag;
}

// Numbers in the scatter of k components.
STREAM_MIX_INLINE constexpr std::int64_t scatter_size(Second second, std::int64_t k, std::int64_t d) {
    return second == Second::full ? k * d * d : second == Second::tied ? d * d : k * d;
}

// A mixture of k components over d features, in the coordinates
//     y = (x - origin) * inverse_scale - centre.
// theta (k, f), by `scores`:
//     linear  constant, d factors of y
//     round   constant, d factors of y, factor of |y|^2
//     diag    constant, d factors of y, d factors of y^2
//     full    peak, whitened mean W_k m_k (d,)
//     diag with holes   logarithm of the weight, d factors of y, d of y^2, d constants of the observed features
struct Mixture {
    Scores scores;
    Second second;
    bool holes;  // values may be missing (diag): a feature that a row lacks is left out of its scores and sums
    bool bounds; // whether what is packed holds bounds of scores
    double overflow = 1.0;  // a number y that is too large times this is infinite; 1: an infinite one alone is
    std::int64_t k, d;
    const double* origin;
    const double* inverse_scale;
    const double* centre;
    const double* theta;
    const double* whiten;  // lower triangles, row by row: full (k, d(d+1)/2), tied (1, d(d+1)/2), else null
    double precision;      // linear without a triangle: the shared quadratic term is -precision/2 |y|^2
    const double* peak;    // (k,) score at the component's own mean
};

// Rows of float64 or float32 with any strides, counted in elements.
struct Rows {
    const void* x;
    bool single;
    std::int64_t n;
    std::ptrdiff_t row_stride, column_stride;
    const double* w;  // (n,), or null where all count 1
};

// Where the answers of each row go; null where nobody asks.
struct Answers {
    double* p = nullptr;            // (n, k)
    std::int64_t* label = nullptr;  // (n,)
    double* log_density = nullptr;  // (n,)
    double* distance = nullptr;     // (n,)
    // With no answer that needs all scores, and where they are linear, (n,), both within rounding and no more than:
    double* own = nullptr;          // the log density of the row together with its likeliest component
    double* gap = nullptr;          // how far the second largest score is below it
};

// Sums over rows, in the padded layout of `Layout`; null where nobody asks.
struct Sums {
    bool hard;
    double* mass;    // (k,)
    double* sums;    // (k, Layout::sums)
    double* pooled;  // tied: (d, Layout::row)
};

// Rows that go through the loops together; the responsibility below which a row does not touch a component, the same
// as for single rows (live_fold.cpp); and a score, below the row's largest, that is surely less: -60 log 2.
constexpr int TILE = 32;
constexpr double NO_SHARE = 0x1p-60, NEGLIGIBLE = -41.58883083359672;

STREAM_MIX_INLINE constexpr std::int64_t padded(std::int64_t n) { return (n + 7) / 8 * 8; }

// Features up to which y y' is summed as part of a row.
constexpr std::int64_t WIDE_FEATURES = 8;

// Features and components, and rows for each feature, from which on bounds of scores (reach.hpp) are worth while.
constexpr std::int64_t BOUNDED_FEATURES = 12, BOUNDED_COMPONENTS = 8, BOUNDED_ROWS = 16;

// Sizes, in doubles, of everything that depends on k and d.
struct Layout {
    std::int64_t row;        // one row's y, padded
    std::int64_t second;     // one row's y, y^2 (diag) and which are observed (holes); padded
    std::int64_t sums;       // one component's sums
    std::int64_t wide;       // full with few features: one row's y and, behind it, the upper triangle of y y'; else 0
    std::int64_t stride;     // one row as it is summed
    std::int64_t features;   // features of the scores beside the constant
    bool bounded;            // whether scores may be bounded
    std::int64_t columns;    // a tile's columns
    std::int64_t scores;     // what scores are worked out from, padded
    std::int64_t packed;     // the packed mixture: that, and bounds of it or itself in single precision
    std::int64_t workspace;  // what one thread needs

    STREAM_MIX_INLINE explicit constexpr Layout(const Mixture& m)
        : row(padded(m.d)),
          second(m.second == Second::diag ? padded((m.holes ? 3 : 2) * m.d) : row),
          sums(second + (m.second == Second::full ? m.d * row : 0)),
          wide(m.second == Second::full && m.d <= WIDE_FEATURES ? padded(m.d * (m.d + 3) / 2) : 0),
          stride(wide ? wide : second),
          features(m.scores == Scores::diag    ? (m.holes ? 3 : 2) * m.d
                   : m.scores == Scores::round ? m.d + 1
                                               : m.d),
          bounded((m.scores == Scores::full || (m.scores == Scores::diag && !m.holes)) && m.d >= BOUNDED_FEATURES &&
                  m.k >= BOUNDED_COMPONENTS),
          columns(wide ? wide : m.scores == Scores::diag && !m.holes ? m.d : features),
          scores(padded(m.scores == Scores::full                ? m.k * padded(triangle(m.d) + (m.d + 3) / 4 * 4 + 1)
                        : m.scores == Scores::diag && !m.holes ? m.k * (2 * row + 8)
                                                                : (m.k + 3) / 4 * 4 * (features + 1) +
                                                                      (m.second == Second::tied ? triangle(m.d) : 0))),
          packed(scores + (m.scores == Scores::linear ? 8 + padded((m.k + 7) / 8 * 4 * (m.d + 1)) : 0) +
                 (bounded ? 8 + row + padded(m.scores == Scores::full ? triangle(m.d) : 0) +
                                padded((m.k + 7) / 8 * 4 * (m.d + 4))
                          : 0)),
          workspace(TILE * (padded(columns) + stride + (m.k + 3) / 4 * 4 + row + 8 + (m.d + 2) / 2 +
                            (bounded ? (m.k + 7) / 8 * 4 : 0)) +
                    m.k * (11 + wide) + 64) {}

    // A triangle in blocks of four rows, each as wide as its last row.
    STREAM_MIX_INLINE static constexpr std::int64_t triangle(std::int64_t d) {
        const std::int64_t blocks = (d + 3) / 4;
        return 8 * blocks * (blocks + 1);
    }
};

}  // namespace stream_mix
