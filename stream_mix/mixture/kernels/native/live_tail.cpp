// How far out the row in hand is.
#include "chi_square.hpp"
#include "live_lanes.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// sum over components of weight F(2 (peak - log density)).
double tail(const Live& s) {
    if (s.n == 0) return 0.0;
    const double share = s.prior_weight / static_cast<double>(s.k);
    const Degrees degrees(s.n);
    double total = s.prior_weight;
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) total += fold_up(load(s.mass + first));
    vec chance{};
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
        const ivec there = real(s, Lanes(first));
        vec weight = max((load(s.mass + first) + share) / total, splat(TINY));
        if (s.family == Family::kmeans) weight = splat(1.0 / static_cast<double>(s.k));
        const vec drop = min(max(load(s.peak + first) - s.log_density, splat(0.0)), splat(FAR));
        chance += select(there, weight * chi_square(drop, exp_within(-drop), degrees), splat(0.0));
    }
    const double likelier = fold_up(chance);
    return likelier < 1.0 ? likelier : 1.0;
}

}  // namespace stream_mix::STREAM_MIX_ISA
