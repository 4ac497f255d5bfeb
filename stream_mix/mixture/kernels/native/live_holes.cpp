// Learning one row that lacks features under components that correlate them: the row is filled in by what a component
// expects of it, given what it has, and the conditional covariance of that goes to the scatter (em.py, `_imputed`).
//
// All in correlations: with L L' = R_oo, v = L^-1 of the row's differences in standard deviations and B = L^-1 R_om,
// what is missing is expected B'v standard deviations from the mean, with covariance R_mm - B'B.
#include "correlations.hpp"

namespace stream_mix::STREAM_MIX_ISA {

static std::int64_t pair(std::int64_t i, std::int64_t j) { return i < j ? triangle(j) + i : triangle(i) + j; }

static bool has_unseen(const Live& s) {
    ivec unseen{};
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) unseen |= load(s.least + first) <= splat(0.0);
    return bits_of(unseen) != 0;
}

// From the correlations of all features in `work`: the factor of the observed ones there, L^-1 of the right-hand side
// below them in `step`, B in `gain`, and the conditional covariances in `whole`, a triangle over the missing features.
static void condition(Live& s, vec keep) {
    for (std::int64_t e = 0; e < triangle(s.d); ++e) store(s.whole + e * W, keep * load(s.work + e * W));
    cut_down(s);
    Product pivots;
    factor(s.work, s.n, keep, pivots);
    solve(s.work, s.n);
    double* y = row_of(s.work, s.n);
    __builtin_memcpy(s.step, y, sizeof(double) * s.n * W);
    const std::int64_t m = s.d - s.n;
    for (std::int64_t b = 0; b < m; ++b) {
        for (std::int64_t i = 0; i < s.n; ++i)
            store(y + i * W, load(s.whole + pair(s.observed[i], s.missing[b]) * W));
        solve(s.work, s.n);
        __builtin_memcpy(s.gain + b * s.n * W, y, sizeof(double) * s.n * W);
    }
    // Missing feature a is number a or later: nothing is written over that is still to be read.
    for (std::int64_t a = 0; a < m; ++a)
        for (std::int64_t b = 0; b <= a; ++b) {
            const std::int64_t f = s.missing[a], g = s.missing[b];
            vec rest = a == b ? splat(1.0) : load(s.whole + pair(f, g) * W);
            const double *one = s.gain + a * s.n * W, *other = s.gain + b * s.n * W;
            for (std::int64_t i = 0; i < s.n; ++i) rest -= load(one + i * W) * load(other + i * W);
            store(s.whole + pair(a, b) * W, rest / (load(s.inverse + f * W) * load(s.inverse + g * W)));
        }
}

void prepare_holes(Live& s) {
    std::int64_t m = 0, next = 0;
    for (std::int64_t f = 0; f < s.d; ++f) {
        if (next < s.n && s.observed[next] == f)
            ++next;
        else
            s.missing[m++] = static_cast<std::int32_t>(f);
    }
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
        const Lanes which(first);
        const Seen seen(s, which);
        const vec mass = load(s.mass + first);
        double* share = s.share + which.in(s.d);
        for (std::int64_t i = 0; i < s.n; ++i) store(share + s.observed[i] * LANES, splat(1.0));
        for (std::int64_t b = 0; b < m; ++b) {
            const vec known = seen(s.missing[b]) / select(mass > splat(0.0), mass, splat(1.0));
            store(share + s.missing[b] * LANES, min(max(known, splat(0.0)), splat(1.0)));
        }
    }
    if (s.family != Family::tied) return;
    const Assembled made = assemble_tied(s);
    __builtin_memcpy(s.inverse, s.step, sizeof(double) * s.d * W);
    __builtin_memset(row_of(s.work, s.d), 0, sizeof(double) * s.d * W);
    condition(s, made.keep);
}

// L^-1 of the row's differences from these components' means, to `step`.
static void whiten_tied(Live& s, const Lanes& which, bool unseen) {
    const Seen seen(s, which);
    double* y = row_of(s.work, s.n);
    for (std::int64_t i = 0; i < s.n; ++i) {
        const std::int64_t f = s.observed[i];
        const vec mean = unseen ? mean_of(s, which, seen, f) : load(s.mean + which.in(s.d) + f * LANES);
        store(y + i * W, (s.z[f] - mean) * load(s.inverse + f * W));
    }
    solve(s.work, s.n);
    __builtin_memcpy(s.step, y, sizeof(double) * s.n * W);
}

void fill_holes(Live& s, const Lanes& which, vec r) {
    const bool unseen = has_unseen(s);
    if (s.family == Family::tied)
        whiten_tied(s, which, unseen);
    else
        condition(s, assemble_full(s, which, unseen).keep);
    for (std::int64_t i = 0; i < s.n; ++i) store(s.filled + s.observed[i] * W, splat(s.z[s.observed[i]]));
    for (std::int64_t b = 0; b < s.d - s.n; ++b) {
        const std::int64_t f = s.missing[b];
        const double* gain = s.gain + b * s.n * W;
        vec step{};
        for (std::int64_t i = 0; i < s.n; ++i) step += load(gain + i * W) * load(s.step + i * W);
        const vec mean = load(s.mean + which.in(s.d) + f * LANES);
        // Lanes without a component hold no numbers.
        store(s.filled + f * W, select(r > splat(0.0), mean + step / load(s.inverse + f * W), mean));
    }
}

void add_conditional(Live& s, const Lanes& which, vec r) {
    const double* share = s.share + which.in(s.d);
    double* scatter = s.scatter + which.in(s.entries);
    for (std::int64_t a = 0; a < s.d - s.n; ++a)
        for (std::int64_t b = 0; b <= a; ++b) {
            const std::int64_t f = s.missing[a], g = s.missing[b];
            const vec known = sqrt(load(share + f * LANES) * load(share + g * LANES));
            const vec more = select(r > splat(0.0), r * known * load(s.whole + pair(a, b) * W), splat(0.0));
            double* at = scatter + pair(f, g) * LANES;
            store(at, load(at) + more);
        }
}

// A feature counts in the scatter that is shared as far as the row's components together know it.
void add_conditional_tied(Live& s, double weight) {
    double* root = s.common + s.d;
    for (std::int64_t b = 0; b < s.d - s.n; ++b) {
        const std::int64_t f = s.missing[b];
        vec known{};
        if (s.hard)
            known[0] = s.share[(s.label / LANES * s.d + f) * LANES + s.label % LANES];
        else
            for (std::int64_t first = 0; first < s.groups * LANES; first += W)
                known += load(s.p + first) * load(s.share + Lanes(first).in(s.d) + f * LANES);
        root[b] = __builtin_sqrt(fold_up(known));
    }
    for (std::int64_t a = 0; a < s.d - s.n; ++a)
        for (std::int64_t b = 0; b <= a; ++b)
            s.shared[s.missing[a] * s.d + s.missing[b]] += weight * root[a] * root[b] * s.whole[pair(a, b) * W];
}

}  // namespace stream_mix::STREAM_MIX_ISA
