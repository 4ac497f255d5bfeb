// How the loops walk over the components of a `Live`: a register of lanes at a time.
#pragma once

#include "live.hpp"
#include "simd.hpp"

namespace stream_mix::STREAM_MIX_ISA {

constexpr double UNIT_ROWS = 0.01;        // pseudo-rows of unit covariance behind the pooled covariance
constexpr double TINY = 1e-300;           // no divisor is less
constexpr double LOG_2PI = 1.8378770664093454836;
constexpr double LARGEST = 1e300;         // a score, or a divisor, beyond it is no number to go on with

// A register's worth of components: `at` counts lanes from the first component.
struct Lanes {
    std::int64_t at, group, lane;
    explicit Lanes(std::int64_t first) : at(first), group(first / LANES), lane(first % LANES) {}
    // Where the numbers of these components begin in an array of `entries` numbers a component.
    std::int64_t in(std::int64_t entries) const { return group * entries * LANES + lane; }
};

// Lanes that hold a component.
static inline ivec real(const Live& s, const Lanes& which) {
    ivec index{};
    for (int i = 0; i < W; ++i) index[i] = i;
    return index + which.at < isplat(s.k);
}

static inline ivec finite(vec v) { return (v < splat(LARGEST)) & (v > splat(-LARGEST)); }

// A product of many factors as mantissa and exponent; `normal` at least every 512 factors.
struct Product {
    vec m = splat(1.0), e{};
    void times(vec x) {
        vec exponent;
        m *= mantissa(x, exponent);
        e += exponent;
    }
    void normal() {
        vec exponent;
        m = mantissa(m, exponent);
        e += exponent;
    }
    // Multiplied by a / b.
    void over(Product a, Product b) {
        a.normal();
        b.normal();
        m *= a.m / b.m;
        e += a.e - b.e;
    }
    vec log() {
        normal();
        return STREAM_MIX_ISA::log(m, e);
    }
};

// How much of each feature these lanes have seen.
struct Seen {
    const double* at;
    std::int64_t stride;
    bool even;
    Seen(const Live& s, const Lanes& which)
        : at(s.mass + which.at), stride(0), even(s.even[which.at / W] != 0) {
        if (even) return;
        at = s.seen + which.in(s.d);
        stride = LANES;
    }
    vec operator()(std::int64_t feature) const { return load(at + feature * stride); }
};

// The means of these lanes in one feature: components that have not seen it take the mean of those that have.
static inline vec mean_of(const Live& s, const Lanes& which, const Seen& seen, std::int64_t feature) {
    const vec mean = load(s.mean + which.in(s.d) + feature * LANES);
    return select(seen(feature) > splat(0.0), mean, splat(s.common[feature]));
}

// The sum over components of what they have seen of a feature.
static inline double seen_by_all(const Live& s, std::int64_t feature) {
    vec total{};
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) total += Seen(s, Lanes(first))(feature);
    return fold_up(total);
}

// Covariances with correlations, in live_full.cpp: what all lanes share, then for a register of components the
// squared distance of the row in hand and the logarithm of 1 / determinant. False where a covariance is not
// positive definite, or so nearly not that its factor has lost its digits.
struct Assembled {
    Product precision;  // of the observed features' own variances
    ivec sound;
    vec keep;           // what correlations are multiplied with, to shrink them
};
// The correlations of all features to `work`, below them the row's differences in standard deviations (full).
Assembled assemble_full(Live& s, const Lanes& which, bool unseen);
Assembled assemble_tied(Live& s);
void prepare_full(Live& s);
bool full_distance(Live& s, const Lanes& which, bool unseen, vec& distance, vec& log_precision);
bool prepare_tied(Live& s, vec& log_precision);
// Without 2 `offset`, the squared distance of the row from one mean, which is common to all.
vec tied_distance(Live& s, const Lanes& which, bool unseen);

// Learning a row that lacks features, in live_holes.cpp, after its score: what does not depend on the component, with
// the moments still as they were; the row filled in for a register of components, of which those count that get a part
// r of it; and what their scatter grows by beside what the row filled in adds.
void prepare_holes(Live& s);
void fill_holes(Live& s, const Lanes& which, vec r);
void add_conditional(Live& s, const Lanes& which, vec r);
void add_conditional_tied(Live& s, double weight);

// Rows with which the components start from the pooled covariance: priors.pseudo_rows.
static inline vec pseudo_rows(const Live& s, const Lanes& which) {
    return s.prior_covariance * s.needed / (load(s.mass + which.at) + s.needed);
}

}  // namespace stream_mix::STREAM_MIX_ISA
