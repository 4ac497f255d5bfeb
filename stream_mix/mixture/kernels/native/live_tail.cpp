// How far out the row in hand is.
#include "chi_square.hpp"
#include "live_lanes.hpp"

namespace stream_mix::STREAM_MIX_ISA {

bool score(Live& s);

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

// remoteness.py: variances are no less than this, in units of the basis, and what is e^-600 beside the likeliest
// component is no less either.
constexpr double RESOLUTION = 0.05, BESIDE = 600.0;

// -log of the sum over components of sqrt(weight) P(chi^2 > distance^2), and of the same at a distance of 0.
double remoteness(Live& s) {
    if (s.n == 0) return 0.0;
    const double own = s.reg_covar;
    s.reg_covar = own > RESOLUTION ? own : RESOLUTION;
    const bool sound = score(s);
    s.reg_covar = own;
    if (!sound) return __builtin_nan("");
    const double share = s.prior_weight / static_cast<double>(s.k);
    const Degrees degrees(s.n);
    double total = s.prior_weight;
    vec best = splat(-__builtin_inf());
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
        total += fold_up(load(s.mass + first));
        best = max(load(s.score + first), best);
    }
    const double low = largest(best) - BESIDE;
    vec most = splat(-__builtin_inf()), roots{};
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
        const ivec there = real(s, Lanes(first));
        vec weight = max((load(s.mass + first) + share) / total, splat(TINY));
        if (s.family == Family::kmeans) weight = splat(1.0 / static_cast<double>(s.k));
        const vec y = max(load(s.peak + first) - max(load(s.score + first), splat(low)) + s.offset, splat(0.0));
        const vec term = select(there, 0.5 * log(weight) + log_survival(y, degrees), splat(-LARGEST));
        roots += select(there, sqrt(weight), splat(0.0));
        most = max(term, most);
        store(s.p + first, term);
    }
    const double top = largest(most);
    vec sum{};
    for (std::int64_t first = 0; first < s.groups * LANES; first += W)
        sum += select(real(s, Lanes(first)), exp(max(load(s.p + first) - top, splat(-BESIDE))), splat(0.0));
    const double remote = log(splat(fold_up(roots) / fold_up(sum)))[0] - top;
    return remote > 0.0 ? remote : 0.0;
}

}  // namespace stream_mix::STREAM_MIX_ISA
