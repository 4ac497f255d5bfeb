// One mixture that learns row by row: its moments, laid out for loops over components, and what is asked of it.
//
// Components stand in groups of 8 lanes, whatever the instruction set: component k is lane k % 8 of group k / 8.
// Lanes beyond the last component hold zeros. Every array below is a run of such groups unless it says otherwise.
#pragma once

#include <cstddef>
#include <cstdint>

#include "problem.hpp"

namespace stream_mix {

constexpr int LANES = 8;

// Plain memory that `LiveModel` owns: the loops, compiled once for each instruction set, see nothing else.
struct Live {
    Family family;
    bool hard;
    std::int64_t d, k, groups;
    std::int64_t entries;  // numbers of scatter a component keeps: d, d (d + 1) / 2 for full, 0 for tied
    double prior_weight, prior_covariance, correlation, reg_covar;
    double needed;  // rows that a covariance of the family needs
    double log_even;  // log(1 / k)

    // Moments.
    double* mass;     // [groups][8]
    double* seen;     // [groups][d][8]; stale where `even`
    double* mean;     // [groups][d][8]
    double* scatter;  // [groups][entries][8]; full: the lower triangle, row by row
    double* shared;   // tied: (d, d), lower triangle in use

    // What follows from the moments alone, anew wherever a component changed.
    double* least;        // [groups][8] the smallest `seen` over features that the basis knows; lanes beyond: +inf
    std::uint8_t* even;   // for each register of lanes: whether they have seen every feature as often as rows, `mass`
    double* sum_seen;     // [groups][8] sum of seen over features (kmeans, spherical)
    double* sum_scatter;  // [groups][8] sum of scatter over features (kmeans, spherical)

    const std::uint8_t* known;  // (d,) whether the basis has seen the feature

    // The row in hand, in the basis: its values (d,), and which n of them were observed.
    double* z;
    std::int32_t* observed;
    std::int64_t n;

    // What a score leaves behind.
    double* score;       // [groups][8] log weight + log density; lanes beyond: -inf
    double* peak;        // [groups][8] the same at the component's own mean
    double* p;           // [groups][8] responsibilities; lanes beyond: 0
    double offset;       // taken off all scores alike: they stand above by it, so that differences keep their digits
    double log_density;  // of the row in hand, in the basis
    std::int64_t label;  // the first component with the largest p

    // Room to compute in.
    double* pooled;  // (d,) or (d (d + 1) / 2,): the covariance pooled over components
    double* common;  // (d,): mean over the components that have seen the feature
    double* step;    // [d][8]
    double* work;    // [(d + 1)(d + 2) / 2][8] (tied, full)

    // Learning a row that lacks features (tied, full): what it lacks by conditional mean and covariance.
    bool filling;     // whether `filled` and `share` stand for the row in hand
    double* inverse;  // [d][8] 1 / standard deviation, of one register
    double* whole;    // [d (d + 1) / 2][8] its correlations; later the conditional covariances of what is missing
    double* gain;     // [m n][8] L^-1 Sigma_om, a line of n for each of m missing features
    double* filled;   // [d][8] the row, filled in
    double* share;    // [groups][d][8] how far each feature of it counts: 1, or as far as it is known
    std::int32_t* missing;
};

// The loops for one instruction set.
struct LiveKernels {
    // Fills in what a score leaves behind for the row in hand. False where a number is not finite or a
    // covariance not positive definite; then nothing of it is valid.
    bool (*score)(Live&);
    // Scales the moments by `fade`, short of underflow, and adds the row in hand with that weight, under the
    // responsibilities of the last score.
    void (*fold)(Live&, double weight, double fade);
    // The chance that a row drawn from the mixture is likelier than the one in hand, after its score.
    double (*tail)(const Live&);
    // How far the row in hand is from all components that count (remoteness.py); it scores the row its own way, so
    // that nothing of a score before is left. NaN where that could not be done.
    double (*remoteness)(Live&);
    // Computes what follows from the moments, `seen` being whole.
    void (*derive)(Live&);
    // Makes `seen` whole.
    void (*spread)(const Live&);
};

namespace baseline {
extern const LiveKernels live_kernels;
}
namespace avx2 {
extern const LiveKernels live_kernels;
}
namespace avx512 {
extern const LiveKernels live_kernels;
}

}  // namespace stream_mix
