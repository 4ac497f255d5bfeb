// The chi-square distribution function of a vector of numbers (tail.py has the formulas).
#pragma once

#include "simd.hpp"

namespace stream_mix::STREAM_MIX_ISA {

constexpr double SQRT_PI = 1.7724538509055160273;

// Complementary error function for 0 <= s <= 27: its Taylor series near 0, its continued fraction (DLMF 7.9.1)
// beyond.
static inline vec erfc(vec s) {
    const ivec near = s < splat(2.5);
    vec series{}, far{};
    if (bits_of(near)) {
        const vec u = select(near, s, splat(0.0)), square = -u * u;
        vec term = u;
        series = u;
        for (int i = 1; i < 50; ++i) {
            term = term * square * (1.0 / i);
            series += term * (1.0 / (2 * i + 1));
        }
        series = 1.0 - series * (2.0 / SQRT_PI);
    }
    if (bits_of(~near)) {
        const vec v = select(near, splat(3.0), s);
        vec fraction = v;
        for (int i = 30; i > 0; --i) fraction = v + (0.5 * i) / fraction;
        far = exp(-v * v) / (SQRT_PI * fraction);
    }
    return select(near, series, far);
}

// P(chi^2 with `degrees` degrees of freedom <= 2 y), y >= 0, degrees <= 700: the survival function is the sum of
// y^a e^-y / Gamma(a + 1) over a = degrees / 2 - 1, degrees / 2 - 2, ... >= 0, and erfc(sqrt y) where a ends in 1/2.
static inline vec chi_square(vec y, std::int64_t degrees) {
    const bool odd = degrees % 2 != 0;
    // Beyond y = 700 nothing is left of e^-y, and below it no power overflows.
    y = min(y, splat(700.0));
    const double half = 0.5 * static_cast<double>(degrees);
    double a = odd ? 0.5 : 1.0;
    vec term = odd ? sqrt(y) * (2.0 / SQRT_PI) : y, survival = splat(odd ? 0.0 : 1.0);
    while (a < half) {
        survival += term;
        a += 1.0;
        term *= y * (1.0 / a);
    }
    survival *= exp(-y);
    if (odd) survival += erfc(sqrt(y));
    return max(1.0 - survival, splat(0.0));
}

}  // namespace stream_mix::STREAM_MIX_ISA
