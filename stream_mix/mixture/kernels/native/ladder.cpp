#include "ladder.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace stream_mix {
namespace {

constexpr std::int64_t FORETOLD = 32;  // adaptive.TILE

// adaptive.levelled
void level(const Folded& from, Folded& to) {
    to = from;
    const Record r = from.record(), out = to.record();
    const std::int64_t k = r.k, d = r.d;
    double mass = 0.0;
    for (std::int64_t c = 0; c < k; ++c) mass += r.mass[c];
    mass /= static_cast<double>(k);
    if (from.second() != Second::diag) std::fill_n(out.scatter, from.scatter_size(), 0.0);
    for (std::int64_t j = 0; j < d; ++j) {
        double rows = 0.0, spread = from.second() == Second::tied ? r.scatter[j * d + j] : 0.0, all = 0.0;
        for (std::int64_t c = 0; c < k; ++c) {
            rows += r.seen[c * d + j];
            if (from.second() == Second::full) spread += r.scatter[(c * d + j) * d + j];
            if (from.second() == Second::diag) spread += r.scatter[c * d + j];
            out.seen[c * d + j] = mass * (r.mass[c] > 0.0 ? r.seen[c * d + j] / r.mass[c] : 1.0);
            all += out.seen[c * d + j];
        }
        const double variance = rows > 0.0 ? spread / rows : 0.0;
        if (from.second() == Second::tied) out.scatter[j * d + j] = all * variance;
        for (std::int64_t c = 0; c < k; ++c) {
            if (from.second() == Second::full) out.scatter[(c * d + j) * d + j] = out.seen[c * d + j] * variance;
            if (from.second() == Second::diag) out.scatter[c * d + j] = out.seen[c * d + j] * variance;
        }
    }
    std::fill_n(out.mass, k, mass);
    to.changed();
}

}  // namespace

Ladder::Ladder(const Isa& isa, const Choices& choices, std::int64_t k, std::int64_t d)
    : own_(isa, choices, k, d),
      moving_(isa, choices, k, d),
      other_(isa, choices, k, d),
      level_(second_of(choices.family), k, d) {}

void Ladder::learn(Beside& side, const Rows& rows, const double* t, std::int64_t most, bool rest, const Said& said,
                   Progress& progress, int threads) {
    const std::int64_t size = own_.choices().batch_size, end = rest ? rows.n : rows.n / size * size;
    for (std::int64_t i = 0; i < end && progress.batches < most; i += size)
        if (!batch(side, part(rows, i, std::min(size, end - i)), t ? t + i : nullptr, part(said, i, own_.k()), progress,
                   threads))
            return;
}

bool Ladder::batch(Beside& side, const Rows& rows, const double* t, const Said& said, Progress& progress, int threads) {
    const std::size_t extra = side.now.extra, chosen = side.now.record;
    if (extra) level(side.records[0], level_);
    const Folded& shown = chosen < extra ? level_ : side.records[chosen];
    const Said all = own_.watched(rows, said);
    if (!own_.sum(shown, rows, rows.w, all, threads)) return false;
    const bool apart = extra && chosen >= extra;
    if (apart && !moving_.sum(level_, rows, rows.w, {}, threads)) return false;
    if (!foretell(side, shown, rows, threads)) return false;
    own_.gain(rows, all, progress);
    for (std::size_t i = 0; i < side.records.size(); ++i) {
        const double fade = std::exp2(-static_cast<double>(rows.n) / side.half_lives[i]);
        (apart && i < extra ? moving_ : own_).absorb(side.records[i], fade);
        side.rows[i] += rows.n;
    }
    side.learned += rows.n;
    ++side.generation;
    progress.t = newest(t, rows.n, progress.t);
    progress.rows += rows.n;
    ++progress.batches;
    choose(side, rows);
    return true;
}

// adaptive.asked
void Ladder::ask(const Beside& side, std::int64_t n) {
    const std::int64_t count = side.records.size(), extra = side.now.extra, chosen = side.now.record;
    const std::int64_t own = count - extra - (chosen >= extra ? 1 : 0);
    const std::int64_t turns = std::min(std::max<std::int64_t>(n / FORETOLD, 1), std::max<std::int64_t>(own, 1));
    told_.resize(count);
    std::int64_t most = std::min(n, FORETOLD), place = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        if (i == chosen) continue;
        std::int64_t rows = std::min(n, FORETOLD);
        if (i >= extra) rows = place++ % turns == side.generation % turns ? std::min(n, FORETOLD * turns) : 0;
        told_[i].resize(rows);
        most = std::max(most, rows);
    }
    told_[chosen].resize(most);
}

// What each record says of the first rows of a batch.
bool Ladder::foretell(const Beside& side, const Folded& shown, const Rows& rows, int threads) {
    ask(side, rows.n);
    for (std::size_t i = 0; i < side.records.size(); ++i) {
        if (told_[i].empty()) continue;
        const Rows first = part(rows, 0, told_[i].size());
        const bool in_use = static_cast<std::int64_t>(i) == side.now.record;
        const bool level = static_cast<std::int64_t>(i) < side.now.extra;
        Folder& by = in_use ? own_ : level ? moving_ : other_;
        const Folded& seen = in_use ? shown : level ? level_ : side.records[i];
        if (!by.judge(seen, first, {{nullptr, nullptr, told_[i].data()}, nullptr}, threads)) return false;
    }
    return true;
}

void Ladder::choose(Beside& side, const Rows& rows) {
    const std::vector<double>& chosen = told_[side.now.record];
    const double weight = rows.w ? std::accumulate(rows.w, rows.w + rows.n, 0.0) : static_cast<double>(rows.n);
    const double share = side.now.weigh(rows.n, weight);
    for (std::size_t i = 0; i < side.records.size(); ++i) {
        double nats = 0.0;
        for (std::size_t row = 0; row < told_[i].size(); ++row)
            nats += Chosen::heard((told_[i][row] - chosen[row]) * ((rows.w ? rows.w[row] : 1.0) * share));
        side.now.hear(i, nats);
    }
    bool drift;
    const std::size_t first = side.now.decide(side.half_lives, side.learned, drift), from = side.now.record;
    for (std::size_t i = first; i < side.records.size(); ++i) {
        if (i == from) continue;
        side.records[i] = side.records[from];
        side.rows[i] = side.rows[from];
    }
    if (drift) side.drifts.push_back(side.learned);
}

}  // namespace stream_mix
