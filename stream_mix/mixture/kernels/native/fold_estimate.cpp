// The M-step: parameters from moments. families/*.py has the formulas and their sources.
#include "fold_parts.hpp"
#include "triangle.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

constexpr double UNIT_ROWS = 0.01, TINY = 1e-300, LOG_2PI = 1.8378770664093454836;

// Sum over a row of logarithms; `values` may be read up to the next multiple of 8, and is 1 there.
double sum_of_logs(const double* values, std::int64_t n) {
    vec total{};
    for (std::int64_t i = 0; i < n; i += W) total += log(load(values + i));
    return sum(total);
}

double logarithm(double x) { return log(splat(x))[0]; }

// Weights, and the centre: the mean of the heaviest component.
void weigh(Family family, const Prior& prior, const Record& r, const Estimate& to) {
    double total = 0.0, heaviest = -1.0;
    std::int64_t at = 0;
    const double share = prior.weight / static_cast<double>(r.k);
    for (std::int64_t k = 0; k < r.k; ++k) total += r.mass[k] + share;
    for (std::int64_t k = 0; k < r.k; ++k) {
        double weight = total > 0.0 ? (r.mass[k] + share) / total : 1.0 / static_cast<double>(r.k);
        if (weight < TINY) weight = TINY;
        if (family == Family::kmeans) weight = 1.0 / static_cast<double>(r.k);
        to.weights[k] = weight;
        if (weight > heaviest) heaviest = weight, at = k;
    }
    for (std::int64_t j = 0; j < r.d; ++j) to.centre[j] = r.mean[at * r.d + j];
    for (std::int64_t k = 0; k < r.k; ++k)
        for (std::int64_t j = 0; j < r.d; ++j) to.means[k * r.d + j] = r.mean[k * r.d + j] - to.centre[j];
}

bool all_seen(const Record& r) {
    const std::int64_t n = r.k * r.d;
    vec least = splat(1.0);
    std::int64_t i = 0;
    for (; i + W <= n; i += W) least = min(load(r.seen + i), least);
    bool seen = !bits_of(least <= vec{});
    for (; i < n; ++i) seen &= r.seen[i] > 0.0;
    return seen;
}

double total_of(const double* values, std::int64_t n) {
    vec totals[4] = {};
    std::int64_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W)
        for (int u = 0; u < 4; ++u) totals[u] += load(values + i + u * W);
    double total = sum((totals[0] + totals[1]) + (totals[2] + totals[3]));
    for (; i < n; ++i) total += values[i];
    return total;
}

// Rows with which component k starts from the pooled covariance: priors.pseudo_rows.
double pseudo_rows(const Prior& prior, Family family, const Record& r, std::int64_t k) {
    const double needed = rows_needed(family, r.d);
    return prior.covariance * needed / (r.mass[k] + needed);
}

// Variances of one component (d,) of a diagonal scatter, whatever the family makes of it.
struct Variances {
    Family family;
    const Prior& prior;
    const Record& r;
    double common = 0.0;     // the variance pooled over components and features
    double* pooled;          // (d,) the same for each feature

    Variances(Family f, const Prior& p, const Record& record, double* room)
        : family(f), prior(p), r(record), pooled(room) {
        const double unit = UNIT_ROWS * static_cast<double>(r.d > 1 ? r.d : 1);
        if (family == Family::diag) {
            double* seen = room + padded(r.d);
            for (std::int64_t j = 0; j < r.d; ++j) pooled[j] = seen[j] = UNIT_ROWS;
            for (std::int64_t k = 0; k < r.k; ++k)
                for (std::int64_t j = 0; j < r.d; ++j) {
                    pooled[j] += r.scatter[k * r.d + j];
                    seen[j] += r.seen[k * r.d + j];
                }
            for (std::int64_t j = 0; j < r.d; ++j) pooled[j] /= seen[j];
        } else {
            common = (total_of(r.scatter, r.k * r.d) + unit) / (total_of(r.seen, r.k * r.d) + unit);
        }
    }

    void of(std::int64_t k, double* out) const {
        const double *scatter = r.scatter + k * r.d, *seen = r.seen + k * r.d, c = pseudo_rows(prior, family, r, k);
        if (family == Family::diag) {
            for (std::int64_t j = 0; j < r.d; ++j)
                out[j] = (scatter[j] + c * pooled[j]) / (seen[j] + c) + prior.reg_covar;
            return;
        }
        double variance = common;
        if (family == Family::spherical) {
            const double pseudo = c * static_cast<double>(r.d);
            variance = (total_of(scatter, r.d) + pseudo * common) / (total_of(seen, r.d) + pseudo);
        }
        for (std::int64_t j = 0; j < r.d; ++j) out[j] = variance + prior.reg_covar;
    }
};

bool estimate_diagonal(Family family, const Prior& prior, const Record& r, const Estimate& to, double* precision) {
    const Variances variances(family, prior, r, to.room);
    double* own = to.room + 2 * padded(r.d);
    for (std::int64_t j = r.d; j < padded(r.d); ++j) own[j] = 1.0;
    const std::int64_t width = family == Family::diag ? 2 * r.d : family == Family::spherical ? r.d + 1 : r.d;
    bool sound = true;
    double log_det = 0.0;
    for (std::int64_t k = 0; k < r.k; ++k) {
        if (k == 0 || family != Family::kmeans) {
            variances.of(k, own);
            for (std::int64_t j = 0; j < r.d; ++j) sound &= own[j] > 1e-290 && own[j] < 1e290;
            log_det = sum_of_logs(own, r.d);
        }
        const double* mean = to.means + k * r.d;
        double* theta = to.theta + k * (1 + width);
        double inner = 0.0;
        for (std::int64_t j = 0; j < r.d; ++j) {
            theta[1 + j] = mean[j] / own[j];
            inner += theta[1 + j] * mean[j];
        }
        if (family == Family::diag)
            for (std::int64_t j = 0; j < r.d; ++j) theta[1 + r.d + j] = -0.5 / own[j];
        if (family == Family::spherical) theta[1 + r.d] = -0.5 / own[0];
        to.peak[k] = logarithm(to.weights[k]) - 0.5 * (static_cast<double>(r.d) * LOG_2PI + log_det);
        theta[0] = to.peak[k] - 0.5 * inner;
    }
    *precision = 1.0 / own[0];
    return sound;
}

// Covariances of the components one after the other, from scatter (d, d), in matrices with rows of padded(d).
struct Covariances {
    const Prior& prior;
    const Record& r;
    std::int64_t d, row;
    double* pooled;  // (d, row)
    double* root;    // (d,) room

    Covariances(Family family, const Prior& p, const Record& record, double* room)
        : prior(p), r(record), d(record.d), row(padded(record.d)), pooled(room), root(room + d * row) {
        for (std::int64_t j = 0; j < d; ++j) root[j] = 0.0;
        for (std::int64_t i = 0; i < d * row; ++i) pooled[i] = 0.0;
        const std::int64_t matrices = family == Family::tied ? 1 : r.k;
        for (std::int64_t k = 0; k < matrices; ++k)
            for (std::int64_t i = 0; i < d; ++i)
                for (std::int64_t j = 0; j < d; ++j) pooled[i * row + j] += r.scatter[(k * d + i) * d + j];
        // A prior without pseudo-rows leaves the tied covariance as it is.
        const double unit = family == Family::tied ? UNIT_ROWS * prior.covariance : UNIT_ROWS;
        for (std::int64_t k = 0; k < r.k; ++k)
            for (std::int64_t j = 0; j < d; ++j) root[j] += r.seen[k * d + j];
        for (std::int64_t j = 0; j < d; ++j) root[j] = 1.0 / __builtin_sqrt(root[j] + unit);
        for (std::int64_t i = 0; i < d; ++i) {
            pooled[i * row + i] += unit;
            for (std::int64_t j = 0; j < d; ++j) pooled[i * row + j] *= root[i] * root[j];
        }
    }

    void of(std::int64_t k, double* out) const {
        const double* scatter = r.scatter + k * d * d;
        const double c = pseudo_rows(prior, Family::full, r, k);
        for (std::int64_t j = 0; j < d; ++j) root[j] = 1.0 / __builtin_sqrt(r.seen[k * d + j] + c);
        for (std::int64_t i = 0; i < d; ++i) {
            for (std::int64_t j = 0; j < d; ++j)
                out[i * row + j] = (scatter[i * d + j] + c * pooled[i * row + j]) * (root[i] * root[j]);
            out[i * row + i] += prior.reg_covar;
        }
    }

    void tied(double* out) const {
        for (std::int64_t i = 0; i < d * row; ++i) out[i] = pooled[i];
        for (std::int64_t i = 0; i < d; ++i) out[i * row + i] += prior.reg_covar;
    }
};

// Correlations shrunk as far as their noise asks (family.shrink_correlations).
void shrink(double* matrix, std::int64_t d, double rows, double strength, double* inverse) {
    if (d == 1 || strength == 0.0) return;
    const std::int64_t row = padded(d);
    const double n = rows > TINY ? rows : TINY, width = static_cast<double>(d) + 1.0, damped = n / (n + width);
    for (std::int64_t i = 0; i < d; ++i)
        inverse[i] = matrix[i * row + i] > 0.0 ? 1.0 / __builtin_sqrt(matrix[i * row + i]) : 0.0;
    for (std::int64_t i = d; i < row; ++i) inverse[i] = 0.0;
    double signal = 0.0, noise = 0.0;
    for (std::int64_t i = 1; i < d; ++i) {
        vec signals{}, noises{};
        for (std::int64_t j = 0; j < i; j += W) {
            const vec r = load(matrix + i * row + j) * (load(inverse + j) * inverse[i]), r2 = r * r;
            const vec u = 1.0 - r2 * (damped * damped);
            vec off = splat(1.0);
            for (int l = 0; l < W; ++l) off[l] = j + l < i ? 1.0 : 0.0;
            signals += off * r2;
            noises += off * (u * u);
        }
        signal += sum(signals);
        noise += sum(noises);
    }
    const double wanted = strength * 2.0 * noise / n, most = strength < 1.0 ? strength : 1.0;
    const double least = wanted / most, kept = 1.0 - wanted / (2.0 * signal > least ? 2.0 * signal : least);
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = 0; j < d; ++j)
            if (i != j) matrix[i * row + j] *= kept;
}

// The mixture's share of one component: triangle W = L^-1 with L L' the covariance. False where there is no L.
bool whiten(double* matrix, std::int64_t d, double* inverse, double* triangle, double* log_det) {
    const std::int64_t row = padded(d);
    *log_det = 0.0;
    double product = 1.0;
    const auto take = [&](double root) {
        product *= root;
        if (product > 1e100 || product < 1e-100) *log_det += 2.0 * logarithm(product), product = 1.0;
    };
    if (!factor(matrix, d, take)) return false;
    *log_det += 2.0 * logarithm(product);
    invert(d, [&](std::int64_t i, std::int64_t j) { return matrix[j * row + i]; }, inverse);
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = 0; j <= i; ++j) *triangle++ = inverse[i * row + j];
    return true;
}

// out = triangle y
void apply(const double* triangle, std::int64_t d, const double* y, double* out) {
    for (std::int64_t i = 0; i < d; ++i) {
        double total = 0.0;
        for (std::int64_t j = 0; j <= i; ++j) total += *triangle++ * y[j];
        out[i] = total;
    }
}

bool estimate_tied(const Prior& prior, const Record& r, const Estimate& to) {
    const std::int64_t d = r.d, size = d * padded(d);
    double *matrix = to.room + size + padded(d), *inverse = matrix + size, *own = inverse + size;
    Covariances(Family::tied, prior, r, to.room).tied(matrix);
    shrink(matrix, d, total_of(r.mass, r.k), prior.correlation, own);
    double log_det;
    if (!whiten(matrix, d, inverse, to.whiten, &log_det)) return false;
    for (std::int64_t k = 0; k < r.k; ++k) {
        double* theta = to.theta + k * (1 + d);
        apply(to.whiten, d, to.means + k * d, own);
        double inner = 0.0;
        for (std::int64_t j = 0; j < d; ++j) theta[1 + j] = 0.0, inner += own[j] * own[j];
        const double* triangle = to.whiten;
        for (std::int64_t i = 0; i < d; ++i)
            for (std::int64_t j = 0; j <= i; ++j) theta[1 + j] += *triangle++ * own[i];
        to.peak[k] = logarithm(to.weights[k]) - 0.5 * (static_cast<double>(d) * LOG_2PI + log_det);
        theta[0] = to.peak[k] - 0.5 * inner;
    }
    return true;
}

bool estimate_full(const Prior& prior, const Record& r, const Estimate& to) {
    const std::int64_t d = r.d, size = d * padded(d), entries = d * (d + 1) / 2;
    double *matrix = to.room + size + padded(d), *inverse = matrix + size, *own = inverse + size;
    const Covariances covariances(Family::full, prior, r, to.room);
    for (std::int64_t i = 0; i < size; ++i) matrix[i] = 0.0;
    for (std::int64_t k = 0; k < r.k; ++k) {
        covariances.of(k, matrix);
        shrink(matrix, d, r.mass[k], prior.correlation, own);
        double log_det;
        if (!whiten(matrix, d, inverse, to.whiten + k * entries, &log_det)) return false;
        double* theta = to.theta + k * (1 + d);
        apply(to.whiten + k * entries, d, to.means + k * d, theta + 1);
        to.peak[k] = logarithm(to.weights[k]) - 0.5 * (static_cast<double>(d) * LOG_2PI + log_det);
        theta[0] = to.peak[k];
    }
    return true;
}

}  // namespace

bool estimate(Family family, const Prior& prior, const Record& record, const Estimate& to, double* precision) {
    if (!all_seen(record)) return false;
    weigh(family, prior, record, to);
    *precision = 0.0;
    if (family == Family::full) return estimate_full(prior, record, to);
    if (family == Family::tied) return estimate_tied(prior, record, to);
    return estimate_diagonal(family, prior, record, to, precision);
}

}  // namespace stream_mix::STREAM_MIX_ISA
