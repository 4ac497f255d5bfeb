// The fused pass: rows in tiles, held column-wise, so that every loop runs over rows; scores, log-sum-exp,
// responsibilities and sums in one visit of the data.
#include "pass.hpp"

#include "shares.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

// What is asked of a pass.
struct Wanted {
    const Answers& out;
    const Sums* sums;

    bool soft() const { return sums && !sums->hard; }
    bool densities() const { return out.p || out.log_density; }
    bool responsibilities() const { return soft() || out.p; }
    bool labels() const { return out.label || out.distance || (sums && sums->hard); }
};

// A part of a tile: rows `first` to `first + count` of the pass.
struct Piece {
    std::int64_t first;
    int count;
    rows_of_tile filled() const { return count == TILE ? ~rows_of_tile{0} : (rows_of_tile{1} << count) - 1; }
};

// The responsibilities of W rows or fewer, turned into lines of k.
inline void tell_responsibilities(const Mixture& m, const double* r, int count, double* out) {
    std::int64_t k = 0;
    if (count == W)
        for (; k + W <= m.k; k += W) transpose(r + k * TILE, TILE, out + k, m.k);
    for (; k < m.k; ++k)
        for (int i = 0; i < count; ++i) out[i * m.k + k] = r[k * TILE + i];
}

inline void put(double* out, vec v, int count) {
    if (count == W) return store(out, v);
    for (int i = 0; i < count; ++i) out[i] = v[i];
}

inline void tell(const Mixture& m, Room& room, const Piece& piece, const Answers& out) {
    if (out.p)
        for (std::int64_t k = 0; k < m.k; ++k) clear(room, k);
    for (int v = 0; v < piece.count; v += W) {
        const std::int64_t row = piece.first + v;
        const int count = piece.count - v < W ? piece.count - v : W;
        const vec top = load(room.top + v) + load(room.quadratic + v);
        if (out.own) put(out.own + row, top, count);
        if (out.gap) put(out.gap + row, load(room.top + v) - load(room.second + v), count);
        if (out.log_density) put(out.log_density + row, top + load(room.log_total + v), count);
        if (out.p) tell_responsibilities(m, room.scores + v, count, out.p + row * m.k);
        if (out.label && count == W) store_integers(out.label + row, load(room.label + v));
        if (out.label && count < W)
            for (int i = 0; i < count; ++i) out.label[row + i] = static_cast<std::int64_t>(room.label[v + i]);
        if (!out.distance) continue;
        for (int i = 0; i < count; ++i) {
            const double distance = 2.0 * (m.peak[static_cast<std::int64_t>(room.label[v + i])] - top[i]);
            out.distance[row + i] = distance > 0.0 ? distance : 0.0;
        }
    }
}

// What each row of the tile counts; 0 for those that are not there.
inline void weigh(const Rows& rows, const Piece& piece, double* weight) {
    for (int b = 0; b < TILE; ++b) weight[b] = b >= piece.count ? 0.0 : rows.w ? rows.w[piece.first + b] : 1.0;
}

// Sums of y and y^2 of each row (`stride` apart) for its component alone, `each` apart.
inline void add_squared(std::int64_t d, const double* row, std::int64_t stride, const std::int64_t* label,
                        const double* weight, int count, double* sums, std::int64_t each) {
    for (int b = 0; b < count; ++b, row += stride) {
        const vec w = splat(weight[b]);
        double* own = sums + label[b] * each;
        for (std::int64_t c = 0; c < d; c += W) {
            const vec y = load(row + c), once = w * y;
            store(own + c, load(own + c) + once);
            store(own + d + c, load(own + d + c) + once * y);
        }
    }
}

// The same of rows as they are, `width` numbers of each.
inline void add_rows(std::int64_t width, const double* row, std::int64_t stride, const std::int64_t* label,
                     const double* weight, int count, double* sums, std::int64_t each) {
    for (int b = 0; b < count; ++b, row += stride) {
        const vec w = splat(weight[b]);
        double* own = sums + label[b] * each;
        for (std::int64_t c = 0; c < width; c += W) store(own + c, load(own + c) + w * load(row + c));
    }
}

// Each row counts for its likeliest component alone.
inline void learn_hard(const Mixture& m, const Layout& size, Room& room, const Sums& sums, int count) {
    std::int64_t label[TILE];
    for (int v = 0; v < TILE; v += W) store_integers(label + v, load(room.label + v));
    double* mass = room.mass;
    const double* weight = room.weight;
    for (int b = 0; b < count; ++b) mass[label[b] * W + b % W] += weight[b];
    if (squared_late(m))
        add_squared(m.d, room.tile.rows, room.tile.stride, label, weight, count, sums.sums, size.sums);
    else
        add_rows(size.second, room.tile.rows, room.tile.stride, label, weight, count, sums.sums, size.sums);
}

// Scores, and what follows from them, of a tile.
inline void judge(const Mixture& m, const Layout& size, const double* packed, Room& room, const Wanted& wanted, int count) {
    const bool alone = m.scores == Scores::linear && !wanted.densities() && !wanted.responsibilities();
    Listed listed{nullptr, m.k};
    if (alone && !wanted.out.distance) {
        room.sparing.label(m, size, packed, room.tile, count, room.singles, room.top, room.label, room.second);
    } else if (alone) {
        largest_linear<true>(m, size.features, packed, room.tile, room.top, room.label, room.second);
    } else {
        if (score_tile(m, size, packed, room.tile, count, room.sparing, room.scores, room.near))
            listed = list_near(m, room);
        if (wanted.labels())
            largest<true>(listed, room.scores, room.top, room.label);
        else
            largest<false>(listed, room.scores, room.top, room.label);
    }
    shared_part(m, size, packed, room.tile, room.quadratic);
    if (!wanted.densities() && !wanted.responsibilities()) return;
    const bool shares = wanted.responsibilities();
    if (!listed.some) __builtin_memset(room.rows, 0, sizeof(rows_of_tile) * m.k);
    for (int v = 0; v < count; v += W) exponentials(room, listed, v, shares);
}

}  // namespace

bool pass(const Mixture& m, const double* packed, const Rows& rows, std::int64_t begin, std::int64_t end,
          const Answers& out, const Sums* sums, double* workspace) {
    const Layout size(m);
    const Wanted wanted{out, sums};
    Room room(m, size, workspace);
    const bool squares = m.holes || (sums && !squared_late(m));
    for (std::int64_t start = begin; start < end; start += TILE) {
        const Piece piece{start, static_cast<int>(end - start < TILE ? end - start : TILE)};
        if (!room.tile.fill(m, rows, start, piece.count, squares)) return false;
        judge(m, size, packed, room, wanted, piece.count);
        tell(m, room, piece, out);
        if (!sums) continue;
        const bool weighted = rows.w || piece.count < TILE;
        if (weighted || start == begin) weigh(rows, piece, room.weight);
        if (sums->hard && m.second == Second::full) choose(m, room);
        if (sums->hard && m.second != Second::full)
            learn_hard(m, size, room, *sums, piece.count);
        else
            learn(m, size, room, *sums, piece.filled(), weighted);
        if (m.second == Second::tied) room.tile.add_pooled(m, size, room.weight, piece.count, sums->pooled);
    }
    if (!sums) return true;
    for (std::int64_t k = 0; k < m.k; ++k) sums->mass[k] += sum(load(room.mass + k * W));
    spread(m, size, room, sums->sums);
    return true;
}

void nearest_two(const Mixture& m, const double* packed, const Rows& rows, std::int64_t begin, std::int64_t end,
                 std::int64_t* label, double* nearest, double* second, double* workspace) {
    const Layout size(m);
    Room room(m, size, workspace);
    for (std::int64_t start = begin; start < end; start += TILE) {
        const int count = static_cast<int>(end - start < TILE ? end - start : TILE);
        room.tile.fill(m, rows, start, count, false);
        score_tile(m, size, packed, room.tile, count, room.sparing, room.scores, room.near);
        largest<true>({nullptr, m.k}, room.scores, room.top, room.label);
        shared_part(m, size, packed, room.tile, room.quadratic);
        for (int v = 0; v < count; v += W) {
            const vec top = load(room.top + v), whose = load(room.label + v);
            vec next = splat(NO_SCORE);
            for (std::int64_t k = 0; k < m.k; ++k) {
                const Mask own = equal(whose, splat(static_cast<double>(k)));
                next = max(select(own, splat(NO_SCORE), load(room.scores + k * TILE + v)), next);
            }
            const vec about = splat(m.peak[0]) - load(room.quadratic + v);
            const int filled = count - v < W ? count - v : W;
            put(nearest + start + v, max(2.0 * (about - top), vec{}), filled);
            put(second + start + v, max(2.0 * (about - (m.k > 1 ? next : top)), vec{}), filled);
            for (int i = 0; i < filled; ++i) label[start + v + i] = static_cast<std::int64_t>(room.label[v + i]);
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
