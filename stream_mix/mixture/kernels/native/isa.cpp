#include "isa.hpp"

#include <cstring>

namespace stream_mix {
namespace {

#define STREAM_MIX_ISA_TABLE(isa) const Isa isa##_table{#isa, isa::pack, isa::bound, isa::pass, isa::nearest_two, isa::magnitude, &isa::live_kernels, &isa::fold_kernels, &isa::holes_kernels, &isa::list_kernels};
STREAM_MIX_ISA_TABLE(baseline)
#ifdef STREAM_MIX_HAS_avx2
STREAM_MIX_ISA_TABLE(avx2)
STREAM_MIX_ISA_TABLE(avx512)
#endif
#undef STREAM_MIX_ISA_TABLE

struct Runnable {
    const Isa* list[4] = {};

    Runnable() {
        const Isa** next = list;
#ifdef STREAM_MIX_HAS_avx2
        __builtin_cpu_init();
        const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
            *next++ = &avx512_table;
        if (avx2) *next++ = &avx2_table;
#endif
        *next++ = &baseline_table;
    }
};

}  // namespace

const Isa* const* runnable() {
    static const Runnable found;
    return found.list;
}

const Isa* find(const char* name) {
    for (const Isa* const* isa = runnable(); *isa; ++isa)
        if (std::strcmp((*isa)->name, name) == 0) return *isa;
    return nullptr;
}

}  // namespace stream_mix
