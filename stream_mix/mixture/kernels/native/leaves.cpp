#include "leaves.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "threads.hpp"

namespace stream_mix {
namespace {

constexpr int LLOYD_STEPS = 3;
// Mean over least precision of a component from which on its bounds go by feature: that makes them twice as dear.
constexpr double LOOSE = 1.1;
// Components that one thread sets up at a time.
constexpr std::int64_t GROUP = 64;

std::int64_t leaves_for(std::int64_t k) {
    return std::max<std::int64_t>(1, std::min(k / 4, 2 * static_cast<std::int64_t>(std::sqrt(static_cast<double>(k)))));
}

// The lower triangle L (d, d) with L L' = matrix, row by row.
std::vector<double> cholesky(std::vector<double> matrix, std::int64_t d) {
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = 0; j <= i; ++j) {
            double rest = matrix[i * d + j];
            for (std::int64_t m = 0; m < j; ++m) rest -= matrix[i * d + m] * matrix[j * d + m];
            matrix[i * d + j] = i == j ? std::sqrt(rest) : rest / matrix[j * d + j];
        }
    return matrix;
}

}  // namespace

Leaves::Leaves(const Isa& isa, const Given& given, std::vector<double> reaches, int threads)
    : isa_(isa),
      second_(given.second),
      count_(leaves_for(given.k)),
      words_((count_ + 63) / 64),
      reaches_(std::move(reaches)),
      weights_(given.weights, given.weights + given.k),
      own_(given.k),
      listed_(given.k * words_ * reaches_.size()) {
    keep(given);
    if (second_ == Second::full)
        invert(given, threads);
    else if (second_ == Second::tied)
        frame_triangle(given, std::vector<double>(given.whiten, given.whiten + given.d * given.d));
    else
        frame_diagonal(given);
    find_leaves();
    find_margins(threads);
}

void Leaves::keep(const Given& given) {
    Components& c = components_;
    const bool diag = second_ == Second::diag && !given.round;
    c.shape = diag ? Shape::diag : second_ == Second::full ? Shape::full : Shape::round;
    c.squares = second_ == Second::diag;
    c.k = given.k;
    c.d = given.d;
    c.width = padded(given.d);
    numbers_ = Buffer(3 * c.width);
    std::copy_n(given.origin, c.d, numbers_.get());
    std::copy_n(given.inverse_scale, c.d, numbers_.get() + c.width);
    std::copy_n(given.centre, c.d, numbers_.get() + 2 * c.width);
    c.origin = numbers_.get();
    c.inverse_scale = c.origin + c.width;
    c.centre = c.inverse_scale + c.width;
    means_ = Buffer(c.k * c.width);
    precision_ = Buffer(c.k * (diag ? c.width : 1));
    least_ = Buffer(c.k);
    peak_ = Buffer(c.k);
    std::copy_n(given.peak, c.k, peak_.get());
    c.means = means_.get();
    c.precision = precision_.get();
    c.least = least_.get();
    c.peak = peak_.get();
}

// T: one over the mean standard deviation of each feature.
void Leaves::frame_diagonal(const Given& given) {
    Components& c = components_;
    diagonal_ = Buffer(c.width);
    c.diagonal = diagonal_.get();
    const double total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    for (std::int64_t j = 0; j < c.d; ++j) {
        double variance = 0.0;
        for (std::int64_t k = 0; k < c.k; ++k) {
            const double root = given.whiten[k * c.d + j];
            variance += weights_[k] / (root * root);
        }
        diagonal_.get()[j] = std::sqrt(total / variance);
    }
    const bool diag = c.shape == Shape::diag;
    double looseness = 0.0;
    for (std::int64_t k = 0; k < c.k; ++k) {
        double* precision = precision_.get() + (diag ? k * c.width : k);
        double least = 1e300, sum = 0.0;
        for (std::int64_t j = 0; j < c.d; ++j) {
            const double t = diagonal_.get()[j], root = given.whiten[k * c.d + j] / t, square = root * root;
            means_.get()[k * c.width + j] = t * given.means[k * c.d + j];
            if (diag || !j) precision[j] = square;
            least = std::min(least, square);
            sum += square;
        }
        if (diag) std::fill(precision + c.d, precision + c.width, 1.0);
        least_.get()[k] = least;
        looseness += weights_[k] * sum / (static_cast<double>(c.d) * least);
    }
    c.by_feature = diag && looseness > LOOSE * total;
}

// T: the inverse of the triangle whose square is the mean covariance. Round components have precision 1 there.
void Leaves::frame_triangle(const Given& given, const std::vector<double>& inverse) {
    Components& c = components_;
    triangle_ = Buffer(c.d * c.width);
    c.triangle = triangle_.get();
    for (std::int64_t i = 0; i < c.d; ++i)
        for (std::int64_t j = 0; j <= i; ++j) triangle_.get()[j * c.width + i] = inverse[i * c.d + j];
    for (std::int64_t k = 0; k < c.k; ++k)
        for (std::int64_t i = 0; i < c.d; ++i) {
            double sum = 0.0;
            for (std::int64_t j = 0; j <= i; ++j) sum += inverse[i * c.d + j] * given.means[k * c.d + j];
            means_.get()[k * c.width + i] = sum;
        }
    std::fill_n(precision_.get(), c.k, 1.0);
    std::fill_n(least_.get(), c.k, 1.0);
}

// Roots of all covariances, the frame of their mean, and W_k as the loops read it.
void Leaves::invert(const Given& given, int threads) {
    Components& c = components_;
    const std::int64_t d = c.d, square = d * c.width, groups = (c.k + GROUP - 1) / GROUP;
    roots_ = Buffer(c.k * square);
    columns_ = Buffer(c.k * square);
    whitened_ = Buffer(c.k * c.width);
    c.whiten = columns_.get();
    c.whitened = whitened_.get();
    Buffer sums(groups * square);
    in_groups(groups, threads, [&](std::int64_t group) {
        for (std::int64_t k = group * GROUP; k < std::min(c.k, (group + 1) * GROUP); ++k) {
            const double* whiten = given.whiten + k * d * d;
            isa_.lists->invert(d, c.width, whiten, weights_[k], roots_.get() + k * square, sums.get() + group * square);
            for (std::int64_t i = 0; i < d; ++i)
                for (std::int64_t j = 0; j <= i; ++j) {
                    columns_.get()[k * square + j * c.width + i] = whiten[i * d + j];
                    whitened_.get()[k * c.width + i] += whiten[i * d + j] * given.means[k * d + j];
                }
        }
    });
    const double total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    std::vector<double> mean(d * d), inverse(d * d);
    for (std::int64_t group = 0; group < groups; ++group)
        for (std::int64_t i = 0; i < d; ++i)
            for (std::int64_t j = 0; j <= i; ++j) mean[i * d + j] += sums.get()[group * square + i * c.width + j] / total;
    const std::vector<double> root = cholesky(mean, d);
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = 0; j <= i; ++j) {
            double rest = i == j ? 1.0 : 0.0;
            for (std::int64_t m = j; m < i; ++m) rest -= root[i * d + m] * inverse[m * d + j];
            inverse[i * d + j] = rest / root[i * d + i];
        }
    frame_triangle(given, inverse);
}

void Leaves::nearest_leaves() {
    const Components& c = components_;
    std::vector<float> room(3 * LOOK * c.width);
    for (std::int64_t k = 0; k < c.k; k += LOOK)
        isa_.lists->nearest(c.d, c.width, count_, packed_.data(), c.means + k * c.width,
                            static_cast<int>(std::min<std::int64_t>(LOOK, c.k - k)), room.data(), own_.data() + k);
}

// Centres as a list without squares.
void Leaves::pack_leaves() {
    const Components& c = components_;
    packed_.assign(list_bounds(count_, c.d), 0.0f);
    for (std::int64_t l = 0; l < (count_ + 3) / 4 * 4; ++l) {
        float* to = packed_.data() + l * (c.d + 1);
        double length = 0.0;
        for (std::int64_t j = 0; l < count_ && j < c.d; ++j) {
            const double value = centre(l)[j];
            length += value * value;
            to[j] = static_cast<float>(value);
        }
        to[c.d] = l < count_ ? static_cast<float>(-0.5 * length) : -1e37f;
    }
}

// A few of Lloyd's steps over the means, from means evenly over the components' numbers on.
void Leaves::find_leaves() {
    const Components& c = components_;
    centres_ = Buffer(count_ * c.width);
    for (std::int64_t l = 0; l < count_; ++l)
        std::copy_n(c.means + l * (c.k - 1) / std::max<std::int64_t>(1, count_ - 1) * c.width, c.width,
                    centres_.get() + l * c.width);
    pack_leaves();
    for (int step = 0; step < LLOYD_STEPS; ++step) {
        nearest_leaves();
        std::vector<double> sums(count_ * c.width), members(count_);
        for (std::int64_t k = 0; k < c.k; ++k) {
            members[own_[k]] += 1.0;
            for (std::int64_t j = 0; j < c.d; ++j) sums[own_[k] * c.width + j] += c.means[k * c.width + j];
        }
        for (std::int64_t l = 0; l < count_; ++l)
            for (std::int64_t j = 0; members[l] > 0.0 && j < c.d; ++j)
                centres_.get()[l * c.width + j] = sums[l * c.width + j] / members[l];
        pack_leaves();
    }
    nearest_leaves();
}

void Leaves::find_margins(int threads) {
    const Components& c = components_;
    const std::int64_t all = 64 * words_, square = c.d * c.width, reaches = static_cast<std::int64_t>(reaches_.size());
    std::vector<double> leaves(c.d * all);
    for (std::int64_t l = 0; l < count_; ++l)
        for (std::int64_t j = 0; j < c.d; ++j) leaves[j * all + l] = centre(l)[j];
    in_groups((c.k + GROUP - 1) / GROUP, threads, [&](std::int64_t group) {
        Buffer room(2 * square + 8 * c.d);
        for (std::int64_t k = group * GROUP; k < std::min(c.k, (group + 1) * GROUP); ++k) {
            double* root = roots_.get() ? roots_.get() + k * square : nullptr;
            if (c.shape == Shape::full)
                least_.get()[k] = 1.0 / isa_.lists->largest_variance(c, root, room.get());
            isa_.lists->margins(c, k, root, leaves.data(), words_, own_[k], reaches_.data(), static_cast<int>(reaches),
                                listed_.data() + k * reaches * words_, room.get());
        }
    });
    roots_ = Buffer();
}

Lists Leaves::lists(std::size_t reach) const {
    const std::int64_t reaches = static_cast<std::int64_t>(reaches_.size());
    std::vector<std::vector<std::int32_t>> members(count_);
    for (std::int64_t k = 0; k < components_.k; ++k)
        for (std::int64_t word = 0; word < words_; ++word)
            for (std::uint64_t left = listed_[(k * reaches + reach) * words_ + word]; left; left &= left - 1) {
                const std::int64_t leaf = 64 * word + __builtin_ctzll(left);
                if (leaf < count_) members[leaf].push_back(static_cast<std::int32_t>(k));
            }
    Lists found;
    std::vector<double> weight(count_);
    for (std::int64_t k = 0; k < components_.k; ++k) weight[own_[k]] += weights_[k];
    double looks = 0.0, total = 0.0;
    found.offset.push_back(0);
    for (std::int64_t l = 0; l < count_; ++l) {
        // A leaf that no component's rows fall into may get a row still: any component will do, it is far then.
        if (members[l].empty()) members[l].push_back(0);
        found.members.insert(found.members.end(), members[l].begin(), members[l].end());
        found.offset.push_back(static_cast<std::int64_t>(found.members.size()));
        looks += weight[l] * static_cast<double>(members[l].size());
        total += weight[l];
    }
    found.share = looks / (total * static_cast<double>(components_.k));
    return found;
}

}  // namespace stream_mix
