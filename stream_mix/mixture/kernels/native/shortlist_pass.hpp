// The pass of rows through a large mixture, each row scored by the components of its leaf's list.
#pragma once

#include "leaves.hpp"

namespace stream_mix {

// Sums over rows, of y and what belongs to it.
struct Totals {
    double* mass;    // (k,)
    double* sums;    // (k, stride): y, and y^2 from `width` on where it is summed up
    double* outer;   // full: (k, d, width), upper triangles of y y'; else null
    double* pooled;  // tied: (d, width); else null
    static std::int64_t stride(const Components& c) { return (c.squares ? 2 : 1) * c.width; }
};

// What became of the rows.
struct Report {
    std::int64_t far = 0, worked_out = 0;  // rows that were scored by all components; densities that were computed
    std::vector<std::int64_t> wild;        // rows that were not scored: too far out
};

// How rows are scored.
struct Way {
    double reach;  // a row further (squared Mahalanobis) from the likeliest component of its list is scored by all
    bool hard;
    double pairs;  // of a row and a component, that there will be of each row, about: for the room that they need
};

// Log densities of the rows, by all components where there are no lists, and where `totals` is given their sums, which
// do not depend on the number of threads. False where a value is missing, or components are too wide or narrow for single precision.
bool run_lists(const Leaves& leaves, const Lists* lists, const Way& way, const Rows& rows, double* log_density,
               Totals* totals, Report& report, int threads);

}  // namespace stream_mix
