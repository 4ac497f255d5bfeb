// Symmetric matrices (d, d) in rows of padded(d), and triangles.
#pragma once

#include "problem.hpp"
#include "simd.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// The upper triangle U of U'U in place of a symmetric matrix, row by row; each diagonal entry goes to `take`. False
// where there is none.
template <class Take>
inline bool factor(double* matrix, std::int64_t d, Take&& take) {
    const std::int64_t row = padded(d);
    for (std::int64_t p = 0; p < d; ++p) {
        double* pivot = matrix + p * row;
        if (!(pivot[p] > 1e-290 && pivot[p] < 1e290)) return false;
        const double root = __builtin_sqrt(pivot[p]), over = 1.0 / root;
        take(root);
        for (std::int64_t j = p; j < d; ++j) pivot[j] *= over;
        for (std::int64_t i = p + 1; i < d; ++i) {
            double* line = matrix + i * row;
            const double share = pivot[i];
            for (std::int64_t j = i / W * W; j < row; j += W)
                store(line + j, load(line + j) - share * load(pivot + j));
        }
    }
    return true;
}

// The inverse of a lower triangle with entries at(i, j), row by row: V_i = (e_i - sum_p T_ip V_p) / T_ii.
template <class At>
inline void invert(std::int64_t d, const At& at, double* inverse) {
    const std::int64_t row = padded(d);
    for (std::int64_t i = 0; i < d; ++i) {
        double* line = inverse + i * row;
        for (std::int64_t j = 0; j < row; ++j) line[j] = 0.0;
        line[i] = 1.0;
        for (std::int64_t p = 0; p < i; ++p) {
            const double share = at(i, p);
            for (std::int64_t j = 0; j <= p; j += W)
                store(line + j, load(line + j) - share * load(inverse + p * row + j));
        }
        const double over = 1.0 / at(i, i);
        for (std::int64_t j = 0; j <= i; ++j) line[j] *= over;
    }
}

}  // namespace stream_mix::STREAM_MIX_ISA
