#include "marginal_room.hpp"

namespace stream_mix {
namespace {

// Rows of one pattern from which on they go through the fused pass together, with sums and without; and how many at a
// time.
constexpr std::int64_t MANY_SUMMED = 32, MANY_TOLD = 64, AT_ONCE = 16384;
// Beyond so many features outlier scores are summed by logarithms: tail.py.
constexpr std::int64_t TAIL_FEATURES = 700;

}  // namespace

std::int64_t sums_size(const Marginals& mixture) {
    const std::int64_t row = padded(mixture.d());
    return padded(mixture.k()) + mixture.k() * row + (mixture.tied() ? 1 : mixture.k()) * mixture.d() * row;
}

MarginalRoom::MarginalRoom(const Marginals& mixture, const Visit& visit, const double* z, double* sums)
    : mixture_(mixture), visit_(visit), z_(z), kernels_(*mixture.isa_.holes), share_(mixture.d_), root_(mixture.d_), step_(mixture.d_) {
    const std::int64_t d = mixture.d_, lanes = mixture.lanes_, slots = mixture.tied_ ? 1 : mixture.k_;
    const std::int64_t width = d + LANES;
    // n lines of m numbers, padded, are most where there are as many of each.
    h_.gain_size = padded(width * width / 4);
    observed_.resize(d);
    missing_.resize(d);
    conditioned_.resize(slots);
    work_ = Buffer((mixture.tied_ ? LANES : lanes) * ((d + 1) * (d + 2) / 2));
    shifts_ = Buffer(mixture.tied_ ? lanes * d : 0);
    peak_ = Buffer(lanes);
    gain_ = Buffer(slots * h_.gain_size);
    own_ = Buffer(mixture.k_);
    p_ = Buffer(lanes);
    filled_ = Buffer(2 * mixture.row_);
    h_.tied = mixture.tied_;
    h_.hard = visit.hard;
    h_.k = mixture.k_;
    h_.d = d;
    h_.row = mixture.row_;
    h_.lanes = lanes;
    h_.means = mixture.means_.data();
    h_.covariances = mixture.covariances_.data();
    h_.centred = mixture.centred_.get();
    h_.centre = mixture.centre_.data();
    h_.correlations = mixture.correlations_.get();
    h_.inverse = mixture.inverse_.get();
    h_.log_weight = mixture.log_weight_.get();
    h_.observed = observed_.data();
    h_.missing = missing_.data();
    h_.conditioned = conditioned_.data();
    h_.work = work_.get();
    h_.shifts = shifts_.get();
    h_.peak = peak_.get();
    h_.gain = gain_.get();
    h_.own = own_.get();
    h_.p = p_.get();
    h_.filled = filled_.get();
    h_.mass = sums;
    h_.first = sums ? sums + padded(h_.k) : nullptr;
    h_.second = sums ? h_.first + h_.k * h_.row : nullptr;
}

// Which features the rows of the pattern have.
void MarginalRoom::see(const double* row) {
    h_.n = h_.m = 0;
    for (std::int64_t j = 0; j < h_.d; ++j) {
        if (row[j] == row[j])
            observed_[h_.n++] = static_cast<std::int32_t>(j);
        else
            missing_[h_.m++] = static_cast<std::int32_t>(j);
    }
}

bool MarginalRoom::take(const Patterns& patterns, std::int64_t pattern, int threads) {
    const std::int64_t *rows = patterns.rows_of(pattern), n = patterns.size(pattern);
    see(z_ + rows[0] * h_.d);
    if (visit_.tails && h_.n > TAIL_FEATURES) return false;
    if (!kernels_.factor(h_)) return false;
    if (visit_.tails)
        for (std::int64_t i = 0; i < n; ++i) visit_.tails[rows[i]] = kernels_.tail(h_, visit_.densities[rows[i]]);
    else if (n >= (h_.mass ? MANY_SUMMED : MANY_TOLD) && h_.n > 0)
        take_many(rows, n, threads);
    else
        for (std::int64_t i = 0; i < n; ++i) take_one(rows[i]);
    if (h_.mass) kernels_.close(h_);
    return true;
}

void MarginalRoom::take_one(std::int64_t row) {
    h_.z = z_ + row * h_.d;
    kernels_.score(h_);
    tell(row, h_.p, h_.label, h_.log_density, h_.distance);
    if (h_.mass) kernels_.add(h_, visit_.rows.w ? visit_.rows.w[row] : 1.0);
}

void MarginalRoom::tell(std::int64_t row, const double* p, std::int64_t label, double log_density,
                        double distance) const {
    const Answers& out = visit_.answers;
    if (out.p) std::copy_n(p, h_.k, out.p + row * h_.k);
    if (out.label) out.label[row] = label;
    if (out.log_density) out.log_density[row] = log_density;
    if (out.distance) out.distance[row] = distance;
}

// The marginal mixture of the pattern's features, as the fused pass takes it.
PackedMixture MarginalRoom::marginal() {
    const std::int64_t n = h_.n, k = h_.k, entries = n * (n + 1) / 2, slots = h_.tied ? 1 : k;
    std::vector<double> numbers(2 * n + n + k * (1 + n) + slots * entries + k, 0.0);
    double *origin = numbers.data(), *inverse = origin + n, *centre = inverse + n, *theta = centre + n;
    double *whiten = theta + k * (1 + n), *peak = whiten + slots * entries;
    std::fill_n(inverse, n, 1.0);
    const double* heaviest = h_.means + mixture_.heaviest_ * h_.row;
    for (std::int64_t i = 0; i < n; ++i) centre[i] = heaviest[observed_[i]];
    kernels_.invert(h_, whiten);
    std::vector<double> white(n);
    for (std::int64_t c = 0; c < k; ++c) {
        const double *own = whiten + (h_.tied ? 0 : c * entries), *mean = h_.means + c * h_.row;
        double *line = theta + c * (1 + n), half = 0.0;
        for (std::int64_t i = 0, e = 0; i < n; ++i) {
            white[i] = 0.0;
            for (std::int64_t j = 0; j <= i; ++j, ++e) white[i] += own[e] * (mean[observed_[j]] - centre[j]);
            half += 0.5 * white[i] * white[i];
        }
        peak[c] = h_.peak[c];
        line[0] = h_.tied ? peak[c] - half : peak[c];
        if (!h_.tied) std::copy_n(white.data(), n, line + 1);
        for (std::int64_t i = 0, e = 0; h_.tied && i < n; ++i)
            for (std::int64_t j = 0; j <= i; ++j, ++e) line[1 + j] += own[e] * white[i];
    }
    Mixture m{};
    m.scores = h_.tied ? Scores::linear : Scores::full;
    m.second = h_.tied ? Second::tied : Second::full;
    m.k = k;
    m.d = n;
    m.origin = origin;
    m.inverse_scale = inverse;
    m.centre = centre;
    m.theta = theta;
    m.whiten = whiten;
    m.peak = peak;
    return PackedMixture(mixture_.isa_, m, std::move(numbers));
}

void MarginalRoom::take_many(const std::int64_t* rows, std::int64_t count, int threads) {
    const PackedMixture mixture = marginal();
    const Mixture& m = mixture.mixture();
    const Layout size(m);
    const std::int64_t most = std::min(count, AT_ONCE), n = h_.n;
    const bool all = visit_.answers.p || visit_.answers.label || visit_.answers.distance;
    Buffer raw(h_.mass ? padded(h_.k) + h_.k * size.sums + n * size.row : 0);
    Sums sums{h_.hard, raw.get(), raw.get() + padded(h_.k), raw.get() + padded(h_.k) + h_.k * size.sums};
    std::vector<double> z(most * n), w(visit_.rows.w ? most : 0), p(all ? most * h_.k : 0), density(most),
        distance(most);
    std::vector<std::int64_t> label(most);
    const Answers answers{all ? p.data() : nullptr, all ? label.data() : nullptr, density.data(),
                          all ? distance.data() : nullptr};
    for (std::int64_t start = 0; start < count; start += AT_ONCE) {
        const std::int64_t some = std::min(AT_ONCE, count - start), *own = rows + start;
        for (std::int64_t i = 0; i < some; ++i)
            for (std::int64_t j = 0; j < n; ++j) z[i * n + j] = z_[own[i] * h_.d + observed_[j]];
        for (std::int64_t i = 0; visit_.rows.w && i < some; ++i) w[i] = visit_.rows.w[own[i]];
        mixture.run({z.data(), false, some, n, 1, visit_.rows.w ? w.data() : nullptr}, answers,
                    h_.mass ? &sums : nullptr, threads);
        for (std::int64_t i = 0; i < some; ++i)
            tell(own[i], p.data() + i * (all ? h_.k : 0), label[i], density[i], distance[i]);
    }
    if (h_.mass) add_raw(m, sums);
}

// The pass sums about the mixture's centre, these sums are about each component's mean, e away:
//     first - mass e,   second - first e' - e first' + mass e e'.
void MarginalRoom::add_raw(const Mixture& m, const Sums& raw) {
    const Layout size(m);
    const std::int64_t n = h_.n, k = h_.k;
    std::vector<double> first(k * n), second((h_.tied ? 1 : k) * n * n), e(n);
    const auto square = [&](const double* from, double* to) {
        for (std::int64_t i = 0; i < n; ++i)
            for (std::int64_t j = i; j < n; ++j) to[i * n + j] = to[j * n + i] = from[i * size.row + j];
    };
    if (h_.tied) square(raw.pooled, second.data());
    for (std::int64_t c = 0; c < k; ++c) {
        const double *own = raw.sums + c * size.sums, mass = raw.mass[c];
        double* to = second.data() + (h_.tied ? 0 : c * n * n);
        if (!h_.tied) square(own + size.second, to);
        for (std::int64_t i = 0; i < n; ++i) e[i] = h_.means[c * h_.row + observed_[i]] - m.centre[i];
        for (std::int64_t i = 0; i < n; ++i) {
            first[c * n + i] = own[i] - mass * e[i];
            for (std::int64_t j = 0; j < n; ++j) to[i * n + j] -= own[i] * e[j] + e[i] * own[j] - mass * e[i] * e[j];
        }
    }
    Buffer room(2 * (h_.gain_size + h_.row));
    kernels_.add_sums(h_, raw.mass, first.data(), second.data(), room.get());
}

}  // namespace stream_mix
