// A mixture of full or tied components for rows that may lack features, and visits of many rows to it.
#pragma once

#include <vector>

#include "isa.hpp"
#include "mixture.hpp"
#include "patterns.hpp"

namespace stream_mix {

// Moments of rows filled in (moments.py): mass (k,), seen and mean (k, d), scatter (k, d, d) or tied (d, d).
struct Filled {
    double *mass, *seen, *mean, *scatter;
};

// What is asked of a visit; null where nobody asks.
struct Visit {
    Rows rows;
    Answers answers;
    const double* densities;  // (n,) log densities to judge in `tails` (n,); then nothing else is asked
    double* tails;
    bool hard;
    const double* known;  // (k, d) how far each component knows each feature; null: wholly
    const Filled* filled;
    int threads;
};

class MarginalRoom;

class Marginals {
  public:
    // `weights` (k,), `means` (k, d), `covariances` (k, d, d) or, where `tied`, (d, d).
    Marginals(const Isa& isa, bool tied, std::int64_t k, std::int64_t d, const double* weights, const double* means,
              const double* covariances);

    std::int64_t k() const { return k_; }
    std::int64_t d() const { return d_; }
    bool tied() const { return tied_; }

    // False, with nothing of use in the answers, where a covariance has no factor with enough digits.
    bool run(const Visit& visit) const;

  private:
    friend class MarginalRoom;
    void place_lanes();
    bool run_patterns(const Visit& visit, const double* z, const Patterns& patterns) const;
    bool run_in_order(const Visit& visit, const double* z, const Patterns& patterns) const;
    bool run_in_groups(const Visit& visit, const double* z, const Patterns& patterns) const;
    double work_of(std::int64_t rows) const;

    const Isa& isa_;
    bool tied_;
    std::int64_t k_, d_, row_, lanes_;
    std::int64_t heaviest_;
    std::vector<double> means_, covariances_, centre_;          // (k, row), (k or 1, d, row), (d,)
    Buffer centred_, correlations_, inverse_, log_weight_;      // in lanes
};

}  // namespace stream_mix
