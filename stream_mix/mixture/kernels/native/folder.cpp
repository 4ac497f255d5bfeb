#include "folder.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace stream_mix {
namespace {

Mixture shape(Family family, std::int64_t k, std::int64_t d) {
    Mixture m{};
    m.scores = family == Family::full        ? Scores::full
               : family == Family::diag      ? Scores::diag
               : family == Family::spherical ? Scores::round
                                             : Scores::linear;
    m.second = second_of(family);
    m.k = k;
    m.d = d;
    return m;
}

// Sums in lanes: the next addition does not wait for the one before it.
constexpr std::int64_t LANES = 8;

double total(const double* values, std::int64_t n) {
    double lanes[LANES] = {}, sum = 0.0;
    std::int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (std::int64_t l = 0; l < LANES; ++l) lanes[l] += values[i + l];
    for (; i < n; ++i) lanes[i % LANES] += values[i];
    for (const double lane : lanes) sum += lane;
    return sum;
}

double product(const double* a, const double* b, std::int64_t n) {
    double lanes[LANES] = {}, sum = 0.0;
    std::int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (std::int64_t l = 0; l < LANES; ++l) lanes[l] += a[i + l] * b[i + l];
    for (; i < n; ++i) lanes[i % LANES] += a[i] * b[i];
    for (const double lane : lanes) sum += lane;
    return sum;
}

}  // namespace

Rows part(const Rows& rows, std::int64_t start, std::int64_t n) {
    Rows out = rows;
    const std::ptrdiff_t skipped = start * rows.row_stride;
    out.x = rows.single ? static_cast<const void*>(static_cast<const float*>(rows.x) + skipped)
                        : static_cast<const void*>(static_cast<const double*>(rows.x) + skipped);
    out.n = n;
    out.w = rows.w ? rows.w + start : nullptr;
    return out;
}

Said part(const Said& said, std::int64_t start, std::int64_t k) {
    const auto from = [&](double* at, std::int64_t width) { return at ? at + start * width : nullptr; };
    const Answers& a = said.answers;
    return {{from(a.p, k), a.label ? a.label + start : nullptr, from(a.log_density, 1), from(a.distance, 1),
             from(a.own, 1), from(a.gap, 1)},
            from(said.outlier, 1)};
}

double newest(const double* t, std::int64_t n, double before) {
    for (std::int64_t i = 0; t && i < n; ++i)
        if (t[i] > before || std::isnan(before)) before = t[i];
    return before;
}

Folder::Folder(const Isa& isa, const Choices& choices, std::int64_t k, std::int64_t d)
    : isa_(isa), choices_(choices), mixture_(shape(choices.family, k, d)), inverse_scale_(d) {
    const Layout size(mixture_);
    const std::int64_t triangle = d * (d + 1) / 2, whiten = choices.family == Family::full   ? k * triangle
                                                            : choices.family == Family::tied ? triangle
                                                                                             : 0;
    const std::int64_t theta = k * (1 + size.features);
    const std::int64_t pieces[] = {k, k * d, d, theta, whiten, k, estimate_room(k, d)};
    std::int64_t total = 0;
    for (const std::int64_t piece : pieces) total += padded(piece);
    numbers_ = Buffer(total);
    double** const fields[] = {&estimate_.weights, &estimate_.means, &estimate_.centre, &estimate_.theta,
                               &estimate_.whiten,  &estimate_.peak,  &estimate_.room};
    double* at = numbers_.get();
    for (int i = 0; i < 7; ++i) {
        *fields[i] = at;
        at += padded(pieces[i]);
    }
    mixture_.bounds = size.bounded && choices.batch_size >= BOUNDED_ROWS * d;
    if (mixture_.bounds) room_ = Buffer(reach_room(mixture_));
    packed_ = Buffer(size.packed);
    sums_ = Buffer(padded(k) + k * size.sums + d * size.row + 2 * padded(d));
    mixture_.centre = estimate_.centre;
    mixture_.theta = estimate_.theta;
    mixture_.whiten = whiten ? estimate_.whiten : nullptr;
    mixture_.peak = estimate_.peak;
    mixture_.inverse_scale = inverse_scale_.get();
}

// The parameters of these moments, unless they are at hand from the call before.
bool Folder::estimate(const Folded& folded) {
    mixture_.origin = folded.origin();
    if (version_ == folded.version()) return true;
    version_ = 0;
    log_scale_ = 0.0;
    for (std::int64_t j = 0; j < mixture_.d; ++j) {
        log_scale_ += std::log(folded.scale()[j]);
        inverse_scale_.get()[j] = 1.0 / folded.scale()[j];
    }
    if (!isa_.fold->estimate(choices_.family, choices_.prior, folded.record(), estimate_, &mixture_.precision))
        return false;
    isa_.pack(mixture_, packed_.get());
    if (mixture_.bounds) isa_.bound(mixture_, packed_.get(), room_.get());
    version_ = folded.version();
    return true;
}

// Outlier scores; log densities in the data's units.
void Folder::finish(std::int64_t n, const Said& said) {
    double* log_density = said.answers.log_density;
    if (said.outlier)
        isa_.fold->outliers(mixture_.k, mixture_.d, estimate_.weights, estimate_.peak, n, log_density, estimate_.room,
                             said.outlier);
    for (std::int64_t i = 0; log_density && i < n; ++i) log_density[i] -= log_scale_;
}

bool Folder::judge(const Folded& folded, const Rows& rows, const Said& said, int threads) {
    if (!estimate(folded)) return false;
    mixture_.overflow = 1.0;
    if (!run_pass(isa_, mixture_, packed_.get(), rows, said.answers, nullptr, threads)) return false;
    finish(rows.n, said);
    return true;
}

// What makes a number x beyond `largest` infinite once it is y; a row less than that may be found too large, too.
double Folder::overflow(const Folded& folded, double largest) const {
    double least = INFINITY;
    for (std::int64_t j = 0; j < mixture_.d; ++j) {
        const double room = (largest - std::fabs(folded.origin()[j])) / folded.scale()[j] - std::fabs(estimate_.centre[j]);
        least = std::min(least, room);
    }
    return least > 1.0 ? std::max(DBL_MAX / least / 0.99, 1.0) : DBL_MAX;
}

bool Folder::learn(Folded& folded, const Rows& rows, const double* t, double largest, std::int64_t most, bool rest,
                   const Said& said, std::int64_t* labels, Progress& progress, int threads) {
    largest_ = largest;
    const std::int64_t size = choices_.batch_size, end = rest ? rows.n : rows.n / size * size;
    // Where the density is not asked for, labels before the only batch tell most of those after it.
    const bool followed = labels && rows.n <= size && choices_.family == Family::kmeans && choices_.hard && !choices_.watch;
    Said all = said;
    if (followed) {
        own_.resize(rows.n);
        gap_.resize(rows.n);
        all.answers.label = labels;
        all.answers.own = own_.data();
        all.answers.gap = gap_.data();
    }
    for (std::int64_t i = 0; i < end && progress.batches < most; i += size)
        if (!batch(folded, part(rows, i, std::min(size, end - i)), t ? t + i : nullptr, part(all, i, mixture_.k),
                   progress, threads))
            break;
    if (!labels || progress.rows != rows.n) return false;
    if (followed) return follow(folded, rows, labels, threads);
    return judge(folded, rows, {{nullptr, labels}, nullptr}, threads);
}

bool Folder::batch(Folded& folded, const Rows& rows, const double* t, const Said& said, Progress& progress,
                   int threads) {
    const double now = newest(t, rows.n, progress.t);
    const Said all = weighed(rows, watched(rows, said), progress.outweighing);
    const double* counted = weights(rows, t, now);
    if (!sum(folded, rows, counted, all, threads)) return false;
    if (outweighs(folded, rows, counted, all, progress.outweighing)) return false;
    gain(rows, all, progress);
    absorb(folded, fade(rows.n, progress.t, now));
    progress.t = now;
    progress.rows += rows.n;
    ++progress.batches;
    return true;
}

bool Folder::sum(const Folded& folded, const Rows& rows, const double* weights, const Said& said, int threads) {
    if (!estimate(folded)) return false;
    mixture_.overflow = overflow(folded, largest_);
    Rows weighted = rows;
    weighted.w = weights;
    Sums to = sums();
    const Layout size(mixture_);
    std::fill_n(to.mass, padded(mixture_.k) + mixture_.k * size.sums + mixture_.d * size.row, 0.0);
    if (!run_pass(isa_, mixture_, packed_.get(), weighted, said.answers, &to, threads)) return false;
    finish(rows.n, said);
    return true;
}

void Folder::absorb(Folded& into, double fade) {
    isa_.fold->absorb(mixture_.second, into.record(), sums(), estimate_.centre, fade);
    into.changed();
}

Sums Folder::sums() {
    double *mass = sums_.get(), *rest = mass + padded(mixture_.k);
    return {choices_.hard, mass, rest, rest + mixture_.k * Layout(mixture_).sums};
}

// What is asked of a batch: where the log-likelihood is watched, log densities in any case.
Said Folder::watched(const Rows& rows, const Said& said) {
    Said all = said;
    if (choices_.watch && !all.answers.log_density) {
        log_density_.resize(rows.n);
        all.answers.log_density = log_density_.data();
    }
    return all;
}

// The running log-likelihood.
void Folder::gain(const Rows& rows, const Said& said, Progress& progress) const {
    if (!choices_.watch) return;
    const double* log_density = said.answers.log_density;
    const double gained = rows.w ? product(rows.w, log_density, rows.n) : total(log_density, rows.n);
    const double counted = rows.w ? total(rows.w, rows.n) : static_cast<double>(rows.n);
    const double left = std::exp2(-static_cast<double>(rows.n) / EVIDENCE_HALF_LIFE);
    progress.evidence[0] = left * progress.evidence[0] + gained;
    progress.evidence[1] = left * progress.evidence[1] + counted;
    progress.gained += gained;
}

// Labels under these moments, from those under the means before, `own_` and `gap_`.
//
// A row's own centre went at most `furthest` away and every other came at most as much nearer, so that with distances
// a < b to the two nearest it keeps its label where b - a > 2 furthest. With b^2 - a^2 = g that is g > 2 furthest
// (a + b), and (a + b)^2 <= 2 (a^2 + b^2).
bool Folder::follow(const Folded& folded, const Rows& rows, std::int64_t* labels, int threads) {
    const std::int64_t k = mixture_.k, d = mixture_.d;
    const double peak = mixture_.peak[0], over = 2.0 / mixture_.precision;
    before_.resize(k * d);
    for (std::int64_t c = 0; c < k; ++c)
        for (std::int64_t j = 0; j < d; ++j) before_[c * d + j] = estimate_.means[c * d + j] + estimate_.centre[j];
    if (!estimate(folded)) return false;
    double furthest = 0.0;
    for (std::int64_t c = 0; c < k; ++c) {
        double* moved = before_.data() + c * d;
        for (std::int64_t j = 0; j < d; ++j) moved[j] -= estimate_.means[c * d + j] + estimate_.centre[j];
        furthest = std::max(furthest, product(moved, moved, d));
    }
    unsure_.resize(rows.n);
    const double limit = 8.0 * furthest * (1.0 + 1e-9);
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < rows.n; ++i) {
        const double a = over * std::max(peak - own_[i], 0.0), g = over * gap_[i];
        unsure_[count] = i;  // and the next one in its place, if this one is sure: there is nothing to be foretold
        count += !(g * g > limit * (a + a + g));
    }
    unsure_.resize(count);
    return relabel(rows, unsure_, labels, threads);
}

// Labels of some of the rows by the parameters at hand.
bool Folder::relabel(const Rows& rows, const std::vector<std::int64_t>& which, std::int64_t* labels, int threads) {
    const std::int64_t n = static_cast<std::int64_t>(which.size()), d = mixture_.d;
    if (4 * n > rows.n) return run_pass(isa_, mixture_, packed_.get(), rows, {nullptr, labels}, nullptr, threads);
    std::vector<double> x(n * d);
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < d; ++j) {
            const std::ptrdiff_t at = which[i] * rows.row_stride + j * rows.column_stride;
            x[i * d + j] = rows.single ? static_cast<const float*>(rows.x)[at] : static_cast<const double*>(rows.x)[at];
        }
    std::vector<std::int64_t> found(n);
    const Rows some{x.data(), false, n, d, 1, nullptr};
    if (!run_pass(isa_, mixture_, packed_.get(), some, {nullptr, found.data()}, nullptr, threads)) return false;
    for (std::int64_t i = 0; i < n; ++i) labels[which[i]] = found[i];
    return true;
}

// A row's own weight times what the memory leaves of it at the end of the batch; null where all count 1.
const double* Folder::weights(const Rows& rows, const double* t, double now) {
    if (choices_.memory == Memory::forever) return rows.w;
    weights_.resize(rows.n);
    for (std::int64_t i = 0; i < rows.n; ++i) {
        double age = 0.0;
        if (choices_.memory == Memory::half_life)
            age = static_cast<double>(rows.n - 1 - i);
        else if (t && !std::isnan(t[i]))
            age = std::min(now - t[i], 2000.0 * choices_.half_life);
        weights_[i] = (rows.w ? rows.w[i] : 1.0) * std::exp2(-age / choices_.half_life);
    }
    return weights_.data();
}

// What a batch of n rows leaves of the moments before it.
double Folder::fade(std::int64_t n, double before, double now) const {
    if (choices_.memory == Memory::half_life) return std::exp2(-static_cast<double>(n) / choices_.half_life);
    if (choices_.memory == Memory::time_half_life && !std::isnan(before) && !std::isnan(now))
        return std::exp2(-(now - before) / choices_.half_life);
    return 1.0;
}

}  // namespace stream_mix
