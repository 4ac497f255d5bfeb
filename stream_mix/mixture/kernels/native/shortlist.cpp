#include "shortlist.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "threads.hpp"

namespace stream_mix {
namespace {

// Leaves whose sums are kept at a time before they are added up, in the order of the leaves.
constexpr std::int64_t WAVE = 16;

// The rows of each leaf, in their own order.
struct Sorted {
    std::vector<std::int64_t> first, row;

    Sorted(const Shortlists& lists, std::int64_t n) : first(lists.leaves + 1, 0), row(n) {
        for (std::int64_t i = 0; i < n; ++i) ++first[lists.leaf[i] + 1];
        std::partial_sum(first.begin(), first.end(), first.begin());
        std::vector<std::int64_t> next(first.begin(), first.end() - 1);
        for (std::int64_t i = 0; i < n; ++i) row[next[lists.leaf[i]]++] = i;
    }
};

// The mixture of some components alone.
struct Part {
    std::vector<double> theta, whiten, peak;
    Mixture mixture;

    Part(const Mixture& whole, const std::int64_t* members, std::int64_t count, double reach) : mixture(whole) {
        const std::int64_t f = 1 + (whole.scores == Scores::full ? whole.d : Layout(whole).features);
        const std::int64_t triangle = whole.scores == Scores::full ? whole.d * (whole.d + 1) / 2 : 0;
        theta.reserve(count * f);
        whiten.reserve(count * triangle);
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t k = members[i];
            theta.insert(theta.end(), whole.theta + k * f, whole.theta + (k + 1) * f);
            if (triangle) whiten.insert(whiten.end(), whole.whiten + k * triangle, whole.whiten + (k + 1) * triangle);
            peak.push_back(whole.peak[k]);
        }
        mixture.k = count;
        mixture.reach = reach;
        mixture.theta = theta.data();
        mixture.peak = peak.data();
        if (triangle) mixture.whiten = whiten.data();
    }
};

// The rows of one leaf, one after the other.
struct Gathered {
    std::vector<double> x, w;
    Rows rows;

    Gathered(const Rows& from, const std::int64_t* row, std::int64_t n, std::int64_t d) : x(n * d), rows(from) {
        for (std::int64_t i = 0; i < n; ++i)
            for (std::int64_t j = 0; j < d; ++j) {
                const std::ptrdiff_t at = row[i] * from.row_stride + j * from.column_stride;
                x[i * d + j] = from.single ? static_cast<const float*>(from.x)[at] : static_cast<const double*>(from.x)[at];
            }
        for (std::int64_t i = 0; from.w && i < n; ++i) w.push_back(from.w[row[i]]);
        rows = {x.data(), false, n, d, 1, from.w ? w.data() : nullptr};
    }
};

// One leaf: its answers are put where they belong, its sums kept.
struct Leaf {
    Buffer numbers;
    Sums sums{};

    std::vector<std::int64_t> far;  // rows that its components do not reach

    bool run(const Isa& isa, const Mixture& whole, const std::int64_t* members, std::int64_t count, double reach,
             const Rows& from, const std::int64_t* row, std::int64_t n, const Answers& out, const Sums* wanted) {
        const Part part(whole, members, count, reach);
        const Gathered gathered(from, row, n, whole.d);
        const Layout size(part.mixture);
        Buffer packed(size.packed), workspace(size.workspace);
        isa.pack(part.mixture, packed.get());
        if (wanted) {
            numbers = Buffer(padded(count) + count * size.sums + whole.d * size.row);
            double* at = numbers.get();
            sums = {wanted->hard, at, at + padded(count), at + padded(count) + count * size.sums};
        }
        std::vector<double> p(out.p ? n * count : 0), log_density(n), distance(out.distance ? n : 0);
        std::vector<std::int64_t> label(n);
        const Answers own{out.p ? p.data() : nullptr, label.data(), log_density.data(),
                          out.distance ? distance.data() : nullptr};
        if (!isa.pass(part.mixture, packed.get(), gathered.rows, 0, n, own, wanted ? &sums : nullptr, workspace.get()))
            return false;
        for (std::int64_t i = 0; i < n; ++i) {
            if (label[i] < 0) {
                far.push_back(row[i]);
                continue;
            }
            if (out.label) out.label[row[i]] = members[label[i]];
            if (out.log_density) out.log_density[row[i]] = log_density[i];
            if (out.distance) out.distance[row[i]] = distance[i];
            if (!out.p) continue;
            double* line = out.p + row[i] * whole.k;
            std::fill_n(line, whole.k, 0.0);
            for (std::int64_t c = 0; c < count; ++c) line[members[c]] = p[i * count + c];
        }
        return true;
    }

    void add_to(const Mixture& whole, const std::int64_t* members, std::int64_t count, Sums& total) const {
        const Layout size(whole);
        for (std::int64_t c = 0; c < count; ++c) {
            total.mass[members[c]] += sums.mass[c];
            double* to = total.sums + members[c] * size.sums;
            for (std::int64_t i = 0; i < size.sums; ++i) to[i] += sums.sums[c * size.sums + i];
        }
        if (whole.second == Second::tied)
            for (std::int64_t i = 0; i < whole.d * size.row; ++i) total.pooled[i] += sums.pooled[i];
    }
};

}  // namespace

bool run_short(const Isa& isa, const Mixture& mixture, const Shortlists& lists, const Rows& rows, const Answers& answers,
               Sums* sums, int threads) {
    const Sorted sorted(lists, rows.n);
    std::atomic<bool> complete{true};
    std::vector<std::int64_t> far;
    for (std::int64_t wave = 0; wave < lists.leaves && complete; wave += WAVE) {
        const std::int64_t count = std::min(WAVE, lists.leaves - wave);
        std::vector<Leaf> leaves(count);
        const auto members = [&](std::int64_t l) { return lists.members + lists.offset[l]; };
        const auto length = [&](std::int64_t l) { return lists.offset[l + 1] - lists.offset[l]; };
        in_groups(count, threads, [&](std::int64_t i) {
            const std::int64_t l = wave + i, n = sorted.first[l + 1] - sorted.first[l];
            if (!n || !complete) return;
            if (!leaves[i].run(isa, mixture, members(l), length(l), lists.reach, rows, sorted.row.data() + sorted.first[l],
                               n, answers, sums))
                complete = false;
        });
        for (std::int64_t i = 0; complete && i < count; ++i) {
            const std::int64_t l = wave + i;
            far.insert(far.end(), leaves[i].far.begin(), leaves[i].far.end());
            if (sums && sorted.first[l + 1] > sorted.first[l]) leaves[i].add_to(mixture, members(l), length(l), *sums);
        }
    }
    if (!complete || far.empty()) return complete;
    // Rows that no component of their list explains are scored by all.
    std::vector<std::int64_t> all(mixture.k);
    std::iota(all.begin(), all.end(), 0);
    std::sort(far.begin(), far.end());
    Leaf rest;
    if (!rest.run(isa, mixture, all.data(), mixture.k, 0.0, rows, far.data(), static_cast<std::int64_t>(far.size()), answers,
                  sums))
        return false;
    if (sums) rest.add_to(mixture, all.data(), mixture.k, *sums);
    return true;
}

}  // namespace stream_mix
