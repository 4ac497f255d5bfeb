// What one thread needs to take patterns of rows through a mixture of marginals, and the sums it gathers.
#pragma once

#include "marginals.hpp"

namespace stream_mix {

// Numbers that the sums of one room take: mass, first and second moments, padded.
std::int64_t sums_size(const Marginals& mixture);

class MarginalRoom {
  public:
    // `sums` has sums_size doubles, or is null where only answers are asked for.
    MarginalRoom(const Marginals& mixture, const Visit& visit, const double* z, double* sums);

    // All rows of a pattern, on up to so many threads. False where a covariance has no factor.
    bool take(const Patterns& patterns, std::int64_t pattern, int threads);

    // The sums as moments, every component knowing every feature.
    void finish(const Filled& out) const;
    // Adds the sums, all of the pattern in hand, to moments (Moments.add), and clears them.
    void merge(const double* known, const Filled& out);

  private:
    void see(const double* row);
    void take_one(std::int64_t row);
    void take_many(const std::int64_t* rows, std::int64_t n, int threads);
    PackedMixture marginal();
    void tell(std::int64_t row, const double* p, std::int64_t label, double log_density, double distance) const;
    void add_raw(const Mixture& m, const Sums& raw);
    void join(const double* known, std::int64_t k, const Filled& out);
    void merge_full(std::int64_t k, const Filled& out);
    void merge_tied(const double* known, const Filled& out);

    const Marginals& mixture_;
    const Visit& visit_;
    const double* z_;
    const HolesKernels& kernels_;
    std::vector<std::int32_t> observed_, missing_;
    std::vector<std::uint8_t> conditioned_;
    Buffer work_, shifts_, peak_, gain_, own_, p_, filled_;
    // Of one component (d,): how far it knows each feature, the root of that, and sqrt(n1 n2 / (n1 + n2)) times the way
    // from the mean of the moments to that of the part.
    std::vector<double> share_, root_, step_;
    Holes h_{};
};

}  // namespace stream_mix
