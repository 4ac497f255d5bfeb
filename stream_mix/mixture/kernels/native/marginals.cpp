#include "marginals.hpp"

#include <atomic>
#include <cmath>

#include "marginal_room.hpp"
#include "threads.hpp"

namespace stream_mix {
namespace {

// Multiplications and additions that a group of patterns is worth its own sums for, and the most groups there are;
// rows of one pattern beyond which all threads work on it together.
constexpr double GROUP_WORK = 4e6;
constexpr std::int64_t MOST_GROUPS = 16, TOGETHER = 4096;
// The logarithm of no weight at all.
constexpr double NEVER = -1e300;

// The rows as doubles, one behind the other; copied to `room` where they do not lie so.
const double* in_order(const Rows& rows, std::int64_t d, std::vector<double>& room) {
    if (!rows.single && rows.column_stride == 1 && rows.row_stride == d) return static_cast<const double*>(rows.x);
    room.resize(rows.n * d);
    const auto copy = [&](const auto* x) {
        for (std::int64_t i = 0; i < rows.n; ++i)
            for (std::int64_t j = 0; j < d; ++j)
                room[i * d + j] = static_cast<double>(x[i * rows.row_stride + j * rows.column_stride]);
    };
    if (rows.single)
        copy(static_cast<const float*>(rows.x));
    else
        copy(static_cast<const double*>(rows.x));
    return room.data();
}

}  // namespace

Marginals::Marginals(const Isa& isa, bool tied, std::int64_t k, std::int64_t d, const double* weights,
                     const double* means, const double* covariances)
    : isa_(isa),
      tied_(tied),
      k_(k),
      d_(d),
      row_(padded(d)),
      lanes_(padded(k)),
      heaviest_(std::max_element(weights, weights + k) - weights),
      means_(k * row_),
      covariances_((tied ? 1 : k) * d * row_),
      centre_(d),
      centred_(lanes_ * d),
      correlations_((tied ? LANES : lanes_) * (d * (d + 1) / 2)),
      inverse_((tied ? LANES : lanes_) * d),
      log_weight_(lanes_) {
    for (std::int64_t i = 0; i < k; ++i) std::copy_n(means + i * d, d, means_.data() + i * row_);
    for (std::int64_t i = 0; i < (tied ? 1 : k) * d; ++i)
        std::copy_n(covariances + i * d, d, covariances_.data() + i * row_);
    if (tied) std::copy_n(means + heaviest_ * d, d, centre_.data());
    for (std::int64_t i = 0; i < lanes_; ++i) log_weight_.get()[i] = i < k ? std::log(weights[i]) : NEVER;
    place_lanes();
}

// Tied: every lane of the one group holds the covariance that all share.
void Marginals::place_lanes() {
    const std::int64_t entries = d_ * (d_ + 1) / 2;
    std::fill_n(inverse_.get(), (tied_ ? LANES : lanes_) * d_, 1.0);
    for (std::int64_t k = 0; k < (tied_ ? LANES : k_); ++k) {
        const std::int64_t lane = k % LANES;
        const double* covariance = covariances_.data() + (tied_ ? 0 : k * d_ * row_);
        double* inverse = inverse_.get() + k / LANES * LANES * d_ + lane;
        double* correlation = correlations_.get() + k / LANES * LANES * entries + lane;
        for (std::int64_t i = 0; i < d_; ++i) {
            inverse[i * LANES] = 1.0 / std::sqrt(covariance[i * row_ + i]);
            for (std::int64_t j = 0; j <= i; ++j, correlation += LANES)
                *correlation = covariance[i * row_ + j] * inverse[i * LANES] * inverse[j * LANES];
        }
    }
    for (std::int64_t k = 0; k < k_; ++k)
        for (std::int64_t j = 0; j < d_; ++j)
            centred_.get()[(k / LANES * d_ + j) * LANES + k % LANES] = means_[k * row_ + j] - centre_[j];
}

bool Marginals::run(const Visit& visit) const {
    std::vector<double> room;
    const double* z = in_order(visit.rows, d_, room);
    const Patterns patterns(z, visit.rows.n, d_);
    return visit.known ? run_in_order(visit, z, patterns) : run_in_groups(visit, z, patterns);
}

// Where a component does not wholly know a feature, what patterns come to together depends on their order.
bool Marginals::run_in_order(const Visit& visit, const double* z, const Patterns& patterns) const {
    Buffer sums(sums_size(*this));
    MarginalRoom room(*this, visit, z, sums.get());
    const std::int64_t second = (tied_ ? 1 : k_) * d_ * d_;
    std::fill_n(visit.filled->mass, k_, 0.0);
    std::fill_n(visit.filled->seen, k_ * d_, 0.0);
    std::fill_n(visit.filled->mean, k_ * d_, 0.0);
    std::fill_n(visit.filled->scatter, second, 0.0);
    for (std::int64_t p = 0; p < patterns.count(); ++p) {
        if (!room.take(patterns, p, visit.threads)) return false;
        room.merge(visit.known, *visit.filled);
    }
    for (std::int64_t i = 0; i < second; i += d_ * d_)
        for (std::int64_t f = 0; f < d_; ++f)
            for (std::int64_t g = 0; g < f; ++g) visit.filled->scatter[i + f * d_ + g] = visit.filled->scatter[i + g * d_ + f];
    return true;
}

// Multiplications and additions that a pattern of so many rows costs, about; only its share of the whole matters.
double Marginals::work_of(std::int64_t rows) const {
    const double d = static_cast<double>(d_), all = static_cast<double>(lanes_);
    return all * (d * d * d / 24.0 + static_cast<double>(rows) * d * (d + 8.0) / 2.0);
}

// Patterns that all threads share come first; the others are cut into groups, each summed by itself. The cuts depend on
// nothing but the rows, and groups are added in their order: no bit depends on the number of threads.
bool Marginals::run_in_groups(const Visit& visit, const double* z, const Patterns& patterns) const {
    std::vector<std::int64_t> large, cuts(1, 0), small;
    double work = 0.0;
    for (std::int64_t p = 0; p < patterns.count(); ++p) {
        (patterns.size(p) >= TOGETHER ? large : small).push_back(p);
        if (patterns.size(p) < TOGETHER) work += work_of(patterns.size(p));
    }
    const std::int64_t groups = std::clamp<std::int64_t>(static_cast<std::int64_t>(work / GROUP_WORK), 1, MOST_GROUPS);
    double so_far = 0.0;
    for (std::size_t i = 0; i < small.size(); ++i) {
        so_far += work_of(patterns.size(small[i]));
        if (so_far >= work / static_cast<double>(groups) * static_cast<double>(cuts.size()) && i + 1 < small.size() &&
            static_cast<std::int64_t>(cuts.size()) < groups)
            cuts.push_back(static_cast<std::int64_t>(i) + 1);
    }
    cuts.push_back(static_cast<std::int64_t>(small.size()));
    const std::int64_t each = visit.filled ? sums_size(*this) : 0, parts = static_cast<std::int64_t>(cuts.size()) - 1;
    Buffer sums(parts * each);
    std::atomic<bool> sound{true};
    MarginalRoom first(*this, visit, z, each ? sums.get() : nullptr);
    for (const std::int64_t p : large)
        if (!first.take(patterns, p, visit.threads)) return false;
    const auto take = [&](MarginalRoom& room, std::int64_t group) {
        for (std::int64_t i = cuts[group]; i < cuts[group + 1] && sound; ++i)
            if (!room.take(patterns, small[i], 1)) sound = false;
    };
    in_groups(parts, visit.threads, [&](std::int64_t group) {
        if (group == 0) return take(first, group);
        MarginalRoom room(*this, visit, z, each ? sums.get() + group * each : nullptr);
        take(room, group);
    });
    if (!sound || !each) return sound;
    for (std::int64_t group = 1; group < parts; ++group)
        for (std::int64_t i = 0; i < each; ++i) sums.get()[i] += sums.get()[group * each + i];
    first.finish(*visit.filled);
    return true;
}

}  // namespace stream_mix
