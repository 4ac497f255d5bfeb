// Covariances with correlations, assembled, shrunk and factored for a register of components at once.
//
// The work is done on correlations: C = D R D with D = diag(sqrt(C_ii)). Then |L^-1 (z - m)| = |L_R^-1 D^-1 (z - m)|
// and det C = det R prod C_ii. `work` holds the lower triangle of R, row by row, later its Cholesky factor with the
// inverses of the diagonal on the diagonal, and below it the right-hand side, later the solution. Where features of the
// row are missing, it is first cut down to the others: the marginal of a Gaussian is a Gaussian.
#include "correlations.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// What is left of correlations r that `rows` rows gave: 1 - min(strength sum Var(r) / sum r^2, strength, 1), with
// Var(r) = (1 - damped r^2)^2 / n. (Schäfer & Strimmer 2005, eq. 8.)
static vec kept(vec noise, vec signal, vec rows, double strength) {
    const vec wanted = strength * noise / rows;
    return 1.0 - wanted / max(wanted / (strength < 1.0 ? strength : 1.0), signal);
}

static vec damping(const Live& s, vec rows) {
    const vec share = rows / (rows + static_cast<double>(s.d + 1));
    return share * share;
}

static bool shrinks(const Live& s) { return s.d > 1 && s.correlation > 0.0; }

// (sum of scatter + u I) / sqrt(n_i n_j), n = sum of seen + u, as a lower triangle.
void prepare_full(Live& s) {
    for (std::int64_t i = 0, e = 0; i < s.d; ++i) {
        const double rows = seen_by_all(s, i) + UNIT_ROWS;
        s.common[s.d + i] = 1.0 / __builtin_sqrt(rows > TINY ? rows : TINY);
        for (std::int64_t j = 0; j <= i; ++j, ++e) {
            vec total{};
            for (std::int64_t first = 0; first < s.groups * LANES; first += W)
                total += load(s.scatter + Lanes(first).in(s.entries) + e * LANES);
            const double unit = i == j ? UNIT_ROWS : 0.0;
            s.pooled[e] = (fold_up(total) + unit) * (s.common[s.d + i] * s.common[s.d + j]);
        }
    }
}

Assembled assemble_full(Live& s, const Lanes& which, bool unseen) {
    const Seen seen(s, which);
    const std::int64_t d = s.d, base = which.in(d);
    const double* scatter = s.scatter + which.in(s.entries);
    const vec reg = splat(s.reg_covar), rows = max(load(s.mass + which.at), splat(TINY)), damped = damping(s, rows);
    const vec c = pseudo_rows(s, which);
    double* y = row_of(s.work, d);
    Product precision;
    ivec sound = isplat(-1);
    vec signal{}, noise{};
    for (std::int64_t i = 0; i < d; ++i) {
        const double *own = scatter + triangle(i) * LANES, *prior = s.pooled + triangle(i);
        const vec n = max(seen(i) + c, splat(TINY));
        const vec sum = load(own + i * LANES) + c * prior[i] + reg * n;
        const vec scale = 1.0 / sqrt(sum), inverse = scale * sqrt(n);
        sound &= (sum > splat(TINY)) & finite(sum) & (inverse > splat(1e-150)) & (inverse < splat(1e150));
        store(s.step + i * W, scale);
        store(s.inverse + i * W, inverse);
        if (s.z[i] == s.z[i]) precision.times(inverse * inverse);
        const vec mean = unseen ? mean_of(s, which, seen, i) : load(s.mean + base + i * LANES);
        store(y + i * W, (s.z[i] - mean) * inverse);
        double* row = row_of(s.work, i);
        for (std::int64_t j = 0; j < i; ++j) {
            const vec r = (load(own + j * LANES) + c * prior[j]) * scale * load(s.step + j * W), r2 = r * r;
            const vec rest = 1.0 - r2 * damped;
            store(row + j * W, r);
            signal += r2;
            noise += rest * rest;
        }
        if ((i & 511) == 511) precision.normal();
    }
    return {precision, sound, shrinks(s) ? kept(noise, signal, rows, s.correlation) : splat(1.0)};
}

bool full_distance(Live& s, const Lanes& which, bool unseen, vec& distance, vec& log_precision) {
    Assembled made = assemble_full(s, which, unseen);
    Product pivots;
    cut_down(s);
    made.sound &= factor(s.work, s.n, made.keep, pivots);
    solve(s.work, s.n);
    double* y = row_of(s.work, s.n);
    distance = vec{};
    for (std::int64_t i = 0; i < s.n; ++i) distance += load(y + i * W) * load(y + i * W);
    log_precision = made.precision.log() - pivots.log();
    return !bits_of(real(s, which) & ~made.sound);
}

// The one covariance (sum of scatter + c u I) / sqrt(n_i n_j) + reg_covar I, n = sum of seen + c u; in `step` stays
// what a difference is multiplied with before it is solved for.
Assembled assemble_tied(Live& s) {
    const std::int64_t d = s.d;
    const double unit = UNIT_ROWS * s.prior_covariance;
    vec mass{}, signal{}, noise{};
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) mass += load(s.mass + first);
    const vec rows = max(splat(fold_up(mass)), splat(TINY)), damped = damping(s, rows);
    Product precision;
    ivec sound = isplat(-1);
    for (std::int64_t i = 0; i < d; ++i) {
        const vec n = max(splat(seen_by_all(s, i) + unit), splat(TINY));
        const vec sum = s.shared[i * d + i] + unit + s.reg_covar * n;
        const vec scale = 1.0 / sqrt(sum), inverse = scale * sqrt(n);
        sound &= (sum > splat(TINY)) & finite(sum) & (inverse > splat(1e-150)) & (inverse < splat(1e150));
        s.pooled[i] = scale[0];
        store(s.step + i * W, inverse);
        if (s.z[i] == s.z[i]) precision.times(inverse * inverse);
        double* row = row_of(s.work, i);
        for (std::int64_t j = 0; j < i; ++j) {
            const vec r = splat(s.shared[i * d + j] * s.pooled[i] * s.pooled[j]), r2 = r * r;
            const vec rest = 1.0 - r2 * damped;
            store(row + j * W, r);
            signal += r2;
            noise += rest * rest;
        }
        if ((i & 511) == 511) precision.normal();
    }
    return {precision, sound, shrinks(s) ? kept(noise, signal, rows, s.correlation) : splat(1.0)};
}

bool prepare_tied(Live& s, vec& log_precision) {
    Assembled made = assemble_tied(s);
    Product pivots;
    cut_down(s);
    made.sound &= factor(s.work, s.n, made.keep, pivots);
    log_precision = made.precision.log() - pivots.log();
    return bits_of(made.sound) == ALL;
}

// The row in hand about the first component's mean, solved for: a in `pooled`, |a|^2 / 2 in `offset`.
static void centre_row(Live& s, bool unseen) {
    const Seen seen(s, Lanes(0));
    double* y = row_of(s.work, s.n);
    for (std::int64_t i = 0; i < s.n; ++i) {
        const std::int64_t f = s.observed[i];
        const vec mean = unseen ? mean_of(s, Lanes(0), seen, f) : load(s.mean + f * LANES);
        s.common[s.d + f] = mean[0];
        store(y + i * W, splat(s.z[f] - mean[0]) * load(s.step + f * W));
    }
    solve(s.work, s.n);
    s.offset = 0.0;
    for (std::int64_t i = 0; i < s.n; ++i) {
        const double a = load(y + i * W)[0];
        s.pooled[i] = a;
        s.offset += 0.5 * a * a;
    }
}

// |L^-1 (z - m_k)|^2 = |a|^2 + b_k (b_k - 2 a) with a = L^-1 (z - m_0), b_k = L^-1 (m_k - m_0): the square of a row far
// out, the same for all components, would take the digits of what tells them apart.
vec tied_distance(Live& s, const Lanes& which, bool unseen) {
    if (which.at == 0) centre_row(s, unseen);
    const Seen seen(s, which);
    const double* mean = s.mean + which.in(s.d);
    double* y = row_of(s.work, s.n);
    for (std::int64_t i = 0; i < s.n; ++i) {
        const std::int64_t f = s.observed[i];
        const vec own = unseen ? mean_of(s, which, seen, f) : load(mean + f * LANES);
        store(y + i * W, (own - s.common[s.d + f]) * load(s.step + f * W));
    }
    solve(s.work, s.n);
    vec distance{};
    for (std::int64_t i = 0; i < s.n; ++i) {
        const vec b = load(y + i * W);
        distance += b * (b - 2.0 * s.pooled[i]);
    }
    return distance;
}

}  // namespace stream_mix::STREAM_MIX_ISA
