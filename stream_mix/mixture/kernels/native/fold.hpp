// A batch at a time: parameters from moments, and moments from a batch's sums. The loops, once for each instruction
// set; `Folder` (folder.hpp) calls them.
#pragma once

#include "problem.hpp"

namespace stream_mix {

// Moments of k components over d features, as moments.py keeps them.
struct Record {
    std::int64_t k, d;
    double* mass;     // (k,)
    double* seen;     // (k, d)
    double* mean;     // (k, d)
    double* scatter;  // diag (k, d), tied (d, d), full (k, d, d)
};

struct Prior {
    double weight, covariance, correlation, reg_covar;
};

// Memory that an estimate fills: the parameters as `Mixture` points to them, and room to compute in.
struct Estimate {
    double* weights;  // (k,)
    double* means;    // (k, d) about the centre
    double* centre;   // (d,)
    double* theta;    // as in Mixture
    double* whiten;   // as in Mixture
    double* peak;     // (k,)
    double* room;     // estimate_room(k, d) doubles
};

STREAM_MIX_INLINE constexpr std::int64_t estimate_room(std::int64_t k, std::int64_t d) {
    return k * padded(d) + 4 * d * padded(d) + 8 * padded(d) + padded(k) + 64;
}

// The loops for one instruction set.
struct FoldKernels {
    // The M-step (families/*.py); `precision` is Mixture's. False where it is none of the plain ones: a feature
    // that some component has not seen, or a covariance that is not positive definite.
    bool (*estimate)(Family, const Prior&, const Record&, const Estimate&, double* precision);
    // record = fade(record, factor) + the moments of the sums of a batch about `centre` (Moments.fade and add).
    void (*absorb)(Second, const Record&, const Sums&, const double* centre, double factor);
    // Outlier scores of rows from their log densities (em.outlier); `room` has k doubles.
    void (*outliers)(std::int64_t k, std::int64_t d, const double* weights, const double* peak, std::int64_t n,
                     const double* log_density, double* room, double* out);
};

namespace baseline {
extern const FoldKernels fold_kernels;
}
namespace avx2 {
extern const FoldKernels fold_kernels;
}
namespace avx512 {
extern const FoldKernels fold_kernels;
}

}  // namespace stream_mix
