// What the files of `FoldKernels` give each other.
#pragma once

#include "fold.hpp"
#include "simd.hpp"

namespace stream_mix::STREAM_MIX_ISA {

bool estimate(Family family, const Prior& prior, const Record& record, const Estimate& to, double* precision);

}  // namespace stream_mix::STREAM_MIX_ISA
