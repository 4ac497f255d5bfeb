// The chi-square distribution function of a vector of numbers (tail.py has the formulas).
#pragma once

#include "simd.hpp"

namespace stream_mix::STREAM_MIX_ISA {

constexpr double SQRT_PI = 1.7724538509055160273;

// (1 + 2 s) e^(s^2) erfc(s) as a polynomial in u = (s - MIDDLE) / (s + MIDDLE), which takes s >= 0 to [-1, 1): its
// Chebyshev series up to the power 20, computed in 80 digits; the first term left out is 1e-16.
constexpr double MIDDLE = 3.75;
constexpr double SCALED[] = {
    1.23751263083782637e+00, -1.40240598585506110e-01, 3.58541548578171802e-03, 8.22767384871236351e-02,
    -1.08803930154552309e-01, 9.23043212263040674e-02, -5.86933983877692758e-02, 2.83622767577898782e-02,
    -9.74658119430573712e-03, 1.75562950983504341e-03, 2.93721429567174626e-04, -2.90166298548705844e-04,
    5.16260162225985311e-05, 2.24100192286129177e-05, -1.13997260744473653e-05, -1.00834521704796828e-06,
    1.69599580794304781e-06, -2.77496111228837635e-08, -2.14306922758236388e-07, 8.52635981748303326e-09,
    1.75521763074339273e-08};

// e^(s^2) times the complementary error function, for s >= 0.
static inline vec scaled_erfc(vec s) {
    const vec u = (s - MIDDLE) / (s + MIDDLE);
    vec series = splat(SCALED[20]);
    for (int i = 19; i >= 0; --i) series = series * u + SCALED[i];
    return series / (1.0 + s + s);
}

// 1 / a for the powers y^a / Gamma(a + 1) of a survival function, from the second on; degrees <= 700.
struct Degrees {
    std::int64_t n, powers;
    double inverse[350];

    explicit Degrees(std::int64_t degrees) : n(degrees), powers(degrees / 2) {
        for (std::int64_t i = 1; i < powers; ++i)
            inverse[i] = 1.0 / (static_cast<double>(i) + (n % 2 ? 0.5 : 0.0));
    }
};

// Beyond y = 700 nothing is left of e^-y, and below it no sum of powers overflows.
constexpr double FAR = 700.0;

// e^y P(chi^2 > 2 y), 0 <= y <= FAR: the sum of y^a / Gamma(a + 1) over a = n / 2 - 1, n / 2 - 2, ... >= 0, and
// e^y erfc(sqrt y) where a ends in 1/2.
static inline vec scaled_survival(vec y, const Degrees& degrees) {
    vec powers = splat(1.0);
    for (std::int64_t i = degrees.powers - 1; i > 0; --i) powers = powers * (y * degrees.inverse[i]) + 1.0;
    if (degrees.n % 2 == 0) return powers;
    const vec root = sqrt(y);
    return (degrees.powers ? powers * root * (2.0 / SQRT_PI) : splat(0.0)) + scaled_erfc(root);
}

// P(chi^2 <= 2 y), 0 <= y <= FAR, where `decay` is e^-y.
static inline vec chi_square(vec y, vec decay, const Degrees& degrees) {
    return max(1.0 - scaled_survival(y, degrees) * decay, splat(0.0));
}

// Its logarithm for y > FAR: the greatest power is the first, each other by its ratio to the one before.
static inline vec log_scaled_survival(vec y, const Degrees& degrees) {
    const vec root = sqrt(y), rest = log(scaled_erfc(root));
    if (!degrees.powers) return rest;
    vec greatest = degrees.n % 2 ? log(root * (2.0 / SQRT_PI)) : splat(0.0), term = splat(1.0), sum = term;
    for (std::int64_t i = degrees.powers - 1; i > 0; --i) {
        const vec ratio = y * degrees.inverse[i];
        greatest += log(ratio);
        term /= ratio;
        sum += term;
    }
    greatest += log(sum);
    return degrees.n % 2 ? greatest + log(1.0 + exp(rest - greatest)) : greatest;
}

// log P(chi^2 > 2 y), y >= 0.
static inline vec log_survival(vec y, const Degrees& degrees) {
    const ivec far = y > splat(FAR);
    const vec near = log(scaled_survival(min(y, splat(FAR)), degrees));
    return (bits_of(far) ? select(far, log_scaled_survival(max(y, splat(FAR)), degrees), near) : near) - y;
}

}  // namespace stream_mix::STREAM_MIX_ISA
