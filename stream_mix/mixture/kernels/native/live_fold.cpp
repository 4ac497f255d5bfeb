// Learning one row: what is remembered fades, and the row is added (moments.py, `fade` and `add`).
#include "live_lanes.hpp"

namespace stream_mix::STREAM_MIX_ISA {

constexpr double NEXT_TO_NOTHING = 1e-6;                      // the mass at which forgetting ends
constexpr double NO_MASS = 1e-100;                            // a component with less in a row took no part in it
constexpr double NEGLIGIBLE = 1.0 / 1152921504606846976.0;    // 2^-60

// What the row in hand does to a register of components.
struct Change {
    vec r;       // weight times responsibility
    vec fade;    // what remembered rows count from now on
    bool touch;  // whether the row moves any of them: means and variances by 2^-60 of themselves, or more
    bool fades;
    bool floor;  // whether fading comes to its end for one of them
};

// The row's share: share r / seen <= r / least of a step whose length is at most the distance to the mean, and
// r distance^2 of a scatter of at least `seen` variances.
static Change change_of(const Live& s, const Lanes& which, double weight, double fade) {
    vec r = load(s.p + which.at) * weight;
    if (s.hard) {
        ivec index{};
        for (int i = 0; i < W; ++i) index[i] = i;
        r = select(index + which.at == isplat(s.label), splat(weight), splat(0.0));
    }
    r = select(r > splat(NO_MASS), r, splat(0.0));
    const vec distance = 2.0 * (load(s.peak + which.at) - load(s.score + which.at) + s.offset);
    const vec least = load(s.least + which.at) * fade;
    // Written so that a NaN (of lanes without a component) is no change.
    const ivec moved = (r > splat(0.0)) & (r * (1.0 + distance) > NEGLIGIBLE * least);
    const bool fades = fade != 1.0;
    return {r, splat(fade), bits_of(moved) != 0, fades, fades && bits_of(least <= splat(NEXT_TO_NOTHING)) != 0};
}

static inline vec faded(vec mass, const Change& change) {
    const vec less = mass * change.fade;
    return change.floor ? max(less, min(mass, splat(NEXT_TO_NOTHING))) : less;
}

// What becomes of the mean of one feature: fades what was seen, moves the mean, and gives the weight of the
// squared difference in the scatter.
struct Step {
    vec before, seen, delta, between;
};

static inline Step step_mean(const Live& s, const Seen& seen, std::int64_t at, std::int64_t f, const Change& change) {
    Step step{seen(f), vec{}, vec{}, vec{}};
    step.seen = faded(step.before, change);
    if (change.touch && (s.filling || s.z[f] == s.z[f])) {
        const vec r = s.filling ? change.r * load(s.share + at) : change.r;
        const vec after = step.seen + r, share = r / max(after, splat(TINY)), mean = load(s.mean + at);
        step.delta = (s.filling ? load(s.filled + f * W) : splat(s.z[f])) - mean;
        step.between = step.seen * share;
        store(s.mean + at, mean + share * step.delta);
        if (!seen.even) store(s.seen + at, after);
    } else if (!seen.even) {
        store(s.seen + at, step.seen);
    }
    return step;
}

static inline vec ratio_of(const Step& step, const Change& change) {
    return change.floor ? step.seen / select(step.before > splat(0.0), step.before, splat(1.0)) : change.fade;
}

static void fold_diag(Live& s, const Lanes& which, const Seen& seen, const Change& change) {
    const std::int64_t base = which.in(s.d);
    for (std::int64_t f = 0; f < s.d; ++f) {
        const std::int64_t at = base + f * LANES;
        const Step step = step_mean(s, seen, at, f, change);
        store(s.scatter + at, load(s.scatter + at) * ratio_of(step, change) + step.between * step.delta * step.delta);
    }
}

static void fold_full(Live& s, const Lanes& which, const Seen& seen, const Change& change) {
    const std::int64_t base = which.in(s.d);
    double *scatter = s.scatter + which.in(s.entries), *root = s.work;
    for (std::int64_t f = 0; f < s.d; ++f) {
        const Step step = step_mean(s, seen, base + f * LANES, f, change);
        store(s.step + f * W, sqrt(step.between) * step.delta);
        if (change.floor) store(root + f * W, sqrt(ratio_of(step, change)));
    }
    for (std::int64_t i = 0; i < s.d; ++i) {
        const vec b = load(s.step + i * W), ratio = change.floor ? load(root + i * W) : change.fade;
        for (std::int64_t j = 0; j <= i; ++j, scatter += LANES) {
            const vec both = change.floor ? ratio * load(root + j * W) : ratio;
            store(scatter, load(scatter) * both + b * load(s.step + j * W));
        }
    }
}

// shared += b b' for the row's part in one component, which stands in lane `lane` of `step`.
static void add_shared(Live& s, int lane) {
    double* b = s.common + s.d;
    for (std::int64_t i = 0; i < s.d; ++i) b[i] = s.step[i * W + lane];
    for (std::int64_t i = 0; i < s.d; ++i) {
        double* row = s.shared + i * s.d;
        for (std::int64_t j = 0; j <= i; ++j) row[j] += b[i] * b[j];
    }
}

// The scatter that is shared fades as the mass of all components together does.
static void fade_shared(Live& s, const double* before) {
    double* root = s.common + s.d;
    for (std::int64_t i = 0; i < s.d; ++i) {
        const double now = seen_by_all(s, i);
        root[i] = __builtin_sqrt(now / (before[i] > 0.0 ? before[i] : 1.0));
    }
    for (std::int64_t i = 0; i < s.d; ++i)
        for (std::int64_t j = 0; j <= i; ++j) s.shared[i * s.d + j] *= root[i] * root[j];
}

static void fold_tied(Live& s, const Lanes& which, const Seen& seen, const Change& change) {
    const std::int64_t base = which.in(s.d);
    for (std::int64_t f = 0; f < s.d; ++f) {
        const Step step = step_mean(s, seen, base + f * LANES, f, change);
        store(s.step + f * W, sqrt(step.between) * step.delta);
    }
    if (!change.touch) return;
    for (int lane = 0; lane < W; ++lane)
        if (change.r[lane] > 0.0) add_shared(s, lane);
}

// Makes `seen` of these lanes whole.
static void spread_lanes(const Live& s, const Lanes& which) {
    if (!s.even[which.at / W]) return;
    for (std::int64_t f = 0; f < s.d; ++f) store(s.seen + which.in(s.d) + f * LANES, load(s.mass + which.at));
}

// `even`: whether the lanes are known to have seen all features alike; else their `seen` is looked at.
static void derive_lanes(Live& s, const Lanes& which, bool even) {
    const std::int64_t base = which.in(s.d);
    const bool round = s.family == Family::kmeans || s.family == Family::spherical;
    const vec mass = load(s.mass + which.at);
    vec least = splat(__builtin_inf());
    if (even) {
        least = mass;
    } else {
        ivec equal = isplat(-1);
        for (std::int64_t f = 0; f < s.d; ++f) {
            const vec own = load(s.seen + base + f * LANES);
            equal &= own == mass;
            if (s.known[f]) least = min(own, least);
        }
        even = bits_of(equal) == ALL;
    }
    s.even[which.at / W] = even;
    store(s.least + which.at, select(real(s, which), least, splat(__builtin_inf())));
    if (!round) return;
    vec rows{}, scatter{};
    const Seen seen(s, which);
    for (std::int64_t f = 0; f < s.d; ++f) {
        rows += seen(f);
        scatter += load(s.scatter + base + f * LANES);
    }
    store(s.sum_seen + which.at, rows);
    store(s.sum_scatter + which.at, scatter);
}

static void fold_lanes(Live& s, const Lanes& which, const Change& change) {
    const vec mass = faded(load(s.mass + which.at), change) + change.r;
    if (change.touch || change.fades) {
        if (change.touch && s.n < s.d) {
            spread_lanes(s, which);
            s.even[which.at / W] = 0;
            if (s.filling) fill_holes(s, which, change.r);
        }
        const Seen seen(s, which);
        if (s.family == Family::tied)
            fold_tied(s, which, seen, change);
        else if (s.family == Family::full)
            fold_full(s, which, seen, change);
        else
            fold_diag(s, which, seen, change);
        if (s.filling && s.family == Family::full && change.touch) add_conditional(s, which, change.r);
    }
    store(s.mass + which.at, mass);
    if (change.touch || change.fades) derive_lanes(s, which, s.even[which.at / W] != 0);
}

// A memory that fades scales the shared scatter before anything is added to it: two visits of the components.
static void fade_tied(Live& s, double fade) {
    double* before = s.pooled;
    for (std::int64_t f = 0; f < s.d; ++f) before[f] = seen_by_all(s, f);
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
        const Lanes which(first);
        Change change = change_of(s, which, 0.0, fade);
        fold_lanes(s, which, change);
    }
    fade_shared(s, before);
}

void fold(Live& s, double weight, double fade) {
    s.filling = s.n < s.d && (s.family == Family::tied || s.family == Family::full);
    if (s.filling) prepare_holes(s);
    if (s.family == Family::tied && fade != 1.0) {
        fade_tied(s, fade);
        fade = 1.0;
    }
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) {
        const Lanes which(first);
        fold_lanes(s, which, change_of(s, which, weight, fade));
    }
    if (s.filling && s.family == Family::tied) add_conditional_tied(s, weight);
}

void derive(Live& s) {
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) derive_lanes(s, Lanes(first), false);
}

void spread(const Live& s) {
    for (std::int64_t first = 0; first < s.groups * LANES; first += W) spread_lanes(s, Lanes(first));
}

bool score(Live& s);
double tail(const Live& s);
double remoteness(Live& s);

}  // namespace stream_mix::STREAM_MIX_ISA

namespace stream_mix::STREAM_MIX_ISA {
const LiveKernels live_kernels{score, fold, tail, remoteness, derive, spread};
}
