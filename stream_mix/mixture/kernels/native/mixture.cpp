#include "mixture.hpp"

#include <algorithm>
#include <atomic>

#include "threads.hpp"

namespace stream_mix {
namespace {

// Rows, and multiplications and additions, below which a group of their own is not worth its sums, nor a second thread
// what it takes to wake it; and the most groups there are.
constexpr std::int64_t GROUP_ROWS = 256, MOST_GROUPS = 16;
constexpr double GROUP_WORK = 1e6;

double work_per_row(const Mixture& m) {
    const double d = static_cast<double>(m.d);
    const double features = m.scores == Scores::full ? d * (d + 3) / 2 : static_cast<double>(Layout(m).features);
    return static_cast<double>(m.k) * (features + 8.0);
}

std::int64_t groups_of(const Mixture& m, std::int64_t n) {
    const double worth = static_cast<double>(n) * work_per_row(m) / GROUP_WORK;
    return std::clamp<std::int64_t>(std::min(worth, static_cast<double>(n / GROUP_ROWS)), 1, MOST_GROUPS);
}

void add(double* to, const double* from, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) to[i] += from[i];
}

bool in_parts(const Isa& isa, const Mixture& mixture, const double* packed, const Rows& rows, const Answers& answers,
              Sums* sums, std::int64_t groups, int threads) {
    const Layout size(mixture);
    const std::int64_t k = mixture.k, pooled = mixture.second == Second::tied ? mixture.d * size.row : 0;
    const std::int64_t each = padded(k) + k * size.sums + pooled;
    // Borders between groups are borders of tiles too.
    const std::int64_t length = (rows.n + groups * TILE - 1) / (groups * TILE) * TILE;
    Buffer parts(sums ? groups * each : 0);
    std::atomic<bool> complete{true};
    in_groups(groups, threads, [&](std::int64_t group) {
        if (!complete) return;
        const Buffer workspace = Buffer::room(size.workspace);
        double* part = parts.get() + (sums ? group * each : 0);
        const Sums own{sums && sums->hard, part, part + padded(k), part + padded(k) + k * size.sums};
        if (!isa.pass(mixture, packed, rows, std::min(rows.n, group * length), std::min(rows.n, (group + 1) * length),
                      answers, sums ? &own : nullptr, workspace.get()))
            complete = false;
    });
    if (!sums || !complete) return complete;
    for (std::int64_t group = 0; group < groups; ++group) {
        const double* part = parts.get() + group * each;
        add(sums->mass, part, k);
        add(sums->sums, part + padded(k), k * size.sums);
        if (pooled) add(sums->pooled, part + padded(k) + k * size.sums, pooled);
    }
    return true;
}

}  // namespace

bool run_pass(const Isa& isa, const Mixture& mixture, const double* packed, const Rows& rows, const Answers& answers,
              Sums* sums, int threads) {
    const std::int64_t groups = groups_of(mixture, rows.n);
    if (groups > 1) return in_parts(isa, mixture, packed, rows, answers, sums, groups, threads);
    const Buffer workspace = Buffer::room(Layout(mixture).workspace);
    return isa.pass(mixture, packed, rows, 0, rows.n, answers, sums, workspace.get());
}

void run_nearest_two(const Isa& isa, const Mixture& mixture, const double* packed, const Rows& rows, std::int64_t* label,
                     double* nearest, double* second, int threads) {
    const std::int64_t groups = groups_of(mixture, rows.n), length = (rows.n + groups - 1) / groups;
    in_groups(groups, threads, [&](std::int64_t group) {
        const Buffer workspace = Buffer::room(Layout(mixture).workspace);
        isa.nearest_two(mixture, packed, rows, std::min(rows.n, group * length), std::min(rows.n, (group + 1) * length),
                        label, nearest, second, workspace.get());
    });
}

std::int64_t first_beyond(const Isa& isa, const Rows& rows, std::int64_t d, double most) {
    const bool together = rows.column_stride == 1 && rows.row_stride == d && !rows.single;
    if (together && isa.magnitude(static_cast<const double*>(rows.x), rows.n * d) <= most) return -1;
    const auto look = [&](const auto* at) -> std::int64_t {
        for (std::int64_t i = 0; i < rows.n; ++i) {
            bool beyond = false;
            for (std::int64_t j = 0; j < d; ++j) {
                const double value = static_cast<double>(at[i * rows.row_stride + j * rows.column_stride]);
                beyond |= (value > most) | (value < -most);
            }
            if (beyond) return i;
        }
        return -1;
    };
    return rows.single ? look(static_cast<const float*>(rows.x)) : look(static_cast<const double*>(rows.x));
}

// `numbers` is what the pointers of the mixture point into: moving it leaves them as they are.
PackedMixture::PackedMixture(const Isa& isa, Mixture mixture, std::vector<double> numbers)
    : isa_(isa), numbers_(std::move(numbers)), mixture_(mixture), packed_(Layout(mixture).packed) {
    isa_.pack(mixture_, packed_.get());
}

// Bounds are made for the first rows that are many, and read for such alone: few may go by at the same time.
bool PackedMixture::run(const Rows& rows, const Answers& answers, Sums* sums, int threads) const {
    Mixture mixture = mixture_;
    mixture.bounds = Layout(mixture).bounded && rows.n >= BOUNDED_ROWS * mixture.d;
    if (mixture.bounds)
        std::call_once(bounded_, [&] { isa_.bound(mixture, packed_.get(), Buffer::room(reach_room(mixture)).get()); });
    return run_pass(isa_, mixture, packed_.get(), rows, answers, sums, threads);
}

}  // namespace stream_mix
