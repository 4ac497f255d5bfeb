// Which instruction sets the loops were compiled for, and which of them this processor has.
#pragma once

#include "fold.hpp"
#include "holes.hpp"
#include "live.hpp"
#include "pass.hpp"
#include "shortlist.hpp"

namespace stream_mix {

// The loops for one instruction set.
struct Isa {
    const char* name;
    Pack* pack;
    Bound* bound;
    Pass* pass;
    NearestTwo* nearest_two;
    Magnitude* magnitude;
    const LiveKernels* live;
    const FoldKernels* fold;
    const HolesKernels* holes;
    const ListKernels* lists;
};

// Those that this processor can run, the best first; ends with a null pointer.
const Isa* const* runnable();

// The one of that name, or null where there is none that this processor can run.
const Isa* find(const char* name);

}  // namespace stream_mix
