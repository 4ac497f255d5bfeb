// The pass of rows through a large mixture, each row scored by a short list of the components.
#pragma once

#include "mixture.hpp"

namespace stream_mix {

// Rows and components by leaf: row i is in leaf `leaf[i]`, and is scored by components members[offset[l]] to
// members[offset[l + 1]] - 1, in ascending order.
struct Shortlists {
    std::int64_t leaves;
    const std::int64_t* leaf;
    const std::int64_t* offset;   // (leaves + 1,)
    const std::int64_t* members;
    double reach;  // rows further than this from the likeliest component of their list are scored by all
};

// As `run_pass`, but for the components that are left out. False where a value is missing.
bool run_short(const Isa& isa, const Mixture& mixture, const Shortlists& lists, const Rows& rows, const Answers& answers,
               Sums* sums, int threads);

}  // namespace stream_mix
