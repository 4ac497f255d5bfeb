#include "live_choice.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace stream_mix {

namespace {

constexpr std::int64_t BASIS_EVERY = 64;       // generations between two looks at the basis
// Beyond these a square could overflow: rows that no sensor sends, left to the code that takes its time.
constexpr double FURTHEST = 1e120, HEAVIEST = 1e30;

std::int64_t triangle(std::int64_t d) { return d * (d + 1) / 2; }

std::int64_t entries_of(Family family, std::int64_t d) {
    return family == Family::full ? triangle(d) : family == Family::tied ? 0 : d;
}

}  // namespace

LiveModel::LiveModel(const LiveKernels& kernels, const LiveStart& start)
    : origin(start.origin, start.origin + start.d),
      scale(start.scale, start.scale + start.d),
      t(start.t),
      evidence{start.evidence[0], start.evidence[1]},
      generation(start.generation),
      learned(start.learned),
      rows(start.rows),
      next_start(start.next_start),
      outweighing(start.outweighing),
      kernels_(kernels),
      memory_(start.memory),
      half_life_(start.half_life),
      fade_(start.memory == Memory::half_life ? std::exp2(-1.0 / start.half_life) : 1.0),
      log_scale_(start.d),
      known_(start.d),
      observed_(start.d),
      missing_(start.d),
      even_((start.k + LANES - 1) / LANES * LANES),
      due_(start.due) {
    while (next_due_ < due_.size() && due_[next_due_] < learned) ++next_due_;
    s_.family = start.family;
    s_.hard = start.hard;
    s_.d = start.d;
    s_.k = start.k;
    s_.groups = (start.k + LANES - 1) / LANES;
    s_.entries = entries_of(start.family, start.d);
    s_.prior_weight = start.prior_weight;
    s_.prior_covariance = start.prior_covariance;
    s_.needed = rows_needed(s_.family, s_.d);
    s_.correlation = start.correlation;
    s_.reg_covar = start.reg_covar;
    s_.log_even = -std::log(static_cast<double>(start.k));
    place(start);
    import(start);
    measure();
    kernels_.derive(s_);
}

LiveModel::~LiveModel() = default;

std::size_t LiveModel::bytes() const {
    const std::size_t numbers = numbers_.capacity() + reservoir.capacity();
    return sizeof *this + numbers * sizeof(double) + (choice ? choice->bytes() : 0);
}

// Gives every array its place, each on a border of 64 bytes.
void LiveModel::place(const LiveStart& start) {
    const std::int64_t lanes = s_.groups * LANES, d = start.d;
    const bool correlated = s_.family == Family::full || s_.family == Family::tied;
    const std::int64_t work = correlated ? triangle(d + 1) * LANES : 0, own = correlated ? d * LANES : 0;
    struct Part {
        double** where;
        std::int64_t size;
    } parts[] = {{&s_.mass, lanes},         {&s_.seen, lanes * d},  {&s_.mean, lanes * d},
                 {&s_.scatter, lanes * s_.entries},
                 {&s_.shared, s_.family == Family::tied ? d * d : 0},
                 {&s_.least, lanes},        {&s_.sum_seen, lanes},  {&s_.sum_scatter, lanes},
                 {&s_.z, d},                {&s_.score, lanes},     {&s_.peak, lanes},
                 {&s_.p, lanes},            {&s_.pooled, correlated ? triangle(d) : d},
                 {&s_.common, 2 * d},       {&s_.step, d * LANES},  {&s_.work, work},
                 {&s_.inverse, own},        {&s_.whole, correlated ? triangle(d) * LANES : 0},
                 {&s_.filled, own},         {&s_.gain, correlated ? (d * d / 4 + 1) * LANES : 0},
                 {&s_.share, correlated ? lanes * d : 0}};
    std::int64_t total = LANES;
    for (const Part& part : parts) total += (part.size + LANES - 1) / LANES * LANES;
    numbers_.assign(total, 0.0);
    const auto address = reinterpret_cast<std::uintptr_t>(numbers_.data());
    double* next = numbers_.data() + (64 - address % 64) % 64 / sizeof(double);
    for (const Part& part : parts) {
        *part.where = next;
        next += (part.size + LANES - 1) / LANES * LANES;
    }
    s_.known = known_.data();
    s_.observed = observed_.data();
    s_.missing = missing_.data();
    s_.even = even_.data();
}

void LiveModel::import(const LiveStart& start) {
    const std::int64_t d = s_.d;
    for (std::int64_t k = 0; k < s_.k; ++k) {
        s_.mass[k] = start.mass[k];
        for (std::int64_t f = 0; f < d; ++f) {
            s_.seen[at(k, f, d)] = start.seen[k * d + f];
            s_.mean[at(k, f, d)] = start.mean[k * d + f];
        }
        if (s_.family == Family::full)
            for (std::int64_t i = 0, e = 0; i < d; ++i)
                for (std::int64_t j = 0; j <= i; ++j, ++e)
                    s_.scatter[at(k, e, s_.entries)] = start.scatter[(k * d + i) * d + j];
        else if (s_.family != Family::tied)
            for (std::int64_t f = 0; f < d; ++f) s_.scatter[at(k, f, d)] = start.scatter[k * d + f];
    }
    if (s_.family == Family::tied) std::copy(start.scatter, start.scatter + d * d, s_.shared);
}

void LiveModel::moments(double* mass, double* seen, double* mean, double* scatter) const {
    kernels_.spread(s_);
    const std::int64_t d = s_.d;
    for (std::int64_t k = 0; k < s_.k; ++k) {
        mass[k] = s_.mass[k];
        for (std::int64_t f = 0; f < d; ++f) {
            seen[k * d + f] = s_.seen[at(k, f, d)];
            mean[k * d + f] = s_.mean[at(k, f, d)];
        }
        if (s_.family == Family::full)
            for (std::int64_t i = 0, e = 0; i < d; ++i)
                for (std::int64_t j = 0; j <= i; ++j, ++e)
                    scatter[(k * d + i) * d + j] = scatter[(k * d + j) * d + i] = s_.scatter[at(k, e, s_.entries)];
        else if (s_.family != Family::tied)
            for (std::int64_t f = 0; f < d; ++f) scatter[k * d + f] = s_.scatter[at(k, f, d)];
    }
    if (s_.family == Family::tied)
        for (std::int64_t i = 0; i < d; ++i)
            for (std::int64_t j = 0; j <= i; ++j) scatter[i * d + j] = scatter[j * d + i] = s_.shared[i * d + j];
}

std::unique_ptr<LiveModel> LiveModel::beside(Memory memory, double half_life, const double* mass, const double* seen,
                                             const double* mean, const double* scatter, std::int64_t of) const {
    return std::make_unique<LiveModel>(
        kernels_, LiveStart{s_.family,    s_.hard,      memory,        half_life, s_.prior_weight,
                            s_.prior_covariance,        s_.correlation, s_.reg_covar, s_.d, s_.k,
                            mass,         seen,         mean,          scatter,   origin.data(),
                            scale.data(), t,            {evidence[0], evidence[1]}, generation, learned,
                            of,           next_start,   outweighing, {}});
}

std::unique_ptr<LiveModel> LiveModel::copy() const {
    std::vector<double> mass(s_.k), seen(s_.k * s_.d), mean(s_.k * s_.d), scatter(scatter_size());
    moments(mass.data(), seen.data(), mean.data(), scatter.data());
    auto made = beside(memory_, half_life_, mass.data(), seen.data(), mean.data(), scatter.data(), rows);
    made->reservoir = reservoir;
    made->due_ = due_;
    made->next_due_ = next_due_;
    if (choice) made->choice = choice->copy();
    return made;
}

// What follows from the basis.
void LiveModel::measure() {
    for (std::int64_t f = 0; f < s_.d; ++f) {
        known_[f] = !std::isnan(origin[f]);
        log_scale_[f] = std::log(scale[f]);
    }
}

bool LiveModel::take(const double* x, bool learning) {
    std::int64_t n = 0;
    bool within = true;
    for (std::int64_t f = 0; f < s_.d; ++f) {
        const double z = (x[f] - origin[f]) / scale[f];
        s_.z[f] = z;
        observed_[n] = static_cast<std::int32_t>(f);
        if (z == z) {
            ++n;
            within &= std::fabs(z) <= FURTHEST;
        } else if (learning && x[f] == x[f]) {
            return false;
        }
    }
    s_.n = n;
    return within && !(learning && n == 0);
}

double LiveModel::log_density() const {
    double volume = 0.0;
    for (std::int64_t i = 0; i < s_.n; ++i) volume += log_scale_[observed_[i]];
    return s_.log_density - volume;
}

// What rows remembered so far count when the newest event time has become `now`.
double LiveModel::fade(double now) const {
    if (memory_ != Memory::time_half_life) return fade_;
    if ( std::isnan(t) || std::isnan(now)) return 1.0;
    return std::exp2(-(now - t) / half_life_);
}

bool LiveModel::at_stop() const {
    return next_start ? learned + 1 >= next_start : !due_.empty() && learned >= due_.back();
}

bool LiveModel::outweighs(double weight) const {
    if (!(outweighing < INFINITY)) return false;
    double mass = 0.0;
    for (std::int64_t c = 0; c < s_.k; ++c) mass += s_.mass[c];
    if (mass < outweighing) return false;
    const double most = static_cast<double>(s_.d) * std::fmax(mass / static_cast<double>(s_.k), outweighing);
    // Python says whether it does; rounding must not keep the row from it.
    return 2.0 * weight * (s_.peak[s_.label] - s_.score[s_.label] + s_.offset) > 0.999 * most;
}

bool LiveModel::learn(const double* x, double w, double time) {
    if (!(w > 0.0 && w <= HEAVIEST) || std::isinf(time) || at_stop()) return false;
    if (!take(x, true) || !score()) return false;
    const double now = std::fmax(t, time);
    double weight = w;
    // A late row enters with the weight that it would have by now; 2^-2000 is 0 already.
    if (memory_ == Memory::time_half_life && now == now && time == time)
        weight *= std::exp2(-std::fmin(now - time, 2000.0 * half_life_) / half_life_);
    static const double less = std::exp2(-1.0 / EVIDENCE_HALF_LIFE);
    const double gained = w * log_density();
    if (!(std::fabs(gained) < std::numeric_limits<double>::max())) return false;
    if (outweighs(weight) || (choice && !choice->foretell(*this, x))) return false;
    if (is_wanted()) {
        next_due_ += next_start ? 0 : 1;
        reservoir.insert(reservoir.end(), x, x + s_.d);
        reservoir.push_back(w);
        reservoir.push_back(time);
    }
    ++rows;
    if (choice) {
        choice->learn(*this, w, !next_start);
        choice->show(*this);
    } else {
        kernels_.fold(s_, weight, fade(now));
    }
    t = now;
    evidence[0] = less * evidence[0] + gained;
    evidence[1] = less * evidence[1] + w;
    ++generation;
    ++learned;
    if (generation % BASIS_EVERY == 0) keep_basis();
    return true;
}

}  // namespace stream_mix
