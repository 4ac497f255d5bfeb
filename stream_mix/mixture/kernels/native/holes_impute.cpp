// The sums of rows that lack features: what they lack enters by its conditional mean and covariance.
#include "holes_parts.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// One component's numbers in the arrays that hold components in lanes.
struct Own {
    const double *factor, *inverse, *covariance;
    double* gain;
    std::int64_t width;  // of a line of `gain`

    Own(const Holes& h, std::int64_t k)
        : factor(factor_of(h, k / W * W) + (h.tied ? 0 : k % W)),
          inverse(h.tied ? h.inverse : h.inverse + Lanes(k).in(h.d)),
          covariance(h.covariances + (h.tied ? 0 : k * h.d * h.row)),
          gain(h.gain + (h.tied ? 0 : k * h.gain_size)),
          width((h.m + W - 1) / W * W) {}
    // L of the correlations, the inverse on its diagonal.
    double l(std::int64_t i, std::int64_t j) const { return factor[(triangle(i) + j) * W]; }
};

// line -= sum over t in [from, to) of factor(t) times line t of `lines`.
template <class Factor>
static inline void subtract_lines(double* line, const double* lines, std::int64_t width, std::int64_t from,
                                  std::int64_t to, Factor factor) {
    for (std::int64_t c = 0; c < width; c += W) {
        vec even = load(line + c), odd{};
        std::int64_t t = from;
        for (; t + 2 <= to; t += 2) {
            even -= splat(factor(t)) * load(lines + t * width + c);
            odd -= splat(factor(t + 1)) * load(lines + (t + 1) * width + c);
        }
        if (t < to) even -= splat(factor(t)) * load(lines + t * width + c);
        store(line + c, even + odd);
    }
}

// B = L^-1 Sigma_om of a component.
static void condition(Holes& h, std::int64_t k) {
    const std::int64_t slot = h.tied ? 0 : k;
    if (h.conditioned[slot]) return;
    h.conditioned[slot] = 1;
    const Own own(h, k);
    for (std::int64_t i = 0; i < h.n; ++i) {
        const double* from = own.covariance + h.observed[i] * h.row;
        const double scale = own.inverse[h.observed[i] * LANES];
        double* line = own.gain + i * own.width;
        for (std::int64_t b = 0; b < h.m; ++b) line[b] = scale * from[h.missing[b]];
        for (std::int64_t b = h.m; b < own.width; ++b) line[b] = 0.0;
    }
    for (std::int64_t i = 0; i < h.n; ++i) {
        double* line = own.gain + i * own.width;
        subtract_lines(line, own.gain, own.width, 0, i, [&](std::int64_t t) { return own.l(i, t); });
        const vec inverse = splat(own.l(i, i));
        for (std::int64_t c = 0; c < own.width; c += W) store(line + c, load(line + c) * inverse);
    }
}

// The row in hand about a component's mean in `filled`, what it lacks by the conditional mean.
static void fill(Holes& h, std::int64_t k) {
    for (std::int64_t i = 0; i < h.n; ++i) {
        const std::int64_t f = h.observed[i];
        h.filled[f] = h.z[f] - h.means[k * h.row + f];
    }
    if (!h.m) return;
    condition(h, k);
    const Own own(h, k);
    const std::int64_t lane = k % W;
    const double* v = row_of(factor_of(h, k - lane), h.n);
    const double* shift = h.tied ? h.shifts + (k - lane) * h.d + lane : nullptr;
    double* mean = h.filled + h.row;
    __builtin_memset(mean, 0, sizeof(double) * own.width);
    subtract_lines(mean, own.gain, own.width, 0, h.n, [&](std::int64_t i) {
        return shift ? shift[i * W] - v[i * W] : -v[i * W + lane];
    });
    for (std::int64_t b = 0; b < h.m; ++b) h.filled[h.missing[b]] = mean[b];
}

static void add_to(Holes& h, std::int64_t k, double r) {
    fill(h, k);
    h.own[k] += r;
    double *first = h.first + k * h.row, *line = h.second + (h.tied ? 0 : k * h.d * h.row);
    for (std::int64_t c = 0; c < h.row; c += W) store(first + c, load(first + c) + splat(r) * load(h.filled + c));
    for (std::int64_t i = 0; i < h.d; ++i, line += h.row) {
        const vec factor = splat(r * h.filled[i]);
        for (std::int64_t c = i / W * W; c < h.row; c += W)
            store(line + c, load(line + c) + factor * load(h.filled + c));
    }
}

void add(Holes& h, double weight) {
    if (h.hard) return add_to(h, h.label, weight);
    for (std::int64_t at = 0; at < h.lanes; at += W)
        for (bits left = bits_of(load(h.p + at) > vec{}); left; left &= left - 1) {
            const std::int64_t k = at + __builtin_ctz(left);
            add_to(h, k, h.p[k] * weight);
        }
}

// second += mass (Sigma_mm - B'B), for the component that stands there.
static void add_conditional(Holes& h, std::int64_t k, double mass) {
    condition(h, k);
    const Own own(h, k);
    double *line = h.filled + h.row, *second = h.second + (h.tied ? 0 : k * h.d * h.row);
    for (std::int64_t a = 0; a < h.m; ++a) {
        const std::int64_t f = h.missing[a], first = a / W * W;
        const double* from = own.covariance + f * h.row;
        for (std::int64_t c = first; c < own.width; c += W) {
            vec even{}, odd{};
            std::int64_t i = 0;
            for (; i + 2 <= h.n; i += 2) {
                const double* at = own.gain + i * own.width;
                even += splat(at[a]) * load(at + c);
                odd += splat(at[own.width + a]) * load(at + own.width + c);
            }
            if (i < h.n) even += splat(own.gain[i * own.width + a]) * load(own.gain + i * own.width + c);
            store(line + c, even + odd);
        }
        for (std::int64_t b = a; b < h.m; ++b) second[f * h.row + h.missing[b]] += mass * (from[h.missing[b]] - line[b]);
    }
}

void close(Holes& h) {
    double all = 0.0;
    for (std::int64_t k = 0; k < h.k; ++k) {
        all += h.own[k];
        h.mass[k] += h.own[k];
        if (h.m && !h.tied && h.own[k] > 0.0) add_conditional(h, k, h.own[k]);
    }
    if (h.m && h.tied && all > 0.0) add_conditional(h, 0, all);
}

// A' = L^-T B of a component (n, width) in `lines`: what is missing is expected at A times what was observed.
static void regress(const Holes& h, const Own& own, double* lines) {
    __builtin_memcpy(lines, own.gain, sizeof(double) * h.n * own.width);
    for (std::int64_t i = h.n - 1; i >= 0; --i) {
        double* line = lines + i * own.width;
        subtract_lines(line, lines, own.width, i + 1, h.n, [&](std::int64_t t) { return own.l(t, i); });
        const vec inverse = splat(own.l(i, i));
        for (std::int64_t c = 0; c < own.width; c += W) store(line + c, load(line + c) * inverse);
    }
    for (std::int64_t i = 0; i < h.n; ++i) {
        const vec scale = splat(own.inverse[h.observed[i] * LANES]);
        for (std::int64_t c = 0; c < own.width; c += W)
            store(lines + i * own.width + c, load(lines + i * own.width + c) * scale);
    }
}

static void add_first(Holes& h, std::int64_t k, const double* from, const double* lines, std::int64_t width,
                      double* mean) {
    double* first = h.first + k * h.row;
    for (std::int64_t i = 0; i < h.n; ++i) first[h.observed[i]] += from[i];
    __builtin_memset(mean, 0, sizeof(double) * width);
    subtract_lines(mean, lines, width, 0, h.n, [&](std::int64_t i) { return -from[i]; });
    for (std::int64_t b = 0; b < h.m; ++b) first[h.missing[b]] += mean[b];
}

// S_oo, S_om = S_oo A' (in `across`) and S_mm = A S_oo A'.
static void add_second(Holes& h, std::int64_t k, const double* from, const double* lines, double* across,
                       std::int64_t width) {
    double* second = h.second + (h.tied ? 0 : k * h.d * h.row);
    const auto entry = [&](std::int64_t f, std::int64_t g) -> double& {
        return f < g ? second[f * h.row + g] : second[g * h.row + f];
    };
    for (std::int64_t i = 0; i < h.n; ++i) {
        const std::int64_t f = h.observed[i];
        for (std::int64_t j = i; j < h.n; ++j) second[f * h.row + h.observed[j]] += from[i * h.n + j];
        double* line = across + i * width;
        __builtin_memset(line, 0, sizeof(double) * width);
        subtract_lines(line, lines, width, 0, h.n, [&](std::int64_t t) { return -from[i * h.n + t]; });
        for (std::int64_t b = 0; b < h.m; ++b) entry(f, h.missing[b]) += line[b];
    }
    double* line = h.filled + h.row;
    for (std::int64_t a = 0; a < h.m; ++a) {
        __builtin_memset(line, 0, sizeof(double) * width);
        subtract_lines(line, across, width, 0, h.n, [&](std::int64_t i) { return -lines[i * width + a]; });
        for (std::int64_t b = a; b < h.m; ++b) second[h.missing[a] * h.row + h.missing[b]] += line[b];
    }
}

void add_sums(Holes& h, const double* mass, const double* first, const double* second, double* room) {
    double *lines = room, *across = lines + h.gain_size, *mean = across + h.gain_size;
    double all = 0.0;
    const Own shared(h, 0);
    for (std::int64_t k = 0; k < h.k; ++k) all += mass[k];
    if (!(all > 0.0)) return;
    if (h.tied && h.m) {
        condition(h, 0);
        regress(h, shared, lines);
    }
    for (std::int64_t k = 0; k < h.k; ++k) {
        if (!(mass[k] > 0.0)) continue;
        const Own own(h, k);
        if (!h.tied && h.m) {
            condition(h, k);
            regress(h, own, lines);
        }
        h.own[k] += mass[k];
        add_first(h, k, first + k * h.n, lines, own.width, mean);
        if (!h.tied) add_second(h, k, second + k * h.n * h.n, lines, across, own.width);
    }
    if (h.tied) add_second(h, 0, second, lines, across, shared.width);
}

}  // namespace stream_mix::STREAM_MIX_ISA
