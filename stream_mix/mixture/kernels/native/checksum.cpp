#include "checksum.hpp"

#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace stream_mix {
namespace {

constexpr std::uint32_t POLYNOMIAL = 0xEDB88320u;

constexpr std::uint32_t times_x(std::uint32_t value) { return (value >> 1) ^ (value & 1 ? POLYNOMIAL : 0); }

constexpr std::array<std::uint32_t, 256> remainders() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit) value = times_x(value);
        table[byte] = value;
    }
    return table;
}

constexpr std::array<std::uint32_t, 256> REMAINDERS = remainders();

std::uint32_t by_bytes(std::uint32_t crc, const unsigned char* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) crc = (crc >> 8) ^ REMAINDERS[(crc ^ data[i]) & 0xff];
    return crc;
}

#if defined(__x86_64__)

// x^n modulo the polynomial, as the upper half of 64 bits in reflected order. The product without carries of two such
// numbers of 64 bits is one bit short of 128, so that a shift by n takes x^(n - 1).
constexpr std::int64_t power(int n) {
    std::uint32_t value = 0x80000000u;
    for (int i = 1; i < n; ++i) value = times_x(value);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << 32);
}

// What 16 bytes come to so and so many bits further on: the first eight of them are the higher powers.
__attribute__((target("pclmul,sse4.1"))) inline __m128i further(__m128i block, __m128i powers) {
    return _mm_xor_si128(_mm_clmulepi64_si128(block, powers, 0x00), _mm_clmulepi64_si128(block, powers, 0x11));
}

// At least 64 bytes, a multiple of 16: four blocks side by side, then one after the other (Gopal et al. 2009 fold so).
__attribute__((target("pclmul,sse4.1"))) std::uint32_t by_blocks(std::uint32_t crc, const unsigned char* data,
                                                                 std::size_t size) {
    const auto load = [](const unsigned char* at) __attribute__((target("pclmul,sse4.1"))) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    };
    const __m128i by_512 = _mm_set_epi64x(power(512), power(512 + 64));
    const __m128i by_128 = _mm_set_epi64x(power(128), power(128 + 64));
    __m128i lane[4];
    for (int i = 0; i < 4; ++i) lane[i] = load(data + 16 * i);
    lane[0] = _mm_xor_si128(lane[0], _mm_cvtsi32_si128(static_cast<int>(crc)));
    for (data += 64, size -= 64; size >= 64; data += 64, size -= 64)
        for (int i = 0; i < 4; ++i) lane[i] = _mm_xor_si128(further(lane[i], by_512), load(data + 16 * i));
    for (int i = 1; i < 4; ++i) lane[0] = _mm_xor_si128(further(lane[0], by_128), lane[i]);
    for (; size; data += 16, size -= 16) lane[0] = _mm_xor_si128(further(lane[0], by_128), load(data));
    unsigned char left[16];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(left), lane[0]);
    return by_bytes(0, left, sizeof left);
}

bool has_products() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

#endif

}  // namespace

std::uint32_t crc32(const unsigned char* data, std::size_t size, std::uint32_t before) {
    std::uint32_t crc = ~before;
#if defined(__x86_64__)
    static const bool products = has_products();
    if (products && size >= 64) {
        const std::size_t blocks = size / 16 * 16;
        crc = by_blocks(crc, data, blocks);
        data += blocks;
        size -= blocks;
    }
#endif
    return ~by_bytes(crc, data, size);
}

}  // namespace stream_mix
