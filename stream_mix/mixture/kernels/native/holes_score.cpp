// The E-step of rows that lack features, all components of a row at once.
#include "chi_square.hpp"
#include "correlations.hpp"
#include "holes.hpp"
#include "holes_parts.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// Correlations of the pattern's features, from the lanes that begin at `at`, to `work`.
static void gather(const Holes& h, const double* correlations, double* work) {
    for (std::int64_t a = 0; a < h.n; ++a) {
        const double* from = correlations + triangle(h.observed[a]) * LANES;
        double* to = row_of(work, a);
        for (std::int64_t b = 0; b < a; ++b) store(to + b * W, load(from + h.observed[b] * LANES));
    }
}

static bool factor_lanes(Holes& h, const Lanes& which, vec& log_precision) {
    double* work = factor_of(h, which.at);
    gather(h, h.correlations + which.in(triangle(h.d)), work);
    Product precision, pivots;
    for (std::int64_t a = 0; a < h.n; ++a) {
        const vec inverse = load(h.inverse + which.in(h.d) + h.observed[a] * LANES);
        precision.times(inverse * inverse);
        if ((a & 511) == 511) precision.normal();
    }
    const ivec sound = STREAM_MIX_ISA::factor(work, h.n, splat(1.0), pivots);
    log_precision = precision.log() - pivots.log();
    return bits_of(sound) == ALL;
}

// L^-1 of a difference (n,) from the features' values less the means of these lanes.
template <class Difference>
static double* whitened(Holes& h, double* work, const double* inverse, Difference difference) {
    double* y = row_of(work, h.n);
    for (std::int64_t a = 0; a < h.n; ++a) {
        const std::int64_t f = h.observed[a];
        store(y + a * W, difference(f) * load(inverse + f * LANES));
    }
    solve(work, h.n);
    return y;
}

bool factor(Holes& h) {
    const double constant = 0.5 * LOG_2PI * static_cast<double>(h.n);
    vec log_precision{};
    for (std::int64_t at = 0; at < h.lanes; at += W) {
        const Lanes which(at);
        if ((!h.tied || at == 0) && !factor_lanes(h, which, log_precision)) return false;
        store(h.peak + at, load(h.log_weight + at) + (0.5 * log_precision - constant));
        if (!h.tied) continue;
        const double* means = h.centred + which.in(h.d);
        const double* shift = whitened(h, h.work, h.inverse, [&](std::int64_t f) { return load(means + f * LANES); });
        __builtin_memcpy(h.shifts + at * h.d, shift, sizeof(double) * h.n * W);
    }
    for (std::int64_t k = 0; k < (h.tied ? 1 : h.k); ++k) h.conditioned[k] = 0;
    for (std::int64_t k = 0; k < h.k; ++k) h.own[k] = 0.0;
    return true;
}

static void score_full(Holes& h) {
    for (std::int64_t at = 0; at < h.lanes; at += W) {
        const Lanes which(at);
        const double* means = h.centred + which.in(h.d);
        const double* v = whitened(h, factor_of(h, at), h.inverse + which.in(h.d),
                                   [&](std::int64_t f) { return h.z[f] - load(means + f * LANES); });
        vec length{};
        for (std::int64_t a = 0; a < h.n; ++a) length += load(v + a * W) * load(v + a * W);
        store(h.p + at, load(h.peak + at) - 0.5 * length);
    }
}

// |a - b_k|^2 = |a|^2 + b_k (b_k - 2 a): the square of a row far out, the same for all components, would take the
// digits of what tells them apart. Answers with -|a|^2 / 2, which is not in the scores.
static double score_tied(Holes& h) {
    const double* a =
        whitened(h, h.work, h.inverse, [&](std::int64_t f) { return splat(h.z[f] - h.centre[f]); });
    double length = 0.0;
    for (std::int64_t i = 0; i < h.n; ++i) length += a[i * W] * a[i * W];
    for (std::int64_t at = 0; at < h.lanes; at += W) {
        const double* shift = h.shifts + at * h.d;
        vec rest{};
        for (std::int64_t i = 0; i < h.n; ++i) {
            const vec b = load(shift + i * W);
            rest += b * (b - 2.0 * load(a + i * W));
        }
        store(h.p + at, load(h.peak + at) - 0.5 * rest);
    }
    return -0.5 * length;
}

void score(Holes& h) {
    double common = 0.0;
    if (h.tied)
        common = score_tied(h);
    else
        score_full(h);
    vec most = load(h.p);
    for (std::int64_t at = W; at < h.lanes; at += W) most = max(load(h.p + at), most);
    const double top = largest(most);
    h.label = h.lanes;
    vec total{};
    for (std::int64_t at = 0; at < h.lanes; at += W) {
        const vec s = load(h.p + at), below = s - top;
        const bits best = bits_of(equal(s, splat(top)));
        if (best && h.label == h.lanes) h.label = at + __builtin_ctz(best);
        const vec e = select(above(below, splat(NEGLIGIBLE)), exp_within(max(below, splat(NEGLIGIBLE))), vec{});
        total += e;
        store(h.p + at, e);
    }
    if (h.label == h.lanes) h.label = 0;  // where nothing compares equal, a score is no number
    const double sum = fold_up(total), share = 1.0 / sum;
    for (std::int64_t at = 0; at < h.lanes; at += W) {
        const vec r = load(h.p + at) * share;
        store(h.p + at, select(above(splat(NO_SHARE), r), vec{}, r));
    }
    h.log_density = log(splat(sum))[0] + (top + common);
    const double distance = 2.0 * (h.peak[h.label] - (top + common));
    h.distance = distance > 0.0 ? distance : 0.0;
}

double tail(const Holes& h, double log_density) {
    if (h.n == 0) return 0.0;
    const Degrees degrees(h.n);
    vec chance{};
    for (std::int64_t at = 0; at < h.lanes; at += W) {
        const vec drop = min(max(load(h.peak + at) - log_density, splat(0.0)), splat(FAR));
        chance += exp(load(h.log_weight + at)) * chi_square(drop, exp_within(-drop), degrees);
    }
    const double likelier = fold_up(chance);
    return likelier < 1.0 ? likelier : 1.0;
}

void invert(Holes& h, double* whiten) {
    const std::int64_t entries = triangle(h.n);
    for (std::int64_t at = 0; at < (h.tied ? 1 : h.lanes); at += W) {
        double *work = factor_of(h, at), *column = row_of(work, h.n);
        for (std::int64_t j = 0; j < h.n; ++j) {
            const vec scale = load(h.inverse + Lanes(at).in(h.d) + h.observed[j] * LANES);
            for (std::int64_t i = j; i < h.n; ++i) {
                const double* own = row_of(work, i);
                vec x = i == j ? scale : vec{};
                for (std::int64_t t = j; t < i; ++t) x -= load(own + t * W) * load(column + t * W);
                x *= load(own + i * W);
                store(column + i * W, x);
                for (int lane = 0; lane < W && at + lane < (h.tied ? 1 : h.k); ++lane)
                    whiten[(at + lane) * entries + triangle(i) + j] = x[lane];
            }
        }
    }
}

}  // namespace stream_mix::STREAM_MIX_ISA

namespace stream_mix::STREAM_MIX_ISA {
const HolesKernels holes_kernels{factor, score, tail, add, close, invert, add_sums};
}
