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
        root_[i] = std::sqrt(share_[i]);
    }
    out.mass[k] += mass;
}

// One component's scatter: within the part, each feature's deviations counting as far as it is known, and between.
void MarginalRoom::merge_full(std::int64_t k, const Filled& out) {
    const double *first = h_.first + k * h_.row, mass = h_.mass[k];
    for (std::int64_t i = 0; i < h_.d; ++i) {
        double *line = h_.second + (k * h_.d + i) * h_.row, *scatter = out.scatter + (k * h_.d + i) * h_.d;
        const double root = root_[i], step = step_[i], mean = first[i] / mass;
        for (std::int64_t j = i; j < h_.d; ++j)
            scatter[j] += root * root_[j] * (line[j] - mean * first[j]) + step * step_[j];
    }
}

// The same where the scatter is shared: a feature's deviations count as far as all components together know it.
void MarginalRoom::merge_tied(const double* known, const Filled& out) {
    std::vector<double> common(h_.d, 0.0);
    double all = 0.0;
    for (std::int64_t k = 0; k < h_.k; ++k) {
        if (!(h_.mass[k] > NO_MASS)) continue;
        const double* first = h_.first + k * h_.row;
        join(known, k, out);
        all += h_.mass[k];
        for (std::int64_t i = 0; i < h_.d; ++i) {
            double *line = h_.second + i * h_.row, *scatter = out.scatter + i * h_.d;
            const double step = step_[i], mean = first[i] / h_.mass[k];
            common[i] += h_.mass[k] * share_[i];
            for (std::int64_t j = i; j < h_.d; ++j) {
                line[j] -= mean * first[j];
                scatter[j] += step * step_[j];
            }
        }
    }
    for (double& value : common) value = std::sqrt(value / std::max(all, NO_MASS));
    for (std::int64_t i = 0; i < h_.d; ++i)
        for (std::int64_t j = i; j < h_.d; ++j)
            out.scatter[i * h_.d + j] += common[i] * common[j] * h_.second[i * h_.row + j];
}

void MarginalRoom::merge(const double* known, const Filled& out) {
    if (h_.tied) merge_tied(known, out);
    for (std::int64_t k = 0; k < h_.k; ++k) {
        if (!h_.tied && h_.mass[k] > NO_MASS) {
            join(known, k, out);
            merge_full(k, out);
        }
        if (h_.mass[k] > 0.0) {
            std::fill_n(h_.first + k * h_.row, h_.row, 0.0);
            std::fill_n(h_.second + (h_.tied ? 0 : k * h_.d * h_.row), h_.d * h_.row, 0.0);
        }
        h_.mass[k] = 0.0;
    }
}

}  // namespace stream_mix
