// The basis of a live model: a look at it now and then, and a move where the data is far away from it.
#include <algorithm>
#include <cmath>

#include "live_choice.hpp"

namespace stream_mix {

namespace {

constexpr double OUT_OF_REACH = 30.0;  // recentring.py
constexpr double LIGHT = 0.1;          // recentring.py
constexpr double SMALLEST = 1e-30, DIGITS = 16.0 * 2.220446049250313e-16, GRID = 0x1p-8;  // basis.py

double least_scale(double origin) { return std::fmax(SMALLEST, DIGITS * (std::isnan(origin) ? 0.0 : std::fabs(origin))); }

// basis.gridded
double gridded(double origin, double scale) {
    const double step = std::exp2(std::floor(std::log2(scale))) * GRID, rounded = std::nearbyint(origin / step) * step;
    return std::isfinite(rounded) ? rounded : origin;
}

}  // namespace

void LiveModel::keep_basis() {
    std::vector<double> new_origin, new_scale;
    kernels_.spread(s_);
    if (!better_basis(new_origin, new_scale)) return;
    move_basis(new_origin, new_scale);
    if (choice) choice->rebase(new_origin, new_scale);
}

void LiveModel::move_basis(const std::vector<double>& new_origin, const std::vector<double>& new_scale) {
    kernels_.spread(s_);
    rebase(new_origin, new_scale);
    origin = new_origin;
    scale = new_scale;
    measure();
    kernels_.derive(s_);
}

// A basis about the data as remembered now; false where the present one still serves.
bool LiveModel::better_basis(std::vector<double>& new_origin, std::vector<double>& new_scale) const {
    const std::int64_t d = s_.d;
    const bool isotropic = s_.family == Family::kmeans || s_.family == Family::spherical;
    std::vector<double> mean(d), variance(d), deviation(d, 1.0), least(d);
    std::vector<std::uint8_t> usable(d);
    double summed = 0.0, count = 0.0;
    new_origin = origin;
    new_scale = scale;
    for (std::int64_t f = 0; f < d; ++f) {
        double all = 0.0;
        for (std::int64_t k = 0; k < s_.k; ++k) all += s_.seen[at(k, f, d)];
        const double light = LIGHT * all / static_cast<double>(s_.k);
        double seen = 0.0, total = 0.0, reach = 0.0, spread = s_.family == Family::tied ? s_.shared[f * d + f] : 0.0;
        for (std::int64_t k = 0; k < s_.k; ++k) {
            if (s_.seen[at(k, f, d)] < light) continue;
            seen += s_.seen[at(k, f, d)];
            total += s_.seen[at(k, f, d)] * s_.mean[at(k, f, d)];
            if (s_.family != Family::tied)
                spread += s_.scatter[at(k, s_.family == Family::full ? f * (f + 3) / 2 : f, s_.entries)];
        }
        mean[f] = total / (seen > 0.0 ? seen : 1.0);
        for (std::int64_t k = 0; k < s_.k; ++k) {
            const double off = s_.mean[at(k, f, d)] - mean[f];
            if (s_.seen[at(k, f, d)] < light) {
                if (s_.seen[at(k, f, d)] > 0.0) reach = std::fmax(reach, std::fabs(off));
                continue;
            }
            spread += s_.seen[at(k, f, d)] * (off * off);
        }
        variance[f] = spread / (seen > 0.0 ? seen : 1.0);
        usable[f] = seen > 0.0 && std::sqrt(variance[f]) > DIGITS * reach && std::isfinite(variance[f]);
        if (seen > 0.0) new_origin[f] = origin[f] + mean[f] * scale[f];
        least[f] = least_scale(new_origin[f]);
        if (usable[f]) {
            deviation[f] = std::sqrt(variance[f]);
            summed += variance[f];
            count += 1.0;
        }
    }
    if (count == 0.0) return false;
    if (isotropic) {
        // One scale for all features, those without spread too: a round family has no other.
        std::fill(deviation.begin(), deviation.end(), std::sqrt(summed / count));
        std::fill(least.begin(), least.end(), *std::max_element(least.begin(), least.end()));
    }
    bool far = false;
    for (std::int64_t f = 0; f < d; ++f) {
        deviation[f] = std::fmax(deviation[f], least[f] / scale[f]);
        const double inverse = 1.0 / std::fmax(deviation[f], 1e-300), off = std::fabs(mean[f]) / std::fmax(deviation[f], 1.0);
        far |= usable[f] && std::fmax(std::fmax(deviation[f], inverse), off) > OUT_OF_REACH;
        new_scale[f] = scale[f] * deviation[f];
        if (usable[f]) new_origin[f] = gridded(new_origin[f], new_scale[f]);
    }
    return far;
}

// The same moments in other coordinates (moments.py, `rebase`).
void LiveModel::rebase(const std::vector<double>& new_origin, const std::vector<double>& new_scale) {
    const std::int64_t d = s_.d;
    std::vector<double> ratio(d, 1.0), shift(d, 0.0);
    for (std::int64_t f = 0; f < d; ++f) {
        if (!known_[f]) continue;
        ratio[f] = scale[f] / new_scale[f];
        shift[f] = (origin[f] - new_origin[f]) / new_scale[f];
    }
    for (std::int64_t k = 0; k < s_.k; ++k)
        for (std::int64_t f = 0; f < d; ++f) {
            double& mean = s_.mean[at(k, f, d)];
            mean = s_.seen[at(k, f, d)] > 0.0 ? mean * ratio[f] + shift[f] : 0.0;
            if (s_.family != Family::full && s_.family != Family::tied) s_.scatter[at(k, f, d)] *= ratio[f] * ratio[f];
        }
    for (std::int64_t i = 0, e = 0; i < d; ++i)
        for (std::int64_t j = 0; j <= i; ++j, ++e) {
            if (s_.family == Family::tied) s_.shared[i * d + j] *= ratio[i] * ratio[j];
            if (s_.family == Family::full)
                for (std::int64_t k = 0; k < s_.k; ++k) s_.scatter[at(k, e, s_.entries)] *= ratio[i] * ratio[j];
        }
}

}  // namespace stream_mix
