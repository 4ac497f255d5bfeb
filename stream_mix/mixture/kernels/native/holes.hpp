// Rows that lack features, under full or tied components: the marginal mixture of what a row has, and what it lacks by
// its conditional mean and covariance (em.py).
//
// A pattern is which features a row has. Its covariances are factored once, the components in the lanes of registers;
// then each of its rows is scored by them. What is conditional is worked out for one component at a time, the missing
// features in the lanes, and only for components that have a share of a row:
//     L L' = Sigma_oo,   v = L^-1 (z_o - m_o),   B = L^-1 Sigma_om:   mean_m = m_m + B'v,   C = Sigma_mm - B'B.
#pragma once

#include "live.hpp"

namespace stream_mix {

// Plain memory: the mixture, and room for one thread. `row` is d padded, `lanes` is k padded; arrays over components
// in lanes are runs of groups of 8 lanes, as in live.hpp. Tied: one covariance stands for that of all, and in lanes
// for each of them.
struct Holes {
    bool tied, hard;
    std::int64_t k, d, row, lanes;

    // The mixture.
    const double* means;         // (k, row)
    const double* covariances;   // (k, d, row), tied (1, d, row)
    const double* centred;       // [groups][d][8] means about `centre`
    const double* centre;        // (d,): 0, tied the mean of the heaviest component
    const double* correlations;  // [groups][d (d + 1) / 2][8] lower triangles; tied: [1]
    const double* inverse;       // [groups][d][8] 1 / standard deviation; tied: [1]
    const double* log_weight;    // [groups][8]; beyond k: very low

    // The pattern in hand: which n features its rows have, and which m they lack; both ascending.
    std::int32_t *observed, *missing;
    std::int64_t n, m;
    double* work;                // [lanes / W][(d + 1)(d + 2) / 2][W] factors; tied: [1]
    double* shifts;              // tied: [lanes / W][d][W] L^-1 (m_k - centre)
    double* peak;                // [groups][8] log weight + log density at the component's own mean
    std::uint8_t* conditioned;   // (k,) whether `gain` holds B; tied (1,)
    double* gain;                // (k, gain_size) B (n, m padded) of each component; tied (1, gain_size)
    std::int64_t gain_size;
    double* own;                 // (k,) mass of the pattern's rows

    // The row in hand, and what its score leaves behind.
    const double* z;  // (d,)
    double* p;        // [groups][8] responsibilities: the scores, on the way to them
    double log_density, distance;
    std::int64_t label;
    double* filled;   // (2 row): the row about a component's mean, what it lacks by the conditional mean; room

    // Sums about each component's own mean of the rows filled in, with the conditional covariances.
    double *mass, *first, *second;  // (k,), (k, row), (k, d, row) or tied (d, row): upper triangles
};

struct HolesKernels {
    // Factors the covariances of the pattern's features. False where one has too few digits for that.
    bool (*factor)(Holes&);
    // Responsibilities, label, log density and distance of the row in hand.
    void (*score)(Holes&);
    // The chance that a row of this pattern is likelier than one of that log density.
    double (*tail)(const Holes&, double log_density);
    // Adds the row in hand with that weight under its responsibilities, short of the conditional covariances.
    void (*add)(Holes&, double weight);
    // The conditional covariances of all rows of the pattern that were added: its end.
    void (*close)(Holes&);
    // L^-1 of each component (k, n (n + 1) / 2), tied (1, n (n + 1) / 2): lower triangles, row by row.
    void (*invert)(Holes&, double* whiten);
    // Adds rows that were summed over the n features of the pattern, about the components' means: mass (k,), first (k,
    // n) and second, both triangles of (k, n, n) or tied (n, n). `room` has 2 (gain_size + row) doubles.
    void (*add_sums)(Holes&, const double* mass, const double* first, const double* second, double* room);
};

namespace baseline {
extern const HolesKernels holes_kernels;
}
namespace avx2 {
extern const HolesKernels holes_kernels;
}
namespace avx512 {
extern const HolesKernels holes_kernels;
}

}  // namespace stream_mix
