// A vector of as many doubles as one register of the instruction set holds, and the functions on it.
//
// Everything lives in a namespace named after the instruction set, so that the copies that are compiled for
// others never mix. Only headers without functions are included, for the same reason.
#pragma once

#include <cstddef>
#include <cstdint>
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace stream_mix::STREAM_MIX_ISA {

#if defined(__AVX512F__)
constexpr int W = 8;
#elif defined(__AVX2__)
constexpr int W = 4;
#else
constexpr int W = 2;
#endif

using vec = double __attribute__((vector_size(8 * W)));
using ivec = std::int64_t __attribute__((vector_size(8 * W)));

// Lanes are numbered from 0; bit i of a `bits` is lane i.
using bits = unsigned;
constexpr bits ALL = (1u << W) - 1u;

static inline vec load(const double* at) {
    vec v;
    __builtin_memcpy(&v, at, sizeof v);
    return v;
}
static inline void store(double* at, vec v) { __builtin_memcpy(at, &v, sizeof v); }
// (Not vec{} + a: an addition of 0 is one, since it turns -0 into 0.)
static inline vec splat(double a) {
#if defined(__AVX512F__)
    return (vec)_mm512_set1_pd(a);
#elif defined(__AVX2__)
    return (vec)_mm256_set1_pd(a);
#else
    return vec{a, a};
#endif
}
// Whole numbers, as integers.
static inline void store_integers(std::int64_t* at, vec v) {
    const ivec whole = __builtin_convertvector(v, ivec);
    __builtin_memcpy(at, &whole, sizeof whole);
}
static inline ivec isplat(std::int64_t a) { return ivec{} + a; }
static inline vec as_vec(ivec v) { return (vec)v; }
static inline ivec as_ivec(vec v) { return (ivec)v; }

// Added up as a tree: the same order for all that an instruction set computes.
static inline double fold_up(vec v) {
#if defined(__AVX512F__)
    using half = double __attribute__((vector_size(32)));
    half low, high;
    __builtin_memcpy(&low, &v, sizeof low);
    __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
    const half b = low + high;
#else
    const vec b = v;
#endif
#if defined(__AVX2__)
    return (b[0] + b[2]) + (b[1] + b[3]);
#else
    return b[0] + b[1];
#endif
}

// Where the mask, all ones or all zeros in a lane, is set: a, else b.
static inline vec select(ivec mask, vec a, vec b) { return mask ? a : b; }

static inline bits bits_of(ivec mask) {
#if defined(__AVX512F__)
    return _mm512_movepi64_mask((__m512i)mask);
#elif defined(__AVX2__)
    return static_cast<bits>(_mm256_movemask_pd((__m256d)mask));
#else
    return (mask[0] ? 1u : 0u) | (mask[1] ? 2u : 0u);
#endif
}

// Lanes that compare true, in the form that the instruction set selects by.
struct Mask {
#if defined(__AVX512F__)
    __mmask8 lanes;
#else
    ivec lanes;
#endif
};
static inline Mask above(vec a, vec b) {
#if defined(__AVX512F__)
    return {_mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_GT_OQ)};
#else
    return {a > b};
#endif
}
static inline Mask equal(vec a, vec b) {
#if defined(__AVX512F__)
    return {_mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_EQ_OQ)};
#else
    return {a == b};
#endif
}
static inline vec select(Mask mask, vec a, vec b) {
#if defined(__AVX512F__)
    return (vec)_mm512_mask_blend_pd(mask.lanes, (__m512d)b, (__m512d)a);
#else
    return select(mask.lanes, a, b);
#endif
}
static inline bits bits_of(Mask mask) {
#if defined(__AVX512F__)
    return mask.lanes;
#else
    return bits_of(mask.lanes);
#endif
}

// max and min of a NaN in `a` is b. (The masked forms with all lanes set: GCC 12 warns of its own plain ones.)
static inline vec max(vec a, vec b) {
#if defined(__AVX512F__)
    return (vec)_mm512_mask_max_pd((__m512d)a, 0xff, (__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
    return (vec)_mm256_max_pd((__m256d)a, (__m256d)b);
#else
    return select(a > b, a, b);
#endif
}
static inline vec min(vec a, vec b) {
#if defined(__AVX512F__)
    return (vec)_mm512_mask_min_pd((__m512d)a, 0xff, (__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
    return (vec)_mm256_min_pd((__m256d)a, (__m256d)b);
#else
    return select(a < b, a, b);
#endif
}

static inline vec sqrt(vec a) {
#if defined(__AVX512F__)
    return (vec)_mm512_mask_sqrt_pd((__m512d)a, 0xff, (__m512d)a);
#elif defined(__AVX2__)
    return (vec)_mm256_sqrt_pd((__m256d)a);
#else
    for (int i = 0; i < W; ++i) a[i] = __builtin_sqrt(a[i]);
    return a;
#endif
}

static inline double sum(vec v) {
    double total = 0.0;
    for (int i = 0; i < W; ++i) total += v[i];
    return total;
}
static inline double largest(vec v) {
    double top = v[0];
    for (int i = 1; i < W; ++i) top = v[i] > top ? v[i] : top;
    return top;
}

// A W x W block, its lines `from_stride` apart, turned over its diagonal.
static inline void transpose(const double* from, std::ptrdiff_t from_stride, double* to, std::ptrdiff_t to_stride) {
#if defined(__AVX512F__)
    __m512d v[8], u[8];
    for (int i = 0; i < 8; ++i) v[i] = _mm512_loadu_pd(from + i * from_stride);
    for (int i = 0; i < 8; i += 2) {  // pairs of rows: even columns, odd columns
        u[i] = _mm512_maskz_shuffle_pd(0xff, v[i], v[i + 1], 0x00);
        u[i + 1] = _mm512_maskz_shuffle_pd(0xff, v[i], v[i + 1], 0xff);
    }
    for (int i = 0; i < 8; i += 4)  // fours of rows: column pairs 0 2, 1 3 of 4
        for (int j = 0; j < 2; ++j) {
            v[i + j] = _mm512_maskz_shuffle_f64x2(0xff, u[i + j], u[i + 2 + j], 0x88);
            v[i + 2 + j] = _mm512_maskz_shuffle_f64x2(0xff, u[i + j], u[i + 2 + j], 0xdd);
        }
    for (int j = 0; j < 4; ++j) {  // all eight: columns j, j + 4 (and their neighbours 2 on)
        u[j] = _mm512_maskz_shuffle_f64x2(0xff, v[j], v[4 + j], 0x88);
        u[4 + j] = _mm512_maskz_shuffle_f64x2(0xff, v[j], v[4 + j], 0xdd);
    }
    for (int i = 0; i < 8; ++i) _mm512_storeu_pd(to + i * to_stride, u[i]);
#elif defined(__AVX2__)
    __m256d v[4], u[4];
    for (int i = 0; i < 4; ++i) v[i] = _mm256_loadu_pd(from + i * from_stride);
    for (int i = 0; i < 4; i += 2) {
        u[i] = _mm256_unpacklo_pd(v[i], v[i + 1]);
        u[i + 1] = _mm256_unpackhi_pd(v[i], v[i + 1]);
    }
    for (int j = 0; j < 2; ++j) {
        _mm256_storeu_pd(to + j * to_stride, _mm256_permute2f128_pd(u[j], u[2 + j], 0x20));
        _mm256_storeu_pd(to + (2 + j) * to_stride, _mm256_permute2f128_pd(u[j], u[2 + j], 0x31));
    }
#else
    for (int i = 0; i < W; ++i)
        for (int j = 0; j < W; ++j) to[j * to_stride + i] = from[i * from_stride + j];
#endif
}

// e^x to 2 units in the last place, for x from -700 to 700 and no other.
//
// x = n log 2 + r with |r| <= log(2) / 2, and e^r by its Taylor series: the first term left out is 2e-16 of it.
static inline vec exp_within(vec x) {
    constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer in the low bits
    const vec shifted = x * 1.4426950408889634 + magic;
    const vec n = shifted - magic;
    const vec r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    vec p = splat(1.0 / 479001600.0);
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    return as_vec(as_ivec(p) + (as_ivec(shifted) << 52));
}

// The same for any x <= 700: less than -700 is taken for -700, NaN too.
static inline vec exp(vec x) { return exp_within(max(x, splat(-700.0))); }

// A positive normal number as m * 2^e with 1 <= m < 2; e as a double.
static inline vec mantissa(vec x, vec& e) {
    using uvec = std::uint64_t __attribute__((vector_size(8 * W)));
    const uvec b = (uvec)x;
    // An integer below 2^52 put under the mantissa of 2^52 is 2^52 plus it.
    e = as_vec((ivec)(b >> 52) | isplat(0x4330000000000000)) - (4503599627370496.0 + 1023.0);
    return (vec)((b & (uvec{} + 0x000fffffffffffffull)) | (uvec{} + 0x3ff0000000000000ull));
}

// log(m) + e log 2 for 1 <= m < 2, to 2 units in the last place: log m = 2 artanh((m - 1) / (m + 1)), with m
// brought between 1/sqrt 2 and sqrt 2 first.
static inline vec log(vec m, vec e) {
    const ivec large = m > splat(1.4142135623730951);
    m = select(large, m * 0.5, m);
    e = select(large, e + 1.0, e);
    const vec s = (m - 1.0) / (m + 1.0), q = s * s;
    vec p = splat(2.0 / 21.0);
    p = p * q + 2.0 / 19.0;
    p = p * q + 2.0 / 17.0;
    p = p * q + 2.0 / 15.0;
    p = p * q + 2.0 / 13.0;
    p = p * q + 2.0 / 11.0;
    p = p * q + 2.0 / 9.0;
    p = p * q + 2.0 / 7.0;
    p = p * q + 2.0 / 5.0;
    p = p * q + 2.0 / 3.0;
    p = p * q * s + (s + s);
    return e * 6.93147180369123816490e-01 + (e * 1.90821492927058770002e-10 + p);
}

// Natural logarithm of positive normal numbers.
static inline vec log(vec x) {
    vec e;
    const vec m = mantissa(x, e);
    return log(m, e);
}

}  // namespace stream_mix::STREAM_MIX_ISA
