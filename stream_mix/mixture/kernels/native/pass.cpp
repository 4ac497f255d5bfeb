// The fused pass: rows in tiles, held column-wise, so that every loop runs over rows; scores, log-sum-exp,
// responsibilities and sums in one visit of the data.
#include "pass.hpp"

#include "estep.hpp"
#include "simd.hpp"
#include "tile.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

// The components that a vector of rows has to do with, and how much.
struct Active {
    double* r;        // (count, W)
    std::int64_t* k;  // (count,)
    bits* lanes;      // (count,) which rows
    std::int64_t count;
};

// A vector of rows on its way into the sums.
struct Part {
    const double* rows;     // (W, stride)
    const double* columns;  // (d, TILE), from the first of the rows on
    std::int64_t stride;
};

// The rows that `lanes` names.
struct Chosen {
    int row[W], count = 0;
    explicit Chosen(bits lanes) {
        for (; lanes; lanes &= lanes - 1) row[count++] = __builtin_ctz(lanes);
    }
};

// sums += r_row * (numbers of the row), `width` numbers. With `all` rows the loop over them has a fixed length.
template <bool all>
inline void add_rows(double* sums, const Part& part, const double* r, const Chosen& chosen, std::int64_t first,
                     std::int64_t width) {
    for (std::int64_t c = first; c < width; c += W) {
        vec total = load(sums + c);
        if (all)
            for (int i = 0; i < W; ++i) total += splat(r[i]) * load(part.rows + i * part.stride + c);
        else
            for (int i = 0; i < chosen.count; ++i)
                total += splat(r[chosen.row[i]]) * load(part.rows + chosen.row[i] * part.stride + c);
        store(sums + c, total);
    }
}

template <bool all>
inline void add_moments(const Mixture& m, const Layout& size, double* own, const Part& part, vec r, bits lanes) {
    double weight[W];
    store(weight, r);
    const Chosen chosen(all ? 0u : lanes);
    add_rows<all>(own, part, weight, chosen, 0, size.second);
    if (m.second != Second::full) return;
    // The upper triangle of sum r y y', in whole registers: columns from the one that holds the diagonal on.
    double* matrix = own + size.second;
    for (std::int64_t i = 0; i < m.d; ++i, matrix += size.row) {
        store(weight, r * load(part.columns + i * TILE));
        add_rows<all>(matrix, part, weight, chosen, i / W * W, size.row);
    }
}

inline void add_component(const Mixture& m, const Layout& size, const Sums& sums, double* mass, std::int64_t k,
                          const Part& part, vec r, bits lanes) {
    store(mass + k * W, load(mass + k * W) + r);
    double* own = sums.sums + k * size.sums;
    if (lanes == ALL)
        add_moments<true>(m, size, own, part, r, lanes);
    else
        add_moments<false>(m, size, own, part, r, lanes);
}

// Each row's largest score, and whose it is: the first where several are.
inline void largest(const Mixture& m, const double* scores, vec& top, vec& label) {
    top = load(scores);
    label = vec{};
    for (std::int64_t k = 1; k < m.k; ++k) {
        const vec s = load(scores + k * TILE);
        const ivec better = s > top;
        top = select(better, s, top);
        label = select(better, splat(static_cast<double>(k)), label);
    }
}

// Responsibilities of one vector of rows, not yet divided by their total.
inline vec exponentials(const Mixture& m, const double* scores, vec top, Active& active) {
    vec total{};
    active.count = 0;
    for (std::int64_t k = 0; k < m.k; ++k) {
        const vec below = load(scores + k * TILE) - top;
        const ivec share = below > splat(NEGLIGIBLE);
        const bits lanes = bits_of(share);
        if (!lanes) continue;
        const vec e = select(share, exp(below), vec{});
        total += e;
        store(active.r + active.count * W, e);
        active.lanes[active.count] = lanes;
        active.k[active.count++] = k;
    }
    return total;
}

inline void tell(const Mixture& m, const Answers& out, std::int64_t first, int count, const Active& active, vec top,
                 vec label, vec total, vec quadratic) {
    double at_top[W], at_label[W], at_log[W];
    store(at_top, top + quadratic);
    store(at_label, label);
    store(at_log, log(total) + (top + quadratic));
    for (int i = 0; i < count; ++i) {
        const std::int64_t row = first + i, best = static_cast<std::int64_t>(at_label[i]);
        if (out.label) out.label[row] = best;
        if (out.log_density) out.log_density[row] = at_log[i];
        if (out.distance) {
            const double distance = 2.0 * (m.peak[best] - at_top[i]);
            out.distance[row] = distance > 0.0 ? distance : 0.0;
        }
    }
    if (!out.p) return;
    for (int i = 0; i < count; ++i) __builtin_memset(out.p + (first + i) * m.k, 0, sizeof(double) * m.k);
    for (std::int64_t a = 0; a < active.count; ++a)
        for (int i = 0; i < count; ++i) out.p[(first + i) * m.k + active.k[a]] = active.r[a * W + i];
}

inline void learn(const Mixture& m, const Layout& size, const Sums& sums, double* mass, const Part& part,
                  const Active& active, vec label, vec weight, bits filled) {
    if (!sums.hard) {
        for (std::int64_t a = 0; a < active.count; ++a)
            if (const bits lanes = active.lanes[a] & filled)
                add_component(m, size, sums, mass, active.k[a], part, load(active.r + a * W) * weight, lanes);
        return;
    }
    for (bits left = filled; left;) {
        const double k = label[__builtin_ctz(left)];
        const ivec same = label == splat(k);
        const bits lanes = bits_of(same) & left;
        add_component(m, size, sums, mass, static_cast<std::int64_t>(k), part, select(same, weight, vec{}), lanes);
        left &= ~lanes;
    }
}

// The rows, among those of `filled`, that are not out of the mixture's reach.
inline bits reached(const Mixture& m, vec top, vec label, bits filled) {
    bits near = 0;
    for (bits left = filled; left; left &= left - 1) {
        const int i = __builtin_ctz(left);
        if (2.0 * (m.peak[static_cast<std::int64_t>(label[i])] - top[i]) <= m.reach) near |= 1u << i;
    }
    return near;
}

// Room that a pass computes in, in the order in which it lies in the workspace.
struct Room {
    Tile tile;
    double *scores, *quadratic, *mass;
    Active active;

    Room(const Mixture& m, const Layout& size, double* workspace) : tile(m, size, workspace) {
        scores = tile.end;
        quadratic = scores + (m.k + 3) / 4 * 4 * TILE;
        mass = quadratic + TILE;
        active.r = mass + m.k * W;
        active.k = reinterpret_cast<std::int64_t*>(active.r + m.k * W);
        active.lanes = reinterpret_cast<bits*>(active.k + m.k);
        active.count = 0;
        __builtin_memset(mass, 0, sizeof(double) * m.k * W);
    }
};

// One vector of rows of a tile whose scores are known, from row v of it on.
inline void vector_of_rows(const Mixture& m, const Layout& size, Room& room, const Rows& rows, std::int64_t start, int v,
                           int count, const Answers& out, const Sums* sums) {
    vec top, label;
    largest(m, room.scores + v, top, label);
    const int filled = count - v < W ? count - v : W;
    if (!sums && !out.p && !out.log_density && !out.distance) {
        for (int i = 0; i < filled; ++i) out.label[start + v + i] = static_cast<std::int64_t>(label[i]);
        return;
    }
    Active& active = room.active;
    const vec quadratic = load(room.quadratic + v);
    const bits all = (1u << filled) - 1u, near = m.reach > 0.0 ? reached(m, top + quadratic, label, all) : all;
    const vec total = exponentials(m, room.scores + v, top, active), share = 1.0 / total;
    for (std::int64_t a = 0; a < active.count; ++a) store(active.r + a * W, load(active.r + a * W) * share);
    if (out.p || out.label || out.log_density || out.distance)
        tell(m, out, start + v, filled, active, top, label, total, quadratic);
    if (near != all)
        for (int i = 0; i < filled; ++i)
            if (!(near >> i & 1u)) out.label[start + v + i] = -1;
    if (!sums) return;
    double weight[W] = {};
    for (int i = 0; i < filled; ++i)
        if (near >> i & 1u) weight[i] = rows.w ? rows.w[start + v + i] : 1.0;
    const Part part{room.tile.rows + v * size.second, room.tile.columns + v, size.second};
    learn(m, size, *sums, room.mass, part, active, label, load(weight), near);
}

}  // namespace

bool pass(const Mixture& m, const double* packed, const Rows& rows, std::int64_t begin, std::int64_t end,
          const Answers& out, const Sums* sums, double* workspace) {
    const Layout size(m);
    Room room(m, size, workspace);
    for (std::int64_t start = begin; start < end; start += TILE) {
        const int count = static_cast<int>(end - start < TILE ? end - start : TILE);
        if (!room.tile.fill(m, rows, start, count)) return false;
        score_tile(m, size, packed, room.tile, room.scores, room.quadratic);
        for (int v = 0; v < count; v += W) vector_of_rows(m, size, room, rows, start, v, count, out, sums);
        if (sums && m.second == Second::tied)
            room.tile.add_pooled(m, size, rows.w ? rows.w + start : nullptr, count, sums->pooled);
    }
    if (sums)
        for (std::int64_t k = 0; k < m.k; ++k) sums->mass[k] += sum(load(room.mass + k * W));
    return true;
}

void pack(const Mixture& m, double* packed) { pack_scores(m, Layout(m), packed); }

}  // namespace stream_mix::STREAM_MIX_ISA
