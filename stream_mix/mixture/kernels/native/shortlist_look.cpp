// Rows of a leaf under the components of its list: of all what they can say at most, of the few that may matter what
// they say.
#include "shortlist_parts.hpp"
#include "simd_float.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

// |W_k y - W_k m_k|^2 of N rows.
template <int N>
inline void distance_full(const Components& c, std::int64_t k, const double* const* y, double* out) {
    const double *columns = c.whiten + k * c.d * c.width, *mean = c.whitened + k * c.width;
    vec length[N] = {};
    for (std::int64_t i = 0; i < c.width; i += W) {
        vec even[N], odd[N];
        for (int n = 0; n < N; ++n) {
            even[n] = -load(mean + i);
            odd[n] = vec{};
        }
        const std::int64_t last = i + W < c.d ? i + W : c.d;
        std::int64_t j = 0;
        for (; j + 1 < last; j += 2) {
            const vec first = load(columns + j * c.width + i), second = load(columns + (j + 1) * c.width + i);
            for (int n = 0; n < N; ++n) {
                even[n] += first * splat(y[n][j]);
                odd[n] += second * splat(y[n][j + 1]);
            }
        }
        if (j < last)
            for (int n = 0; n < N; ++n) even[n] += load(columns + j * c.width + i) * splat(y[n][j]);
        for (int n = 0; n < N; ++n) {
            const vec z = even[n] + odd[n];
            length[n] += z * z;
        }
    }
    for (int n = 0; n < N; ++n) out[n] = fold_up(length[n]);
}

inline double distance(const Components& c, std::int64_t k, const double* z) {
    const double* mean = c.means + k * c.width;
    vec length{};
    if (c.shape == Shape::round) {
        for (std::int64_t i = 0; i < c.width; i += W) {
            const vec delta = load(z + i) - load(mean + i);
            length += delta * delta;
        }
        return fold_up(length) * c.precision[k];
    }
    const double* precision = c.precision + k * c.width;
    for (std::int64_t i = 0; i < c.width; i += W) {
        const vec delta = load(z + i) - load(mean + i);
        length += delta * delta * load(precision + i);
    }
    return fold_up(length);
}

// A component of the list and a row that it may have to do with.
struct Candidate {
    std::int32_t member, row;
};

// Room that `look` computes in.
struct Room : BoundsRoom {
    double *score, *top, *sum;
    Candidate *found, *sorted;
    float* least;
    std::int32_t *next, *label;
    std::int64_t pairs;

    Room(void* at, std::int64_t count, std::int64_t width) : pairs(LOOK * (count + 1) + SPARE) {
        score = static_cast<double*>(at);
        found = reinterpret_cast<Candidate*>(score + pairs);
        sorted = found + pairs;
        top = reinterpret_cast<double*>(sorted + pairs);
        sum = top + LOOK * TILES;
        turned = sum + LOOK * TILES;
        columns = reinterpret_cast<float*>(turned + LOOK * width);
        bounds = columns + 2 * LOOK * width;
        most = bounds + LOOK * ((count + 3) / 4 * 4);
        whose = most + LOOK;
        least = whose + LOOK;
        next = reinterpret_cast<std::int32_t*>(least + LOOK);
        label = next + count + 1;
    }
};

// Rows of a full component that are worked out together.
constexpr int TOGETHER = 4;

// Finds what may matter to some rows, and works it out.
struct Search {
    const Components& c;
    const Listed& list;
    const double* y;
    std::int64_t stride;
    const double* z;
    const Room& room;
    std::int64_t n_found;

    // Scores of a component for N rows.
    template <int N>
    void exact(std::int64_t k, const std::int64_t* row, double* out) const {
        if (c.shape == Shape::full) {
            const double* at[N];
            for (int i = 0; i < N; ++i) at[i] = y + row[i] * stride;
            distance_full<N>(c, k, at, out);
        } else {
            for (int i = 0; i < N; ++i) out[i] = distance(c, k, z + row[i] * c.width);
        }
        for (int i = 0; i < N; ++i) out[i] = c.peak[k] - 0.5 * out[i];
    }
    // A row's largest score so far: that of the component whose bound is the largest.
    void start(std::int64_t first, int count, const Fate* fate) {
        for (int b = 0; b < LOOK; ++b) room.least[b] = 3e38f;
        for (int b = 0; b < count; ++b) {
            const std::int64_t row = first + b, member = static_cast<std::int64_t>(room.whose[b]);
            room.label[row] = list.members[member];
            room.top[row] = 0.0;
            if (fate[row] == Fate::wild) continue;
            exact<1>(room.label[row], &row, room.top + row);
            const double least = room.top[row] + CUT;
            room.least[b] = static_cast<float>(least - __builtin_fabs(least) * 0x1p-22);
        }
    }
    void tile(std::int64_t first, int count, Fate* fate) {
        bounds_of(c, list, z + first * c.width, count, room, fate + first);
        start(first, count, fate);
        for (std::int64_t member = 0; member < list.count; ++member) {
            const float* bounds = room.bounds + member * LOOK;
            std::uint64_t rows = 0;
            for (int v = 0; v < count; v += V)
                rows |= static_cast<std::uint64_t>(bits_of(above(load(bounds + v), load(room.least + v)))) << v;
            for (; rows; rows &= rows - 1)
                room.found[n_found++] = {static_cast<std::int32_t>(member),
                                         static_cast<std::int32_t>(first + __builtin_ctzll(rows))};
        }
    }
    // Component by component.
    void sort() const {
        __builtin_memset(room.next, 0, sizeof(std::int32_t) * (list.count + 1));
        for (std::int64_t i = 0; i < n_found; ++i) ++room.next[room.found[i].member + 1];
        for (std::int64_t member = 0; member < list.count; ++member) room.next[member + 1] += room.next[member];
        for (std::int64_t i = 0; i < n_found; ++i) room.sorted[room.next[room.found[i].member]++] = room.found[i];
    }
    void take(std::int32_t k, std::int32_t row, double s, Looked& out) const {
        if (s > room.top[row] || (s == room.top[row] && k < room.label[row])) {
            room.top[row] = s;
            room.label[row] = k;
        }
        // What is not kept is written over.
        room.score[out.n_pairs] = s;
        out.pairs[out.n_pairs] = {k, row, 0.0};
        out.n_pairs += s >= room.top[row] + CUT;
    }
    // Works out what was found of components that come one after the other.
    void work_out(const Candidate* found, Looked& out) const {
        for (std::int64_t begin = 0, end; begin < n_found; begin = end) {
            const std::int32_t member = found[begin].member, k = list.members[member];
            for (end = begin + 1; end < n_found && found[end].member == member;) ++end;
            for (std::int64_t i = begin; i < end; i += TOGETHER) {
                std::int64_t row[TOGETHER];
                for (int n = 0; n < TOGETHER; ++n) row[n] = found[i + n < end ? i + n : i].row;
                double s[TOGETHER];
                exact<TOGETHER>(k, row, s);
                for (int n = 0; n < TOGETHER && i + n < end; ++n) take(k, static_cast<std::int32_t>(row[n]), s[n], out);
            }
        }
        out.worked_out += n_found;
    }
    void work_out_each(Looked& out) const {
        for (std::int64_t i = 0; i < n_found; ++i) {
            const std::int32_t k = list.members[room.found[i].member];
            const std::int64_t row = room.found[i].row;
            double s;
            exact<1>(k, &row, &s);
            take(k, static_cast<std::int32_t>(row), s, out);
        }
        out.worked_out += n_found;
    }
};

// Responsibilities of the pairs, not yet divided by their rows' totals, which are added up.
void shares(const Room& room, Looked& out) {
    for (std::int64_t i = 0; i < out.n_pairs; i += W) {
        double below[W], e[W];
        for (int l = 0; l < W; ++l)
            below[l] = i + l < out.n_pairs ? room.score[i + l] - room.top[out.pairs[i + l].row] : CUT - 1.0;
        const vec x = load(below);
        store(e, select(above(x, splat(CUT)), exp_within(max(x, splat(CUT))), vec{}));
        for (int l = 0; l < W && i + l < out.n_pairs; ++l) {
            out.pairs[i + l].r = e[l];
            room.sum[out.pairs[i + l].row] += e[l];
        }
    }
}

void finish(const Search& search, int count, bool hard, Looked& out) {
    const Room& room = search.room;
    for (int b = 0; b < LOOK * TILES; ++b) room.sum[b] = 0.0;
    shares(room, out);
    for (int b = 0; b < count; b += W) {
        double each[W];
        store(each, log(max(load(room.sum + b), splat(1e-300))) + load(room.top + b));
        for (int l = 0; l < W && b + l < count; ++l) out.log_density[b + l] = each[l];
    }
    for (int b = 0; b < count; ++b)
        if (out.fate[b] == Fate::scored && search.list.reach > 0.0 &&
            2.0 * (search.c.peak[room.label[b]] - room.top[b]) > search.list.reach)
            out.fate[b] = Fate::far;
    std::int64_t kept = 0;
    if (hard) {
        for (int b = 0; b < count; ++b)
            if (out.fate[b] == Fate::scored) out.pairs[kept++] = {room.label[b], out.first + b, 1.0};
    } else {
        for (std::int64_t i = 0; i < out.n_pairs; ++i) {
            const Pair pair = out.pairs[i];
            if (pair.r > 0.0 && out.fate[pair.row] == Fate::scored)
                out.pairs[kept++] = {pair.k, out.first + pair.row, pair.r / room.sum[pair.row]};
        }
    }
    out.n_pairs = kept;
}

int look(const Components& c, const Listed& list, const double* y, std::int64_t stride, const double* z, int count,
         bool hard, void* workspace, Looked& out) {
    const Room room(workspace, list.count, c.width);
    Search search{c, list, y, stride, z, room, 0};
    out.n_pairs = out.worked_out = 0;
    int done = 0;
    // Full components are large: each is fetched once for many rows. Others are worked out tile by tile.
    const bool full = c.shape == Shape::full;
    while (done < count && (full ? search.n_found : out.n_pairs) <= SPARE) {
        const int tile = count - done < LOOK ? count - done : LOOK;
        search.tile(done, tile, out.fate);
        done += tile;
        if (full) continue;
        search.work_out_each(out);
        search.n_found = 0;
    }
    if (full) {
        search.sort();
        search.work_out(room.sorted, out);
    }
    finish(search, done, hard, out);
    return done;
}

}  // namespace

const ListKernels list_kernels = {rows_of, nearest_of, pack_bounds, look, add_pairs, invert, largest_variance, margins};

}  // namespace stream_mix::STREAM_MIX_ISA
