// The E-step of one row, its parameters estimated from the moments on the way.
//
// Nothing is kept between rows: a row changes the prior that all components share, and with it every variance.
#include "live_lanes.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// The sum over components of one number of each, `entries` apart.
static double over_components(const Live& s, const double* numbers, std::int64_t entries, std::int64_t entry) {
    vec total{};
    for (std::int64_t first = 0; first < s.groups * LANES; first += W)
        total += load(numbers + Lanes(first).in(entries) + entry * LANES);
    return fold_up(total);
}

static double at_least(double value, double least) { return value > least ? value : least; }

static bool all_even(const Live& s) {
    bool even = true;
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) even &= s.even[first / W] != 0;
    return even;
}

// (sum of scatter + u) / (sum of seen + u) for each observed feature.
static void prepare_diag(Live& s) {
    const bool even = all_even(s);
    double seen = over_components(s, s.mass, 1, 0);
    for (std::int64_t i = 0; i < s.n; ++i) {
        const std::int64_t f = s.observed[i];
        if (!even) seen = seen_by_all(s, f);
        const double scatter = over_components(s, s.scatter, s.d, f);
        s.pooled[f] = (scatter + UNIT_ROWS) / at_least(seen + UNIT_ROWS, TINY);
    }
}

// The variance pooled over components and features.
static double pooled_variance(const Live& s) {
    const double unit = UNIT_ROWS * static_cast<double>(s.d);
    return (over_components(s, s.sum_scatter, 1, 0) + unit) / (over_components(s, s.sum_seen, 1, 0) + unit);
}

// Whether a component has not seen a feature that the row has; if so, the means that stand in for its own.
static bool prepare_common(Live& s) {
    ivec unseen{};
    for (std::int64_t first = 0; first < s.groups * LANES; first += W)
        unseen |= load(s.least + first) <= splat(0.0);
    if (!bits_of(unseen)) return false;
    for (std::int64_t i = 0; i < s.n; ++i) {
        const std::int64_t f = s.observed[i];
        vec total{}, seen{};
        for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
            const vec rows = Seen(s, Lanes(first))(f);
            seen += rows;
            total += rows * load(s.mean + Lanes(first).in(s.d) + f * LANES);
        }
        const double rows = fold_up(seen);
        s.common[f] = fold_up(total) / (rows > 0.0 ? rows : 1.0);
    }
    return true;
}

// The squared distance of the row from the means of these lanes, unscaled.
template <bool Unseen>
static vec round_distance(const Live& s, const Lanes& which) {
    const double* mean = s.mean + which.in(s.d);
    const Seen seen(s, which);
    vec even{}, odd{};
    std::int64_t i = 0;
    const auto delta = [&](std::int64_t at) {
        const std::int64_t f = s.observed[at];
        return s.z[f] - (Unseen ? mean_of(s, which, seen, f) : load(mean + f * LANES));
    };
    for (; i + 2 <= s.n; i += 2) {
        const vec a = delta(i), b = delta(i + 1);
        even += a * a;
        odd += b * b;
    }
    if (i < s.n) {
        const vec a = delta(i);
        even += a * a;
    }
    return even + odd;
}

// Squared distance of the row in each lane's own variances v = (scatter + c pooled) / n + reg_covar with
// n = seen + c, and the precisions 1 / v multiplied into `precision`: one division a feature, 1 / v = n / (scatter
// + c pooled + reg_covar n).
template <bool Unseen>
static vec diag_distance(const Live& s, const Lanes& which, Product& precision, ivec& sound) {
    const Seen seen(s, which);
    const std::int64_t base = which.in(s.d);
    const vec reg = splat(s.reg_covar), c = pseudo_rows(s, which), tiny = splat(TINY);
    vec distance{}, low = splat(1.0), high = splat(1.0);
    for (std::int64_t i = 0; i < s.n; ++i) {
        const std::int64_t f = s.observed[i], at = base + f * LANES;
        const vec rows = max(seen(f) + c, tiny);
        const vec inverse = rows / (load(s.scatter + at) + c * s.pooled[f] + reg * rows);
        const vec delta = s.z[f] - (Unseen ? mean_of(s, which, seen, f) : load(s.mean + at));
        distance += delta * delta * inverse;
        low = min(inverse, low);
        high = max(inverse, high);
        precision.times(inverse);
        if ((i & 511) == 511) precision.normal();
    }
    sound = (low > splat(1.0 / LARGEST)) & (high < splat(LARGEST));
    return distance;
}

// The same where n is one number a component, two features to a division: a / u + b / v = (a v + b u) / (u v).
static vec even_distance(const Live& s, const Lanes& which, Product& precision, ivec& sound) {
    const double *scatter = s.scatter + which.in(s.d), *mean = s.mean + which.in(s.d);
    const vec c = pseudo_rows(s, which), rows = max(load(s.mass + which.at) + c, splat(TINY)), reg = s.reg_covar * rows;
    vec sum{}, low = splat(1.0), high = splat(1.0), exponent;
    const vec factor = mantissa(rows, exponent), square = factor * factor;
    Product spread, power;  // of u v, of n^2
    std::int64_t i = 0;
    for (; i + 2 <= s.n; i += 2) {
        const std::int64_t f = s.observed[i], g = s.observed[i + 1];
        const vec u = load(scatter + f * LANES) + c * s.pooled[f] + reg;
        const vec v = load(scatter + g * LANES) + c * s.pooled[g] + reg;
        const vec a = s.z[f] - load(mean + f * LANES), b = s.z[g] - load(mean + g * LANES), both = u * v;
        sum += (a * a * v + b * b * u) / both;
        low = min(both, low);
        high = max(both, high);
        spread.times(both);
        power.m *= square;
        if ((i & 511) != 510) continue;
        spread.normal();
        power.normal();
    }
    if (i < s.n) {
        const std::int64_t f = s.observed[i];
        const vec u = load(scatter + f * LANES) + c * s.pooled[f] + reg, a = s.z[f] - load(mean + f * LANES);
        sum += a * a / u;
        low = min(u, low);
        high = max(u, high);
        spread.times(u);
        power.m *= factor;
    }
    sound = (low > splat(1.0 / LARGEST)) & (high < splat(LARGEST));
    power.e += static_cast<double>(s.n) * exponent;
    precision.over(power, spread);
    return sum * rows;
}

// Fills in a register of scores from twice the peak without the normal constant, and the squared distance.
static bool keep(Live& s, const Lanes& which, vec log_both, vec distance, ivec sound) {
    const vec peak = 0.5 * log_both - 0.5 * LOG_2PI * static_cast<double>(s.n), score = peak - 0.5 * distance;
    const ivec there = real(s, which);
    store(s.peak + which.at, select(there, peak, splat(-LARGEST)));
    store(s.score + which.at, select(there, score, splat(-__builtin_inf())));
    return !bits_of(there & ~(sound & finite(score)));
}

// Log-sum-exp about the largest score; scores are cut 600 below it, as in the reference.
static bool respond(Live& s) {
    vec most = splat(-__builtin_inf()), sum{};
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) most = max(load(s.score + first), most);
    const double top = largest(most);
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
        const vec e = exp(max(load(s.score + first) - top, splat(-600.0)));
        const vec p = select(real(s, Lanes(first)), e, splat(0.0));
        store(s.p + first, p);
        sum += p;
    }
    const double total = fold_up(sum);
    s.log_density = log(splat(total))[0] + top - s.offset;
    most = vec{};
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
        const vec p = load(s.p + first) / total;
        store(s.p + first, p);
        most = max(p, most);
    }
    const double highest = largest(most);
    for (std::int64_t first = 0; first < s.groups * LANES; first += W)
        if (const bits equal = bits_of(load(s.p + first) == splat(highest))) {
            s.label = first + __builtin_ctz(equal);
            return true;
        }
    return false;
}

template <bool Unseen>
static bool score_round(Live& s) {
    const double pooled = pooled_variance(s), d = static_cast<double>(s.d), n = static_cast<double>(s.n);
    const bool common = s.family == Family::kmeans;
    const double share = s.prior_weight / static_cast<double>(s.k);
    const double total = over_components(s, s.mass, 1, 0) + s.prior_weight;
    if (!common && !(total > 0.0)) return false;
    vec variance = splat(pooled + s.reg_covar);
    vec both = common ? 2.0 * s.log_even - n * log(variance) : splat(0.0), inverse = 1.0 / variance;
    bool sound = true;
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
        const Lanes which(first);
        if (!common) {
            const vec pseudo = d * pseudo_rows(s, which), rows = max(load(s.sum_seen + first) + pseudo, splat(TINY));
            variance = (load(s.sum_scatter + first) + pseudo * pooled) / rows + s.reg_covar;
            inverse = 1.0 / variance;
            both = 2.0 * log(max((load(s.mass + first) + share) / total, splat(TINY))) - n * log(variance);
        }
        const ivec usable = (variance > splat(1.0 / LARGEST)) & (variance < splat(LARGEST));
        sound &= keep(s, which, both, round_distance<Unseen>(s, which) * inverse, usable);
    }
    return sound;
}

// The families with covariances a component: log weight^2 and log precision share one logarithm where they can.
template <bool Unseen>
static bool score_shaped(Live& s) {
    const double share = s.prior_weight / static_cast<double>(s.k);
    const double total = over_components(s, s.mass, 1, 0) + s.prior_weight;
    if (!(total > 0.0)) return false;
    vec tied{};
    if (s.family == Family::diag) prepare_diag(s);
    if (s.family == Family::full) prepare_full(s);
    if (s.family == Family::tied && !prepare_tied(s, tied)) return false;
    bool sound = true;
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
        const Lanes which(first);
        const vec weight = max((load(s.mass + first) + share) / total, splat(TINY));
        ivec usable = isplat(-1);
        vec distance, both;
        if (s.family == Family::diag) {
            const bool paired = !Unseen && s.even[which.at / W];
            Product precision;
            if (paired) distance = even_distance(s, which, precision, usable);
            if (!paired || bits_of(real(s, which) & ~usable)) {
                precision = Product();
                distance = diag_distance<Unseen>(s, which, precision, usable);
            }
            precision.times(weight);
            precision.times(weight);
            both = precision.log();
        } else if (s.family == Family::full) {
            vec log_precision;
            sound &= full_distance(s, which, Unseen, distance, log_precision);
            both = 2.0 * log(weight) + log_precision;
        } else {
            distance = tied_distance(s, which, Unseen);
            both = 2.0 * log(weight) + tied;
        }
        sound &= keep(s, which, both, distance, usable);
        if (!sound) return false;
    }
    return true;
}

bool score(Live& s) {
    s.offset = 0.0;
    const bool unseen = prepare_common(s), rounded = s.family == Family::kmeans || s.family == Family::spherical;
    const bool sound = rounded ? (unseen ? score_round<true>(s) : score_round<false>(s))
                               : (unseen ? score_shaped<true>(s) : score_shaped<false>(s));
    return sound && respond(s);
}

}  // namespace stream_mix::STREAM_MIX_ISA
