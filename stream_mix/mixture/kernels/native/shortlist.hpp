// Large mixtures: what the files of the short lists give each other, and their loops, once for each instruction set.
//
// Components are seen in a frame z = T y in which they are about 1 wide. A row is looked at with numbers of single
// precision first, about the centre of the leaf that it falls in: they bound from above what a component on the
// leaf's list can say of the row. What may matter after that is worked out exactly.
#pragma once

#include "problem.hpp"

namespace stream_mix {

// How a component's density falls off in the frame.
enum class Shape : int {
    round,  // the same in all directions
    diag,   // along each feature by itself
    full    // |W_k y - W_k m_k|^2 with a triangle W_k for each component
};

struct Components {
    Shape shape;
    bool squares;  // y^2 is summed up too, behind y
    std::int64_t k, d, width;  // width: d, padded
    // Rows: y = (x - origin) * inverse_scale - centre, then z = T y.
    const double* origin;
    const double* inverse_scale;
    const double* centre;
    const double* diagonal;   // (width,) of T where it is diagonal, else null
    const double* triangle;   // (d, width) columns of T, lower, where it is not
    const double* means;      // (k, width) in the frame
    const double* precision;  // round (k,), diag (k, width) of each feature
    const double* least;      // (k,) the least precision in any direction
    bool by_feature;          // diag: bounds take each feature's own precision, not the least
    const double* peak;       // (k,)
    const double* whiten;     // full: (k, d, width) columns of W_k
    const double* whitened;   // full: (k, width) W_k m_k

    // Beside the constant, of the bounds in single precision.
    STREAM_MIX_INLINE constexpr std::int64_t features() const { return by_feature ? 2 * d : d + 1; }
};

// A component, a row, and how much of the row is the component's.
struct Pair {
    std::int32_t k, row;
    double r;
};

// A leaf's list as the loops read it: component by component, the constant after the features, and as many components
// that nobody likes as fill up a block of four.
struct Listed {
    std::int64_t count;
    const std::int32_t* members;
    const double* centre;  // (width,) in the frame
    const float* bounds;   // list_bounds(count, features) floats
    double reach;          // rows further than this (squared Mahalanobis) from their likeliest component are far
};

// Rows of a tile; tiles that are worked out together, at most; and pairs that there is room for beyond those of one
// tile.
constexpr int LOOK = 64, TILES = 8;
constexpr std::int64_t SPARE = 1 << 15;
// A score, below the row's largest, under which a component has no share in a row: 2^-16 of the largest. What is left
// out is left out of the row's density too.
constexpr double CUT = -11.090354888959125;
// What a row got: it was scored; no component of the list explains it; it is too far out for single precision.
enum class Fate : std::int8_t { scored, far, wild };

// Of some rows. `pairs` has room for LOOK * (list.count + 1) + SPARE of them.
struct Looked {
    std::int32_t first;  // the number of the first row, from which pairs count on
    double* log_density;
    Fate* fate;
    Pair* pairs;
    std::int64_t n_pairs;
    std::int64_t worked_out;  // pairs whose density was computed
};

STREAM_MIX_INLINE constexpr std::int64_t list_bounds(std::int64_t count, std::int64_t features) {
    return (count + 3) / 4 * 4 * (features + 1) + 8;
}
// Bytes that `look` computes in, d being padded.
STREAM_MIX_INLINE constexpr std::int64_t look_room(std::int64_t count, std::int64_t d) {
    return 24 * (LOOK * (count + 1) + SPARE) + 4 * LOOK * (count + 3 + 4 * d + 8) + 4 * (count + 1) + 32 * LOOK * TILES + 64;
}

// The loops for one instruction set.
struct ListKernels {
    // y (count, stride), with y^2 from `width` on where squares are summed up, and z (count, width) of some rows;
    // `which` null: those from `first` on. False where a value is NaN or infinite.
    bool (*rows)(const Components&, const Rows&, const std::int32_t* which, std::int64_t first, int count,
                 std::int64_t stride, double* y, double* z);
    // The nearest of the centres, packed as a list without squares, to up to LOOK rows z; room for 3 LOOK width floats.
    void (*nearest)(std::int64_t d, std::int64_t width, std::int64_t centres, const float* packed, const double* z,
                    int count, float* room, std::int32_t* nearest);
    // The bounds of a list's components about its centre. False where single precision does not hold them.
    bool (*pack)(const Components&, const Listed&, float* bounds);
    // Densities and responsibilities of up to LOOK * TILES rows: of how many it was.
    int (*look)(const Components&, const Listed&, const double* y, std::int64_t stride, const double* z, int count,
                bool hard, void* room, Looked&);
    // sums (stride) += r rows, and where `outer` is not null its upper triangle (d, width) += r y y', of n pairs;
    // returns the sum of r.
    double (*add)(const Pair* pairs, std::int64_t n, const double* rows, std::int64_t stride, double* sums, std::int64_t d,
                  std::int64_t width, double* outer);
    // root (d, width) = W^-1 of a lower triangle W (d, d), and total (d, width) += weight root root'.
    void (*invert)(std::int64_t d, std::int64_t width, const double* whiten, double weight, double* root, double* total);
    // root (d, width) = T root; and at least the largest variance that it gives in any direction.
    double (*largest_variance)(const Components&, double* root, double* room);
    // For each of `reaches` the leaves (words, 64 each) that rows of component k fall into, its own being `own`.
    // `leaves` (d, 64 words) are their centres; `root` (d, width) is only for full.
    void (*margins)(const Components&, std::int64_t k, const double* root, const double* leaves, std::int64_t words,
                    std::int64_t own, const double* reaches, int n_reaches, std::uint64_t* listed, double* room);
};

namespace baseline {
extern const ListKernels list_kernels;
}
namespace avx2 {
extern const ListKernels list_kernels;
}
namespace avx512 {
extern const ListKernels list_kernels;
}

}  // namespace stream_mix
