// What the two files about rows with holes share.
#pragma once

#include "correlations.hpp"
#include "holes.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// The factors of the register of components that begins at lane `at`; the solution stands below them.
static inline double* factor_of(const Holes& h, std::int64_t at) {
    return h.tied ? h.work : h.work + at * triangle(h.d + 1);
}

// In holes_impute.cpp.
void add(Holes& h, double weight);
void close(Holes& h);
void add_sums(Holes& h, const double* mass, const double* first, const double* second, double* room);

}  // namespace stream_mix::STREAM_MIX_ISA
