// Rows of a leaf under the components of its list: bounds of all in single precision, densities of the few that may
// matter.
#include "shortlist_parts.hpp"
#include "simd_float.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

constexpr int BLOCK = 4;                 // components that are worked on together
constexpr int VECTORS = W == 8 ? 4 : 2;  // vectors of rows, at most
static_assert(LOOK % (VECTORS * V) == 0);
// A feature or factor beyond this is not for single precision.
constexpr double WIDEST = 1e15;

// Scores of blocks of components for N vectors of rows: `each(component, vector, scores)`.
template <int N, class Each>
inline void products(const float* theta, std::int64_t blocks, std::int64_t features, const float* columns, Each&& each) {
    const std::int64_t size = features + 1;
    for (std::int64_t b = 0; b < blocks; ++b, theta += BLOCK * size) {
        fvec s[BLOCK][N];
        for (int r = 0; r < BLOCK; ++r)
            for (int v = 0; v < N; ++v) s[r][v] = splat(theta[r * size + features]);
        const float* column = columns;
        for (std::int64_t f = 0; f < features; ++f, column += LOOK)
            for (int v = 0; v < N; ++v) {
                const fvec y = load(column + v * V);
                for (int r = 0; r < BLOCK; ++r) s[r][v] += splat(theta[r * size + f]) * y;
            }
        for (int r = 0; r < BLOCK; ++r)
            for (int v = 0; v < N; ++v) each(b * BLOCK + r, v, s[r][v]);
    }
}

// Scores of N vectors of rows, where they are asked for, and the largest and whose it is: the first where several are.
template <int N>
inline void largest_of(const float* theta, std::int64_t blocks, std::int64_t features, const float* columns, float* scores,
                       float* top, float* whose) {
    fvec most[N], at[N];
    for (int v = 0; v < N; ++v) {
        most[v] = splat(-3e38f);
        at[v] = splat(0.0f);
    }
    products<N>(theta, blocks, features, columns, [&](std::int64_t k, int v, fvec s) {
        const FloatMask more = above(s, most[v]);
        most[v] = select(more, s, most[v]);
        at[v] = select(more, splat(static_cast<float>(k)), at[v]);
        if (scores) store(scores + k * LOOK + v * V, s);
    });
    for (int v = 0; v < N; ++v) {
        if (top) store(top + v * V, most[v]);
        store(whose + v * V, at[v]);
    }
}

void score(const float* theta, std::int64_t blocks, std::int64_t features, const float* columns, int count, float* scores,
           float* top, float* whose) {
    for (int first = 0; first < count;) {
        const int left = count - first;
        float *to = scores ? scores + first : nullptr, *most = top ? top + first : nullptr;
        if (left > 2 * V && VECTORS == 4) {
            largest_of<VECTORS>(theta, blocks, features, columns + first, to, most, whose + first);
            first += VECTORS * V;
        } else if (left > V) {
            largest_of<2>(theta, blocks, features, columns + first, to, most, whose + first);
            first += 2 * V;
        } else {
            largest_of<1>(theta, blocks, features, columns + first, to, most, whose + first);
            first += V;
        }
    }
}

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
    for (int n = 0; n < N; ++n) out[n] = total(length[n]);
}

inline double distance(const Components& c, std::int64_t k, const double* z) {
    const double* mean = c.means + k * c.width;
    vec length{};
    if (c.shape == Shape::round) {
        for (std::int64_t i = 0; i < c.width; i += W) {
            const vec delta = load(z + i) - load(mean + i);
            length += delta * delta;
        }
        return total(length) * c.precision[k];
    }
    const double* precision = c.precision + k * c.width;
    for (std::int64_t i = 0; i < c.width; i += W) {
        const vec delta = load(z + i) - load(mean + i);
        length += delta * delta * load(precision + i);
    }
    return total(length);
}

using half = float __attribute__((vector_size(4 * W)));

// z - centre, column by column: (d, LOOK) of up to LOOK rows (count, width), the rest 0. `turned` is room for LOOK width
// doubles.
void turn(std::int64_t d, std::int64_t width, const double* centre, const double* z, int count, double* turned,
          float* columns) {
    int filled = count / W * W;
    for (int b = 0; b < filled; b += W)
        for (std::int64_t j = 0; j < width; j += W) transpose(z + b * width + j, width, turned + j * LOOK + b, LOOK);
    for (; filled < count; ++filled)
        for (std::int64_t j = 0; j < d; ++j) turned[j * LOOK + filled] = z[filled * width + j];
    for (std::int64_t j = 0; j < d; ++j) {
        for (int b = count; b < LOOK; ++b) turned[j * LOOK + b] = centre ? centre[j] : 0.0;
        const vec origin = splat(centre ? centre[j] : 0.0);
        for (int b = 0; b < LOOK; b += W) {
            const half u = __builtin_convertvector(load(turned + j * LOOK + b) - origin, half);
            __builtin_memcpy(columns + j * LOOK + b, &u, sizeof u);
        }
    }
}

// The features of a tile's rows, those of `turn` being there. A row that is too far out is 0, and wild.
void features_of(const Components& c, int count, float* columns, Fate* fate) {
    for (int b = 0; b < LOOK; b += V) {
        fvec length{};
        for (std::int64_t j = 0; j < c.d; ++j) {
            const fvec u = load(columns + j * LOOK + b);
            length += u * u;
        }
        const FloatMask near = above(splat(static_cast<float>(WIDEST)), length);
        const bits near_bits = bits_of(near);
        for (int l = 0; l < V && b + l < count; ++l) fate[b + l] = near_bits >> l & 1u ? Fate::scored : Fate::wild;
        for (std::int64_t j = 0; j < c.d; ++j) {
            const fvec u = select(near, load(columns + j * LOOK + b), fvec{});
            store(columns + j * LOOK + b, u);
            if (c.by_feature) store(columns + (c.d + j) * LOOK + b, u * u);
        }
        if (!c.by_feature) store(columns + c.d * LOOK + b, select(near, length, fvec{}));
    }
}

// A component of the list and a row that it may have to do with.
struct Candidate {
    std::int32_t member, row;
};

// Room that `look` computes in.
struct Room {
    double *score, *top, *sum, *turned;
    Candidate *found, *sorted;
    float *columns, *bounds, *most, *whose, *least;
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
        most = bounds + LOOK * ((count + BLOCK - 1) / BLOCK * BLOCK);
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
        turn(c.d, c.width, list.centre, z + first * c.width, count, room.turned, room.columns);
        features_of(c, count, room.columns, fate + first);
        score(list.bounds, (list.count + BLOCK - 1) / BLOCK, c.features(), room.columns, count, room.bounds, room.most,
              room.whose);
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

void nearest(std::int64_t d, std::int64_t width, std::int64_t centres, const float* packed, const double* z, int count,
             float* room, std::int32_t* found) {
    float whose[LOOK], *columns = room + 2 * LOOK * width;
    turn(d, width, nullptr, z, count, reinterpret_cast<double*>(room), columns);
    score(packed, (centres + BLOCK - 1) / BLOCK, d, columns, count, nullptr, nullptr, whose);
    for (int b = 0; b < count; ++b) found[b] = static_cast<std::int32_t>(whose[b]);
}

// What rounding in single precision may take from a bound, as a share of the magnitudes that it is the sum of, is
// added to it.
bool pack(const Components& c, const Listed& list, float* bounds) {
    const std::int64_t f = c.features();
    const double slack = static_cast<double>(f + 8) * 0x1p-23;
    const auto narrow = [](float* to, vec from) {
        const half v = __builtin_convertvector(from, half);
        __builtin_memcpy(to, &v, sizeof v);
    };
    vec most{};
    // Whole vectors are written, from the first on: what is too much is written over by what comes after.
    float* to = bounds;
    for (std::int64_t i = 0; i < list.count; ++i, to += f + 1) {
        const std::int64_t k = list.members[i];
        const double *mean = c.means + k * c.width, *precision = c.precision + k * c.width;
        vec length{};
        for (std::int64_t j = 0; j < c.d; j += W) {
            const vec p = c.by_feature ? load(precision + j) : splat(c.least[k]);
            const vec delta = load(mean + j) - load(list.centre + j), linear = p * delta;
            narrow(to + j, linear);
            length += linear * delta;
            most = max(p, most);
        }
        for (std::int64_t j = 0; j < c.d && c.by_feature; j += W) narrow(to + c.d + j, (slack - 0.5) * load(precision + j));
        if (!c.by_feature) to[c.d] = static_cast<float>((slack - 0.5) * c.least[k]);
        const double all = total(length);
        to[f] = static_cast<float>(c.peak[k] - 0.5 * all + slack * (__builtin_fabs(c.peak[k]) + all));
        most = max(splat(all), most);
    }
    for (std::int64_t i = list.count; i % BLOCK; ++i, to += f + 1)
        for (std::int64_t j = 0; j <= f; ++j) to[j] = j < f ? 0.0f : -1e37f;
    return largest(most) < WIDEST;
}

// y of one row, from the column `first` on.
template <class Number>
inline void read(const Components& c, const Rows& from, const Number* x, std::int64_t first, double* y) {
    for (std::int64_t j = first; j < c.d; ++j)
        y[j] = (static_cast<double>(x[j * from.column_stride]) - c.origin[j]) * c.inverse_scale[j] - c.centre[j];
}

inline void frame(const Components& c, const double* y, double* z) {
    if (c.diagonal) {
        for (std::int64_t j = 0; j < c.width; j += W) store(z + j, load(y + j) * load(c.diagonal + j));
        return;
    }
    for (std::int64_t i = 0; i < c.width; i += W) {
        vec sum{};
        for (std::int64_t j = 0; j < c.d && j < i + W; ++j) sum += load(c.triangle + j * c.width + i) * splat(y[j]);
        store(z + i, sum);
    }
}

bool rows(const Components& c, const Rows& from, const std::int32_t* which, std::int64_t first, int count,
          std::int64_t stride, double* y, double* z) {
    const std::int64_t whole = from.column_stride == 1 && !from.single ? c.d / W * W : 0;
    vec all{};
    for (int b = 0; b < count; ++b, y += stride, z += c.width) {
        const std::ptrdiff_t at = (which ? which[b] : first + b) * from.row_stride;
        if (whole < c.d) store(y + c.width - W, vec{});
        for (std::int64_t j = whole; j < c.width; j += W) store(y + j, vec{});
        for (std::int64_t j = 0; j < whole; j += W)
            store(y + j, (load(static_cast<const double*>(from.x) + at + j) - load(c.origin + j)) * load(c.inverse_scale + j) -
                             load(c.centre + j));
        if (from.single)
            read(c, from, static_cast<const float*>(from.x) + at, whole, y);
        else
            read(c, from, static_cast<const double*>(from.x) + at, whole, y);
        for (std::int64_t j = 0; j < c.width; j += W) {
            const vec value = load(y + j);
            all += value * 0.0;
            if (c.squares) store(y + c.width + j, value * value);
        }
        frame(c, y, z);
    }
    return bits_of(equal(all, vec{})) == ALL;
}

}  // namespace

const ListKernels list_kernels = {rows, nearest, pack, look, add_pairs, invert, largest_variance, margins};

}  // namespace stream_mix::STREAM_MIX_ISA
