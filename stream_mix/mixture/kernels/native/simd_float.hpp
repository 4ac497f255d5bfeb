// A vector of floats, twice as many as doubles, for numbers that only choose what is worked out exactly.
#pragma once

#include "simd.hpp"

namespace stream_mix::STREAM_MIX_ISA {

constexpr int V = 2 * W;

constexpr bits ALL_FLOATS = static_cast<bits>((std::uint64_t{1} << V) - 1u);

using fvec = float __attribute__((vector_size(4 * V)));
using fints = std::int32_t __attribute__((vector_size(4 * V)));

static inline fvec load(const float* at) {
    fvec v;
    __builtin_memcpy(&v, at, sizeof v);
    return v;
}
static inline void store(float* at, fvec v) { __builtin_memcpy(at, &v, sizeof v); }
static inline fvec splat(float a) {
#if defined(__AVX512F__)
    return (fvec)_mm512_set1_ps(a);
#elif defined(__AVX2__)
    return (fvec)_mm256_set1_ps(a);
#else
    return fvec{a, a, a, a};
#endif
}

// Half as many of them: those that belong to one vector of doubles.
using half = float __attribute__((vector_size(4 * W)));

static inline void store_half(float* at, vec v) {
    const half single = __builtin_convertvector(v, half);
    __builtin_memcpy(at, &single, sizeof single);
}
static inline vec load_half(const float* at) {
    half single;
    __builtin_memcpy(&single, at, sizeof single);
    return __builtin_convertvector(single, vec);
}

// As those of doubles.
static inline fvec max(fvec a, fvec b) {
#if defined(__AVX512F__)
    return (fvec)_mm512_mask_max_ps((__m512)a, 0xffff, (__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (fvec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return a > b ? a : b;
#endif
}
static inline fvec min(fvec a, fvec b) {
#if defined(__AVX512F__)
    return (fvec)_mm512_mask_min_ps((__m512)a, 0xffff, (__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (fvec)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return a < b ? a : b;
#endif
}

// Lanes that compare true, in the form that the instruction set selects by.
struct FloatMask {
#if defined(__AVX512F__)
    __mmask16 lanes;
#else
    fints lanes;
#endif
};
static inline FloatMask above(fvec a, fvec b) {
#if defined(__AVX512F__)
    return {_mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ)};
#else
    return {a > b};
#endif
}
static inline fvec select(FloatMask mask, fvec a, fvec b) {
#if defined(__AVX512F__)
    return (fvec)_mm512_mask_blend_ps(mask.lanes, (__m512)b, (__m512)a);
#else
    return mask.lanes ? a : b;
#endif
}
static inline bits bits_of(FloatMask mask) {
#if defined(__AVX512F__)
    return mask.lanes;
#elif defined(__AVX2__)
    return static_cast<bits>(_mm256_movemask_ps((__m256)mask.lanes));
#else
    bits found = 0;
    for (int i = 0; i < V; ++i) found |= mask.lanes[i] ? 1u << i : 0u;
    return found;
#endif
}

}  // namespace stream_mix::STREAM_MIX_ISA
