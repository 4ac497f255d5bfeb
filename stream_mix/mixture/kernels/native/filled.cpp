// The sums of rows filled in as moments: mean, and scatter about it (moments.py).
#include <cmath>

#include "marginal_room.hpp"

namespace stream_mix {
namespace {

// A component with less than this took no part: em.py.
constexpr double NO_MASS = 1e-100;

}  // namespace

void MarginalRoom::finish(const Filled& out) const {
    const std::int64_t k = h_.k, d = h_.d;
    std::fill_n(out.scatter, (h_.tied ? 1 : k) * d * d, 0.0);
    const auto copy = [&](const double* second, double* scatter) {
        for (std::int64_t i = 0; i < d; ++i)
            for (std::int64_t j = i; j < d; ++j) scatter[i * d + j] = second[i * h_.row + j];
    };
    if (h_.tied) copy(h_.second, out.scatter);
    for (std::int64_t c = 0; c < k; ++c) {
        const bool present = h_.mass[c] > NO_MASS;
        const double mass = present ? h_.mass[c] : 0.0, *first = h_.first + c * h_.row;
        double* scatter = out.scatter + (h_.tied ? 0 : c * d * d);
        out.mass[c] = mass;
        std::fill_n(out.seen + c * d, d, mass);
        if (present && !h_.tied) copy(h_.second + c * d * h_.row, scatter);
        for (std::int64_t i = 0; i < d; ++i) {
            const double step = present ? first[i] / mass : 0.0;
            out.mean[c * d + i] = present ? h_.means[c * h_.row + i] + step : 0.0;
            for (std::int64_t j = i; present && j < d; ++j) scatter[i * d + j] -= step * first[j];
        }
    }
    for (std::int64_t at = 0; at < (h_.tied ? 1 : k) * d * d; at += d * d)
        for (std::int64_t i = 0; i < d; ++i)
            for (std::int64_t j = 0; j < i; ++j) out.scatter[at + i * d + j] = out.scatter[at + j * d + i];
}

// A component's mass and mean with those of its part.
void MarginalRoom::join(const double* known, std::int64_t k, const Filled& out) {
    const double mass = h_.mass[k];
    std::fill(share_.begin(), share_.end(), 1.0);
    for (std::int64_t b = 0; b < h_.m; ++b) share_[missing_[b]] = known[k * h_.d + missing_[b]];
    for (std::int64_t i = 0; i < h_.d; ++i) {
        double &seen = out.seen[k * h_.d + i], &mean = out.mean[k * h_.d + i];
        const double more = mass * share_[i], all = seen + more, share = more / (all > 0.0 ? all : 1.0);
        const double delta = h_.means[k * h_.row + i] + h_.first[k * h_.row + i] / mass - mean;
        step_[i] = std::sqrt(seen * share) * delta;
        mean += share * delta;
        seen = all;
    }
    out.mass[k] += mass;
    double* scatter = out.scatter + (h_.tied ? 0 : k * h_.d * h_.d);
    for (std::int64_t i = 0; i < h_.d; ++i)
        for (std::int64_t j = i; j < h_.d; ++j) scatter[i * h_.d + j] += step_[i] * step_[j];
}

// The scatter within the part, each feature's deviations counting `root`; what it is of is cleared.
void MarginalRoom::add_within(std::int64_t k, const double* root, double* scatter) {
    for (std::int64_t i = 0; i < h_.d; ++i) {
        double* line = h_.second + (k * h_.d + i) * h_.row;
        for (std::int64_t j = i; j < h_.d; ++j) scatter[i * h_.d + j] += root[i] * root[j] * line[j];
        std::fill_n(line, h_.row, 0.0);
    }
}

// Where the scatter is shared, a feature's deviations count as far as all components together know it.
void MarginalRoom::merge(const double* known, const Filled& out) {
    std::vector<double> root(h_.d, 0.0);
    double all = 0.0;
    for (std::int64_t k = 0; k < h_.k; ++k) {
        double *first = h_.first + k * h_.row, mass = h_.mass[k];
        double* second = h_.second + (h_.tied ? 0 : k * h_.d * h_.row);
        if (mass > NO_MASS) {
            join(known, k, out);
            all += mass;
            for (std::int64_t i = 0; i < h_.d; ++i)
                for (std::int64_t j = i; j < h_.d; ++j) second[i * h_.row + j] -= first[i] * first[j] / mass;
            for (std::int64_t i = 0; i < h_.d; ++i)
                root[i] = h_.tied ? root[i] + mass * share_[i] : std::sqrt(share_[i]);
        }
        if (mass > 0.0 && !h_.tied) add_within(k, root.data(), out.scatter + k * h_.d * h_.d);
        std::fill_n(first, h_.row, 0.0);
        h_.mass[k] = 0.0;
    }
    if (!h_.tied) return;
    for (double& value : root) value = std::sqrt(value / std::max(all, NO_MASS));
    add_within(0, root.data(), out.scatter);
}

}  // namespace stream_mix
