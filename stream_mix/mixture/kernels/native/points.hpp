// The frame of points as it usually is, read in place: protocol/codec/points.py says what it may be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stream_mix {

// A stretch of a message; null where the message has none of it.
struct Span {
    const unsigned char* data = nullptr;
    std::size_t size = 0;
    explicit operator bool() const { return data; }
};

// Bounds on what a message may claim: protocol/limits.py.
struct Bounds {
    std::uint64_t rows, features, cells, string, seq;
    double value;
};

struct Points {
    Span source, x, t, w;
    std::vector<Span> features;
    bool named = false, numbered = false, single = false;
    std::uint64_t seq = 0, n = 0, d = 0;
};

// The parts of a message. False where it is not a plain frame of points within the bounds: whoever reads slowly finds
// out what it is instead, and says so.
bool read_points(Span message, const Bounds& bounds, Points& points);

// Numbers of a message as doubles. False where one of them is NaN or further than `most` from 0.
bool take_numbers(Span numbers, bool single, double most, double* out);

// The same for weights, which are above 0.
bool take_weights(Span numbers, double most, double* out);

}  // namespace stream_mix
