// CRC-32 as zlib has it: the reflected polynomial 0xEDB88320, begun and ended with all bits turned.
//
// `before` is the CRC of what came before.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stream_mix {

std::uint32_t crc32(const unsigned char* data, std::size_t size, std::uint32_t before = 0);

}  // namespace stream_mix
