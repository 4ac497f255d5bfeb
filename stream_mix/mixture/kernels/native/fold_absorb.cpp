// What a batch does to the moments, and how far out its rows are.
#include "chi_square.hpp"
#include "fold_parts.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

constexpr double NO_MASS = 1e-100;           // em._NO_MASS
constexpr double NEXT_TO_NOTHING = 1e-6;     // moments._NEXT_TO_NOTHING

double smaller(double a, double b) { return a < b ? a : b; }
double faded(double mass, double factor) {
    const double least = smaller(mass, NEXT_TO_NOTHING);
    return mass * factor > least ? mass * factor : least;
}

bool near_nothing(const Record& r, double factor) {
    double least = 1.0;
    for (std::int64_t i = 0; i < r.k * r.d; ++i) least = smaller(least, r.seen[i] * factor);
    return least <= NEXT_TO_NOTHING;
}

void scale(double* values, std::int64_t n, double factor) {
    for (std::int64_t i = 0; i < n; ++i) values[i] *= factor;
}

// The factor that keeps a covariance while its mass goes from `before` to `after`.
double root_of_share(double before, double after) { return before > 0.0 ? __builtin_sqrt(after / before) : 0.0; }

// scatter_ij *= factor_i factor_j
void stretch(double* scatter, std::int64_t d, const double* factor) {
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = 0; j < d; ++j) scatter[i * d + j] *= factor[i] * factor[j];
}

// Moments.fade where some mass would underflow: quiet components lose weight, not shape.
void fade_slowly(Second second, const Record& r, double factor, double* room) {
    if (second == Second::tied) {
        for (std::int64_t j = 0; j < r.d; ++j) {
            double before = 0.0, after = 0.0;
            for (std::int64_t k = 0; k < r.k; ++k) {
                before += r.seen[k * r.d + j];
                after += faded(r.seen[k * r.d + j], factor);
            }
            room[j] = root_of_share(before, after);
        }
        stretch(r.scatter, r.d, room);
    }
    for (std::int64_t k = 0; k < r.k; ++k) {
        double* seen = r.seen + k * r.d;
        for (std::int64_t j = 0; j < r.d; ++j) {
            const double after = faded(seen[j], factor);
            room[j] = root_of_share(seen[j], after);
            if (second == Second::diag) r.scatter[k * r.d + j] *= room[j] * room[j];
            seen[j] = after;
        }
        if (second == Second::full) stretch(r.scatter + k * r.d * r.d, r.d, room);
        r.mass[k] = faded(r.mass[k], factor);
    }
}

void fade(Second second, const Record& r, double factor, double* room) {
    if (factor == 1.0) return;
    if (near_nothing(r, factor)) return fade_slowly(second, r, factor, room);
    scale(r.mass, r.k, factor);
    scale(r.seen, r.k * r.d, factor);
    scale(r.scatter, scatter_size(second, r.k, r.d), factor);
}

// scatter (d, d) += upper triangle (rows of `row`) - first first' / mass + step step', both halves. No variance of the
// batch is below 0, however it was rounded; without `upper` the rest of the difference comes later.
void add_matrix(double* scatter, std::int64_t d, const double* upper, std::int64_t row, const double* first, double over,
                const double* step) {
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = i; j < d; ++j) {
            double within = (upper ? upper[i * row + j] : 0.0) - first[i] * first[j] * over;
            if (i == j && upper && within < 0.0) within = 0.0;
            scatter[i * d + j] += within + step[i] * step[j];
            scatter[j * d + i] = scatter[i * d + j];
        }
}

// Component k of the record and of the batch, as Chan, Golub & LeVeque (1979, eq. 2.1) add them.
void add_component(Second second, const Record& r, std::int64_t k, const Layout& size, const Sums& sums,
                   const double* centre, double* step) {
    const double mass = sums.mass[k], over = 1.0 / mass;
    const double* first = sums.sums + k * size.sums;
    double *seen = r.seen + k * r.d, *mean = r.mean + k * r.d;
    for (std::int64_t j = 0; j < r.d; ++j) {
        const double before = seen[j], after = before + mass, share = mass / after;
        const double delta = centre[j] + first[j] * over - mean[j];
        step[j] = __builtin_sqrt(before * share) * delta;
        mean[j] += share * delta;
        seen[j] = after;
    }
    r.mass[k] += mass;
    if (second == Second::diag) {
        double* scatter = r.scatter + k * r.d;
        for (std::int64_t j = 0; j < r.d; ++j) {
            const double within = first[r.d + j] - first[j] * first[j] * over;
            scatter[j] += (within > 0.0 ? within : 0.0) + step[j] * step[j];
        }
    } else if (second == Second::full) {
        add_matrix(r.scatter + k * r.d * r.d, r.d, first + size.second, size.row, first, over, step);
    } else {
        add_matrix(r.scatter, r.d, nullptr, 0, first, over, step);
    }
}

void absorb(Second second, const Record& r, const Sums& sums, const double* centre, double factor) {
    Mixture shape{};
    shape.second = second;
    shape.k = r.k;
    shape.d = r.d;
    const Layout size(shape);
    double* room = sums.sums + r.k * size.sums + r.d * size.row;
    fade(second, r, factor, room);
    for (std::int64_t k = 0; k < r.k; ++k)
        if (sums.mass[k] > NO_MASS) add_component(second, r, k, size, sums, centre, room);
    if (second != Second::tied) return;
    for (std::int64_t i = 0; i < r.d; ++i)
        for (std::int64_t j = i; j < r.d; ++j) {
            r.scatter[i * r.d + j] += sums.pooled[i * size.row + j];
            r.scatter[j * r.d + i] = r.scatter[i * r.d + j];
        }
}

// Peaks further apart than this have no power of e in common; nor has a row further down than FAR.
constexpr double APART = 300.0;

void outliers(std::int64_t k, std::int64_t d, const double* weights, const double* peak, std::int64_t n,
              const double* log_density, double* room, double* out) {
    const Degrees degrees(d);
    double top = peak[0], low = peak[0];
    for (std::int64_t c = 1; c < k; ++c) {
        top = peak[c] > top ? peak[c] : top;
        low = smaller(low, peak[c]);
    }
    const bool near = top - low <= APART;
    // e^-(peak - density) is e^-(top - density) times this.
    for (std::int64_t c = 0; near && c < k; ++c) room[c] = exp_within(splat(top - peak[c]))[0];
    for (std::int64_t first = 0; first < n; first += W) {
        double density[W] = {}, chance[W];
        const int count = n - first < W ? static_cast<int>(n - first) : W;
        for (int i = 0; i < count; ++i) density[i] = log_density[first + i];
        for (int i = count; i < W; ++i) density[i] = top;
        const vec seen = load(density), fall = max(top - seen, vec{});
        const bool shared = near && !bits_of(fall > splat(FAR));
        const vec decay = shared ? exp_within(-fall) : vec{};
        vec total{};
        for (std::int64_t c = 0; c < k; ++c) {
            const vec y = min(max(peak[c] - seen, vec{}), splat(FAR));
            const vec own = shared ? min(decay * room[c], splat(1.0)) : exp_within(-y);
            total += weights[c] * chi_square(y, own, degrees);
        }
        store(chance, min(total, splat(1.0)));
        for (int i = 0; i < count; ++i) out[first + i] = chance[i];
    }
}

}  // namespace

extern const FoldKernels fold_kernels;
const FoldKernels fold_kernels{estimate, absorb, outliers};

}  // namespace stream_mix::STREAM_MIX_ISA
