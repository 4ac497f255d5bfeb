// Rows grouped by which features they have.
#pragma once

#include <cstdint>
#include <vector>

namespace stream_mix {

// Patterns in the order in which they first appear, the rows of each in theirs.
struct Patterns {
    // Of n rows of d numbers, one behind the other, NaN where one is missing.
    Patterns(const double* z, std::int64_t n, std::int64_t d);

    std::int64_t count() const { return static_cast<std::int64_t>(start.size()) - 1; }
    const std::int64_t* rows_of(std::int64_t pattern) const { return rows.data() + start[pattern]; }
    std::int64_t size(std::int64_t pattern) const { return start[pattern + 1] - start[pattern]; }

    std::vector<std::int64_t> rows, start;
};

}  // namespace stream_mix
