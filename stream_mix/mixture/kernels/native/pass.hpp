// The hot loops over many rows, once for each instruction set.
#pragma once

#include "problem.hpp"

namespace stream_mix {

// E-step of rows begin to end, and where `sums` is given, their sums under its responsibilities, added to what is
// there. False, with nothing of use in the answers, where a value is NaN or too large. `packed` is what `pack` made of the
// mixture; `workspace` has Layout::workspace doubles.
using Pass = bool(const Mixture&, const double* packed, const Rows&, std::int64_t begin, std::int64_t end,
                  const Answers&, const Sums*, double* workspace);
// The mixture in the order in which the loops read it: Layout::packed doubles.
using Pack = void(const Mixture&, double* packed);

// Bounds of scores beside it, for a mixture that says they are there. `room` is reach_room doubles.
using Bound = void(const Mixture&, double* packed, double* room);
STREAM_MIX_INLINE constexpr std::int64_t reach_room(const Mixture& m) { return 5 * m.d * padded(m.d) + 16; }

// Of a mixture of equal round components with variance 1: the nearest mean to each of the rows, its squared distance,
// and that of the second nearest (where there is one mean, of it). No value may be missing.
using NearestTwo = void(const Mixture&, const double* packed, const Rows&, std::int64_t begin, std::int64_t end,
                        std::int64_t* label, double* nearest, double* second, double* workspace);
// The largest magnitude of n numbers that are not NaN; 0 where there are none.
using Magnitude = double(const double* numbers, std::int64_t n);

#define STREAM_MIX_DECLARE(isa) \
    namespace isa {             \
    Pass pass;                  \
    Pack pack;                  \
    Bound bound;                \
    NearestTwo nearest_two;     \
    Magnitude magnitude;        \
    }
STREAM_MIX_DECLARE(baseline)
STREAM_MIX_DECLARE(avx2)
STREAM_MIX_DECLARE(avx512)
#undef STREAM_MIX_DECLARE

}  // namespace stream_mix
