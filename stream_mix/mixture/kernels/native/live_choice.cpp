#include "live_choice.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace stream_mix {

namespace {

// The numbers that stand for a model: moments and what follows from them, one run of memory (LiveModel::place).
void copy_moments(const Live& from, Live& to) {
    std::memcpy(to.mass, from.mass, sizeof(double) * (from.z - from.mass));
    std::memcpy(to.even, from.even, from.groups * LANES);
}

// What the score of a row left behind, and `fold` goes by.
void copy_score(const Live& from, Live& to) {
    const std::size_t size = sizeof(double) * from.groups * LANES;
    std::memcpy(to.score, from.score, size);
    std::memcpy(to.peak, from.peak, size);
    std::memcpy(to.p, from.p, size);
    to.offset = from.offset;
    to.label = from.label;
}

// adaptive.levelled; `to` was made with no scatter between features.
void level(const LiveKernels& kernels, const Live& from, Live& to) {
    kernels.spread(from);
    const std::int64_t d = from.d, lanes = from.groups * LANES;
    double mass = 0.0;
    for (std::int64_t k = 0; k < from.k; ++k) mass += from.mass[k];
    mass /= static_cast<double>(from.k);
    for (std::int64_t k = 0; k < from.k; ++k) to.mass[k] = mass;
    std::memcpy(to.mean, from.mean, sizeof(double) * lanes * d);
    for (std::int64_t f = 0; f < d; ++f) {
        const std::int64_t entry = from.family == Family::full ? f * (f + 3) / 2 : f;
        const auto at = [&](std::int64_t k, std::int64_t e, std::int64_t entries) {
            return ((k / LANES) * entries + e) * LANES + k % LANES;
        };
        double rows = 0.0, spread = from.family == Family::tied ? from.shared[f * d + f] : 0.0, all = 0.0;
        for (std::int64_t k = 0; k < from.k; ++k) {
            const double seen = from.seen[at(k, f, d)];
            rows += seen;
            if (from.family != Family::tied) spread += from.scatter[at(k, entry, from.entries)];
            const double own = mass * (from.mass[k] > 0.0 ? seen / from.mass[k] : 1.0);
            to.seen[at(k, f, d)] = own;
            all += own;
        }
        const double variance = rows > 0.0 ? spread / rows : 0.0;
        if (from.family == Family::tied) to.shared[f * d + f] = all * variance;
        for (std::int64_t k = 0; from.family != Family::tied && k < from.k; ++k)
            to.scatter[at(k, entry, from.entries)] = to.seen[at(k, f, d)] * variance;
    }
    kernels.derive(to);
}

}  // namespace

LiveChoice::LiveChoice(std::vector<std::unique_ptr<LiveModel>> records, Chosen now)
    : records_(std::move(records)), now_(std::move(now)) {
    for (const auto& record : records_)
        half_lives_.push_back(record->memory_ == Memory::half_life ? record->half_life_
                                                                   : std::numeric_limits<double>::infinity());
    if (!now_.extra) return;
    level_ = records_[0]->copy();
    Live& s = level_->s_;
    std::fill_n(s.scatter, s.groups * LANES * s.entries, 0.0);
    if (s.family == Family::tied) std::fill_n(s.shared, s.d * s.d, 0.0);
}

bool LiveChoice::foretell(const LiveModel& shown, const double* x) {
    const Live& s = shown.s_;
    // What is missing would have to be filled in by the record in use, for all.
    if (s.n < s.d && (s.family == Family::full || s.family == Family::tied)) return false;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(records_.size()); ++i) {
        LiveModel& record = *records_[i];
        if (!record.take(x, true)) return false;
        if (i == now_.record) {
            copy_score(s, record.s_);
            record.s_.log_density = s.log_density;
        } else if (i < now_.extra) {
            level(record.kernels_, record.s_, level_->s_);
            if (!level_->take(x, true) || !level_->score()) return false;
            copy_score(level_->s_, record.s_);
            record.s_.log_density = level_->s_.log_density;
        } else if (!record.score()) {
            return false;
        }
    }
    return true;
}

void LiveChoice::learn(const LiveModel& shown, double w, bool judge) {
    const double share = judge ? now_.weigh(1, w) : 0.0;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(records_.size()); ++i) {
        LiveModel& record = *records_[i];
        const double gained = (record.s_.log_density - shown.s_.log_density) * (w * share);
        if (judge) now_.hear(i, Chosen::heard(gained));
        if (i >= now_.extra) copy_score(shown.s_, record.s_);
        record.kernels_.fold(record.s_, w, record.fade_);
        ++record.rows;
    }
    if (!judge) return;
    bool drift;
    const std::int64_t n = records_.size();
    for (std::int64_t i = now_.decide(half_lives_, shown.learned + 1, drift); i < n; ++i) become(i, now_.record);
}

// Record number `record` goes on from where the other one stands.
void LiveChoice::become(std::int64_t record, std::int64_t other) {
    if (record == other) return;
    copy_moments(records_[other]->s_, records_[record]->s_);
    records_[record]->rows = records_[other]->rows;
}

void LiveChoice::show(LiveModel& shown) const {
    const LiveModel& record = *records_[now_.record];
    shown.rows = record.rows;
    if (now_.record >= now_.extra) return copy_moments(record.s_, shown.s_);
    level(record.kernels_, record.s_, level_->s_);
    copy_moments(level_->s_, shown.s_);
}

void LiveChoice::rebase(const std::vector<double>& origin, const std::vector<double>& scale) {
    for (auto& record : records_) record->move_basis(origin, scale);
    if (level_) level_->move_basis(origin, scale);
}

std::unique_ptr<LiveChoice> LiveChoice::copy() const {
    std::vector<std::unique_ptr<LiveModel>> records;
    for (const auto& record : records_) records.push_back(record->copy());
    return std::make_unique<LiveChoice>(std::move(records), now_);
}

std::size_t LiveChoice::bytes() const {
    std::size_t total = sizeof *this + (level_ ? level_->bytes() : 0);
    for (const auto& record : records_) total += record->bytes();
    return total;
}

}  // namespace stream_mix
