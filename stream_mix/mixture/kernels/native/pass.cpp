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

// A few rows of a vector and what each counts. Their number is known when compiled, so that no loop over them ends
// by surprise: rows that count 0 fill it up.
template <int N>
struct Few {
    vec count[N];
    const double* row[N];

    Few(const Part& part, const double* r, bits lanes) {
        for (int i = 0; i < N; ++i) {
            const int lane = lanes ? __builtin_ctz(lanes) : 0;
            count[i] = lanes ? splat(r[lane]) : vec{};
            row[i] = part.rows + lane * part.stride;
            lanes &= lanes - 1;
        }
    }
    // sums += count * numbers of the row, in columns `first` to `width`
    void add(double* sums, std::int64_t first, std::int64_t width) const {
        for (std::int64_t c = first; c < width; c += W) {
            vec total = load(sums + c);
            for (int i = 0; i < N; ++i) total += count[i] * load(row[i] + c);
            store(sums + c, total);
        }
    }
    // The upper triangle of matrix += count y y', in whole registers: from the one that holds the diagonal on.
    void add_outer(double* matrix, std::int64_t d, std::int64_t width) const {
        for (std::int64_t i = 0; i < d; ++i, matrix += width) {
            vec factor[N];
            for (int l = 0; l < N; ++l) factor[l] = count[l] * splat(row[l][i]);
            for (std::int64_t c = i / W * W; c < width; c += W) {
                vec total = load(matrix + c);
                for (int l = 0; l < N; ++l) total += factor[l] * load(row[l] + c);
                store(matrix + c, total);
            }
        }
    }
};

// The same for all rows of a vector.
inline void add_all(double* sums, const Part& part, vec r, std::int64_t first, std::int64_t width) {
    double count[W];
    store(count, r);
    for (std::int64_t c = first; c < width; c += W) {
        vec even = load(sums + c), odd{};
        for (int i = 0; i < W; i += 2) {
            even += splat(count[i]) * load(part.rows + i * part.stride + c);
            odd += splat(count[i + 1]) * load(part.rows + (i + 1) * part.stride + c);
        }
        store(sums + c, even + odd);
    }
}

template <int N>
inline void add_few(const Mixture& m, const Layout& size, double* own, const Part& part, const double* r, bits lanes) {
    const Few<N> few(part, r, lanes);
    few.add(own, 0, size.second);
    if (m.second == Second::full) few.add_outer(own + size.second, m.d, size.row);
}

inline void add_component(const Mixture& m, const Layout& size, const Sums& sums, double* mass, std::int64_t k,
                          const Part& part, vec r, bits lanes) {
    store(mass + k * W, load(mass + k * W) + r);
    double* own = sums.sums + k * size.sums;
    const int count = __builtin_popcount(lanes);
    double each[W];
    store(each, r);
    if (count == 1) return add_few<1>(m, size, own, part, each, lanes);
    if (count == 2) return add_few<2>(m, size, own, part, each, lanes);
    if (count <= 4 && W > 4) return add_few<4>(m, size, own, part, each, lanes);
    add_all(own, part, r, 0, size.second);
    if (m.second != Second::full) return;
    double* matrix = own + size.second;
    for (std::int64_t i = 0; i < m.d; ++i, matrix += size.row)
        add_all(matrix, part, r * load(part.columns + i * TILE), i / W * W, size.row);
}

// Each row's largest score, and whose it is: the first where several are.
inline void largest(const Mixture& m, const double* scores, vec& top, vec& label) {
    // Two maxima at a time: each waits for its own predecessor only.
    vec even = load(scores), odd = even;
    for (std::int64_t k = 1; k + 1 < m.k; k += 2) {
        even = max(load(scores + k * TILE), even);
        odd = max(load(scores + (k + 1) * TILE), odd);
    }
    top = max(load(scores + (m.k - 1) * TILE), max(even, odd));
    label = vec{};
    for (std::int64_t k = m.k - 1; k > 0; --k)
        label = select(equal(load(scores + k * TILE), top), splat(static_cast<double>(k)), label);
    label = select(equal(load(scores), top), vec{}, label);
}

// Responsibilities of one vector of rows, not yet divided by their total.
inline vec exponentials(const Mixture& m, const double* scores, vec top, Active& active) {
    vec total{};
    active.count = 0;
    for (std::int64_t k = 0; k < m.k; ++k) {
        const vec below = load(scores + k * TILE) - top;
        const Mask share = above(below, splat(NEGLIGIBLE));
        const bits lanes = bits_of(share);
        if (!lanes) continue;
        const vec e = select(share, exp_within(max(below, splat(NEGLIGIBLE))), vec{});
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
    // One row after the other: each counts for one component only.
    double each[W], whose[W];
    store(each, weight);
    store(whose, label);
    for (bits left = filled; left; left &= left - 1) {
        const int i = __builtin_ctz(left);
        const std::int64_t k = static_cast<std::int64_t>(whose[i]);
        mass[k * W + i] += each[i];
        add_few<1>(m, size, sums.sums + k * size.sums, part, each, left);
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
    double *scores, *quadratic, *mass, *weight;
    Active active;

    Room(const Mixture& m, const Layout& size, double* workspace) : tile(size, workspace) {
        scores = tile.end;
        quadratic = scores + (m.k + 3) / 4 * 4 * TILE;
        weight = quadratic + TILE;
        mass = weight + TILE;
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
        double each[W];
        store(each, label);
        for (int i = 0; i < filled; ++i) out.label[start + v + i] = static_cast<std::int64_t>(each[i]);
        return;
    }
    Active& active = room.active;
    const vec quadratic = load(room.quadratic + v);
    const bits all = (1u << filled) - 1u, near = m.reach > 0.0 ? reached(m, top + quadratic, label, all) : all;
    const vec total = exponentials(m, room.scores + v, top, active), share = 1.0 / total;
    if (out.p || (sums && !sums->hard))
        for (std::int64_t a = 0; a < active.count; ++a) {
            const vec r = load(active.r + a * W) * share;
            store(active.r + a * W, select(above(splat(NO_SHARE), r), vec{}, r));
        }
    if (out.p || out.label || out.log_density || out.distance)
        tell(m, out, start + v, filled, active, top, label, total, quadratic);
    if (near != all)
        for (int i = 0; i < filled; ++i)
            if (!(near >> i & 1u)) out.label[start + v + i] = -1;
    if (!sums) return;
    double* weight = room.weight + v;
    for (int i = 0; i < W; ++i)
        weight[i] = !(near >> i & 1u) ? 0.0 : rows.w ? rows.w[start + v + i] : 1.0;
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
            room.tile.add_pooled(m, size, room.weight, count, sums->pooled);
    }
    if (sums)
        for (std::int64_t k = 0; k < m.k; ++k) sums->mass[k] += sum(load(room.mass + k * W));
    return true;
}

void nearest_two(const Mixture& m, const double* packed, const Rows& rows, std::int64_t begin, std::int64_t end,
                 std::int64_t* label, double* nearest, double* second, double* workspace) {
    const Layout size(m);
    Room room(m, size, workspace);
    for (std::int64_t start = begin; start < end; start += TILE) {
        const int count = static_cast<int>(end - start < TILE ? end - start : TILE);
        room.tile.fill(m, rows, start, count);
        score_tile(m, size, packed, room.tile, room.scores, room.quadratic);
        for (int v = 0; v < count; v += W) {
            vec top, whose, next = splat(-1e308);
            largest(m, room.scores + v, top, whose);
            for (std::int64_t k = 0; k < m.k; ++k) {
                const Mask own = equal(whose, splat(static_cast<double>(k)));
                next = max(select(own, splat(-1e308), load(room.scores + k * TILE + v)), next);
            }
            const vec about = splat(m.peak[0]) - load(room.quadratic + v);
            double first[W], other[W], best[W];
            store(first, max(2.0 * (about - top), vec{}));
            store(other, max(2.0 * (about - (m.k > 1 ? next : top)), vec{}));
            store(best, whose);
            for (int i = 0; i < W && v + i < count; ++i) {
                const std::int64_t row = start + v + i;
                label[row] = static_cast<std::int64_t>(best[i]);
                nearest[row] = first[i];
                second[row] = other[i];
            }
        }
    }
}

double magnitude(const double* numbers, std::int64_t n) {
    vec most[4] = {};
    std::int64_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W)
        for (int u = 0; u < 4; ++u) {
            const vec v = load(numbers + i + u * W);
            most[u] = max(max(v, -v), most[u]);
        }
    vec all = max(max(most[0], most[1]), max(most[2], most[3]));
    double top = 0.0;
    for (int l = 0; l < W; ++l) top = all[l] > top ? all[l] : top;
    for (; i < n; ++i) {
        const double v = __builtin_fabs(numbers[i]);
        top = v > top ? v : top;
    }
    return top;
}

void pack(const Mixture& m, double* packed) { pack_scores(m, Layout(m), packed); }

}  // namespace stream_mix::STREAM_MIX_ISA
