// What the files of `ListKernels` give each other.
#pragma once

#include "shortlist.hpp"
#include "simd.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// Room of the bounds of a tile: (count, LOOK), and for each row the largest and which it is.
struct BoundsRoom {
    double* turned;  // (width, LOOK)
    float *columns, *bounds, *most, *whose;
};

bool rows_of(const Components& c, const Rows& from, const std::int32_t* which, std::int64_t first, int count,
             std::int64_t stride, double* y, double* z);
void nearest_of(std::int64_t d, std::int64_t width, std::int64_t centres, const float* packed, const double* z, int count,
                float* room, std::int32_t* found);
bool pack_bounds(const Components& c, const Listed& list, float* bounds);
// Bounds of the list's components for up to LOOK rows z. A row that is too far out for them is wild.
void bounds_of(const Components& c, const Listed& list, const double* z, int count, const BoundsRoom& room, Fate* fate);
double add_pairs(const Pair* pairs, std::int64_t n, const double* rows, std::int64_t stride, double* sums, std::int64_t d,
                 std::int64_t width, double* outer);
void invert(std::int64_t d, std::int64_t width, const double* whiten, double weight, double* root, double* total);
double largest_variance(const Components& c, double* root, double* room);
void margins(const Components& c, std::int64_t k, const double* root, const double* leaves, std::int64_t words,
             std::int64_t own, const double* reaches, int n_reaches, std::uint64_t* listed, double* room);

}  // namespace stream_mix::STREAM_MIX_ISA
