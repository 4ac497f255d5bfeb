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

// Added up as a tree: the same order for all that an instruction set computes.
static inline double fold_up(vec v) {
#if defined(__AVX512F__)
    const __m512d a = (__m512d)v;
    const __m256d b = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    const __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));
    return c[0] + c[1];
#elif defined(__AVX2__)
    const __m256d b = (__m256d)v;
    const __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));
    return c[0] + c[1];
#else
    return v[0] + v[1];
#endif
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
    vec log() {
        normal();
        return STREAM_MIX_ISA::log(m, e);
    }
};

// The means of these lanes in one feature: components that have not seen it take the mean of those that have.
static inline vec mean_of(const Live& s, const Lanes& which, std::int64_t feature) {
    const std::int64_t at = which.in(s.d) + feature * LANES;
    return select(load(s.seen + at) > splat(0.0), load(s.mean + at), splat(s.common[feature]));
}

// Covariances with correlations, in live_full.cpp: what all lanes share, then for a register of components the
// squared distance of the row in hand and the logarithm of 1 / determinant. False where a covariance is not
// positive definite, or so nearly not that its factor has lost its digits.
void prepare_full(Live& s);
bool full_distance(Live& s, const Lanes& which, bool unseen, vec& distance, vec& log_precision);
bool prepare_tied(Live& s, vec& log_precision);
vec tied_distance(Live& s, const Lanes& which, bool unseen);

}  // namespace stream_mix::STREAM_MIX_ISA
