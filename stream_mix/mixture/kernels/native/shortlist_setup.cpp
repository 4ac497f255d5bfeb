// What components are like in the frame, and which leaves their rows fall into.
#include "shortlist_parts.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

// to (d, width) = the sum over i of from_i from_i', from (d, width), divided by its trace, which is returned.
double gram(std::int64_t d, std::int64_t width, const double* from, double* to) {
    for (std::int64_t i = 0; i < d * width; i += W) store(to + i, vec{});
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t a = 0; a < d; ++a) {
            const vec factor = splat(from[i * width + a]);
            for (std::int64_t c = 0; c < width; c += W)
                store(to + a * width + c, load(to + a * width + c) + factor * load(from + i * width + c));
        }
    double trace = 0.0;
    for (std::int64_t i = 0; i < d; ++i) trace += to[i * width + i];
    const vec inverse = splat(1.0 / trace);
    for (std::int64_t i = 0; i < d * width; i += W) store(to + i, load(to + i) * inverse);
    return trace;
}

// |root' delta|^2 for W leaves, delta (d, W) being how far they are from the component's own.
vec variance_full(std::int64_t d, std::int64_t width, const double* root, const double* delta) {
    vec variance{};
    for (std::int64_t m = 0; m < d; ++m) {
        vec along{};
        for (std::int64_t i = m; i < d; ++i) along += splat(root[i * width + m]) * load(delta + i * W);
        variance += along * along;
    }
    return variance;
}

}  // namespace

void invert(std::int64_t d, std::int64_t width, const double* whiten, double weight, double* root, double* sum) {
    for (std::int64_t i = 0; i < d; ++i) {
        double* line = root + i * width;
        for (std::int64_t c = 0; c < width; c += W) {
            vec rest{};
            for (std::int64_t m = 0; m < i; ++m) rest -= splat(whiten[i * d + m]) * load(root + m * width + c);
            store(line + c, rest);
        }
        line[i] += 1.0;
        const vec divisor = splat(whiten[i * d + i]);
        for (std::int64_t c = 0; c < width; c += W) store(line + c, load(line + c) / divisor);
    }
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = 0; j <= i; ++j) {
            vec product{};
            for (std::int64_t c = 0; c <= j; c += W) product += load(root + i * width + c) * load(root + j * width + c);
            sum[i * width + j] += weight * fold_up(product);
        }
}

// With S = t0 A0 and A_i^2 = t_i+1 A_i+1, all A_i of trace 1, the largest eigenvalue of S is at most t0 t1^(1/2)
// t2^(1/4) ..., and after n squares at least that over d^(1/2^n).
double largest_variance(const Components& c, double* root, double* room) {
    const std::int64_t d = c.d, width = c.width;
    for (std::int64_t i = d - 1; i >= 0; --i)
        for (std::int64_t column = 0; column < width; column += W) {
            vec sum{};
            for (std::int64_t m = 0; m <= i; ++m) sum += splat(c.triangle[m * width + i]) * load(root + m * width + column);
            store(root + i * width + column, sum);
        }
    double *from = room, *to = room + d * width, largest = gram(d, width, root, from);
    for (int square = 1; square <= 5; ++square) {
        double share = gram(d, width, from, to);
        for (int i = 0; i < square; ++i) share = __builtin_sqrt(share);
        largest *= share;
        double* const before = from;
        from = to;
        to = before;
    }
    return largest;
}

void margins(const Components& c, std::int64_t k, const double* root, const double* leaves, std::int64_t words,
             std::int64_t own, const double* reaches, int n_reaches, std::uint64_t* listed, double* room) {
    const std::int64_t all = 64 * words;
    const double *mean = c.means + k * c.width, *precision = c.precision + k * c.width;
    double nearest = 0.0;
    for (std::int64_t i = 0; i < c.d; ++i) {
        const double delta = mean[i] - leaves[i * all + own];
        nearest += delta * delta;
    }
    for (std::int64_t i = 0; i < words * n_reaches; ++i) listed[i] = 0;
    for (std::int64_t l = 0; l < all; l += W) {
        vec further = splat(-nearest), variance{};
        for (std::int64_t i = 0; i < c.d; ++i) {
            const vec leaf = load(leaves + i * all + l), delta = leaf - splat(leaves[i * all + own]);
            const vec away = splat(mean[i]) - leaf;
            further += away * away;
            if (c.shape == Shape::diag)
                variance += delta * delta / splat(precision[i]);
            else
                variance += delta * delta;
            store(room + i * W, delta);
        }
        if (c.shape == Shape::round) variance = variance / splat(c.precision[k]);
        if (c.shape == Shape::full) variance = variance_full(c.d, c.width, root, room);
        for (int r = 0; r < n_reaches; ++r) {
            // Further / (2 deviation) < reach, without a root or a division.
            const vec most = splat(4.0 * reaches[r] * reaches[r]) * variance;
            const bits not_there = bits_of(above(further, vec{})) & ~bits_of(above(most, further * further));
            listed[r * words + l / 64] |= static_cast<std::uint64_t>(ALL & ~not_there) << (l % 64);
        }
    }
    // Of its own leaf rounding may say anything.
    for (int r = 0; r < n_reaches; ++r) listed[r * words + own / 64] |= std::uint64_t{1} << (own % 64);
}

}  // namespace stream_mix::STREAM_MIX_ISA
