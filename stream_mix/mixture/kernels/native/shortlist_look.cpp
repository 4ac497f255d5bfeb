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
    for (std::int64_t b = 0; b < blocks; ++b) {
        fvec s[BLOCK][N];
        for (int r = 0; r < BLOCK; ++r)
            for (int v = 0; v < N; ++v) s[r][v] = splat(theta[r]);
        theta += BLOCK;
        const float* column = columns;
        for (std::int64_t f = 0; f < features; ++f, theta += BLOCK, column += LOOK)
            for (int v = 0; v < N; ++v) {
                const fvec y = load(column + v * V);
                for (int r = 0; r < BLOCK; ++r) s[r][v] += splat(theta[r]) * y;
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

// C vectors of |W y - W m|^2, from the coordinates `first` on.
template <int C>
inline vec whitened(const double* columns, const double* mean, std::int64_t width, std::int64_t last, const double* y) {
    vec z[C];
    for (int v = 0; v < C; ++v) z[v] = -load(mean + v * W);
    for (std::int64_t j = 0; j < last; ++j)
        for (int v = 0; v < C; ++v) z[v] += load(columns + j * width + v * W) * splat(y[j]);
    vec length{};
    for (int v = 0; v < C; ++v) length += z[v] * z[v];
    return length;
}

inline double distance_full(const Components& c, std::int64_t k, const double* y) {
    const double *columns = c.whiten + k * c.d * c.width, *mean = c.whitened + k * c.width;
    vec length{};
    for (std::int64_t i = 0; i < c.width; i += W) {
        const std::int64_t last = i + W < c.d ? i + W : c.d;
        length += whitened<1>(columns + i, mean + i, c.width, last, y);
    }
    return total(length);
}

inline double distance(const Components& c, std::int64_t k, const double* y, const double* z) {
    if (c.shape == Shape::full) return distance_full(c, k, y);
    const double *mean = c.means + k * c.width, *precision = c.precision + k * c.each();
    vec length{};
    if (c.shape == Shape::round) {
        for (std::int64_t i = 0; i < c.width; i += W) {
            const vec delta = load(z + i) - load(mean + i);
            length += delta * delta;
        }
        return total(length) * *precision;
    }
    for (std::int64_t i = 0; i < c.width; i += W) {
        const vec delta = load(z + i) - load(mean + i);
        length += delta * delta * load(precision + i);
    }
    return total(length);
}

// The features of a tile's rows about a centre, column by column. A row that is too far out is 0, and wild.
void columns_of(const Components& c, const double* centre, const double* z, int count, float* columns, Fate* fate) {
    for (int b = 0; b < count; ++b) {
        const double* row = z + b * c.width;
        vec squares{};
        for (std::int64_t i = 0; i < c.width; i += W) {
            const vec u = load(row + i) - load(centre + i);
            squares += u * u;
        }
        const double length = total(squares);
        fate[b] = length < WIDEST ? Fate::scored : Fate::wild;
        const double factor = fate[b] == Fate::wild ? 0.0 : 1.0;
        for (std::int64_t i = 0; i < c.d; ++i) columns[i * LOOK + b] = static_cast<float>((row[i] - centre[i]) * factor);
        if (c.shape != Shape::diag) columns[c.d * LOOK + b] = static_cast<float>(fate[b] == Fate::wild ? 0.0 : length);
    }
    for (std::int64_t i = 0; i < c.d; ++i)
        for (int b = count; b < LOOK; ++b) columns[i * LOOK + b] = 0.0f;
    if (c.shape != Shape::diag)
        for (int b = count; b < LOOK; ++b) columns[c.d * LOOK + b] = 0.0f;
    else
        for (std::int64_t i = 0; i < c.d; ++i)
            for (int b = 0; b < LOOK; b += V) {
                const fvec u = load(columns + i * LOOK + b);
                store(columns + (c.d + i) * LOOK + b, u * u);
            }
}

// Room that `look` computes in.
struct Room {
    double *score, *top, *sum;
    float *columns, *bounds, *most, *whose, *least;

    Room(void* at, std::int64_t count, std::int64_t features) {
        score = static_cast<double*>(at);
        top = score + LOOK * count;
        sum = top + LOOK;
        columns = reinterpret_cast<float*>(sum + LOOK);
        bounds = columns + LOOK * features;
        most = bounds + LOOK * ((count + BLOCK - 1) / BLOCK * BLOCK);
        whose = most + LOOK;
        least = whose + LOOK;
    }
};

// Works out what may matter: `out.pairs` and their scores.
struct Search {
    const Components& c;
    const Listed& list;
    const double* y;
    std::int64_t stride;
    const double* z;
    const Room& room;
    std::int32_t label[LOOK];

    double exact(std::int64_t member, int b) const {
        const std::int64_t k = list.members[member];
        return c.peak[k] - 0.5 * distance(c, k, y + b * stride, z + b * c.width);
    }
    void start(int count, const Fate* fate) {
        for (int b = 0; b < LOOK; ++b) room.least[b] = 3e38f;
        for (int b = 0; b < count; ++b) {
            if (fate[b] == Fate::wild) continue;
            const std::int64_t first = static_cast<std::int64_t>(room.whose[b]);
            label[b] = list.members[first];
            room.top[b] = exact(first, b);
            const double least = room.top[b] + CUT;
            room.least[b] = static_cast<float>(least - __builtin_fabs(least) * 0x1p-22);
        }
    }
    void take(std::int64_t member, int b, Looked& out) {
        if (static_cast<double>(room.bounds[member * LOOK + b]) < room.top[b] + CUT - __builtin_fabs(room.top[b]) * 0x1p-22)
            return;
        ++out.worked_out;
        const double s = exact(member, b);
        if (s < room.top[b] + CUT) return;
        const std::int32_t k = list.members[member];
        if (s > room.top[b] || (s == room.top[b] && k < label[b])) {
            room.top[b] = s;
            label[b] = k;
        }
        room.score[out.n_pairs] = s;
        out.pairs[out.n_pairs++] = {k, b, 0.0};
    }
    void all(int count, Looked& out) {
        for (std::int64_t member = 0; member < list.count; ++member) {
            const float* bounds = room.bounds + member * LOOK;
            for (int v = 0; v < count; v += V)
                for (bits left = bits_of(above(load(bounds + v), load(room.least + v))); left; left &= left - 1)
                    take(member, v + __builtin_ctz(left), out);
        }
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
    for (int b = 0; b < count; ++b)
        if (out.fate[b] == Fate::wild) room.top[b] = 0.0;
    for (int b = count; b < LOOK; ++b) room.top[b] = 0.0;
    for (int b = 0; b < LOOK; ++b) room.sum[b] = 0.0;
    shares(room, out);
    for (int b = 0; b < LOOK; b += W) {
        double each[W];
        store(each, log(max(load(room.sum + b), splat(1e-300))) + load(room.top + b));
        for (int l = 0; l < W && b + l < count; ++l) out.log_density[b + l] = each[l];
    }
    for (int b = 0; b < count; ++b)
        if (out.fate[b] == Fate::scored && search.list.reach > 0.0 &&
            2.0 * (search.c.peak[search.label[b]] - room.top[b]) > search.list.reach)
            out.fate[b] = Fate::far;
    std::int64_t kept = 0;
    if (hard) {
        for (int b = 0; b < count; ++b)
            if (out.fate[b] == Fate::scored) out.pairs[kept++] = {search.label[b], out.first + b, 1.0};
    } else {
        for (std::int64_t i = 0; i < out.n_pairs; ++i) {
            const Pair pair = out.pairs[i];
            if (pair.r > 0.0 && out.fate[pair.row] == Fate::scored)
                out.pairs[kept++] = {pair.k, out.first + pair.row, pair.r / room.sum[pair.row]};
        }
    }
    out.n_pairs = kept;
}

void look(const Components& c, const Listed& list, const double* y, std::int64_t stride, const double* z, int count,
          bool hard, void* workspace, Looked& out) {
    const Room room(workspace, list.count, c.features());
    columns_of(c, list.centre, z, count, room.columns, out.fate);
    score(list.bounds, (list.count + BLOCK - 1) / BLOCK, c.features(), room.columns, count, room.bounds, room.most, room.whose);
    Search search{c, list, y, stride, z, room, {}};
    out.n_pairs = out.worked_out = 0;
    search.start(count, out.fate);
    search.all(count, out);
    finish(search, count, hard, out);
}

void nearest(std::int64_t d, std::int64_t width, std::int64_t centres, const float* packed, const double* z, int count,
             float* columns, std::int32_t* found) {
    float whose[LOOK];
    for (std::int64_t i = 0; i < d; ++i)
        for (int b = 0; b < LOOK; ++b) columns[i * LOOK + b] = b < count ? static_cast<float>(z[b * width + i]) : 0.0f;
    score(packed, (centres + BLOCK - 1) / BLOCK, d, columns, count, nullptr, nullptr, whose);
    for (int b = 0; b < count; ++b) found[b] = static_cast<std::int32_t>(whose[b]);
}

// What rounding in single precision may take from a bound, as a share of the magnitudes that it is the sum of, is
// added to it.
bool pack(const Components& c, const Listed& list, float* bounds) {
    const std::int64_t f = c.features();
    const double slack = static_cast<double>(f + 8) * 0x1p-23;
    double most = 0.0;
    for (std::int64_t i = 0; i < (list.count + BLOCK - 1) / BLOCK * BLOCK; ++i) {
        float* to = bounds + i / BLOCK * BLOCK * (f + 1) + i % BLOCK;
        if (i >= list.count) {
            to[0] = -1e37f;
            for (std::int64_t j = 1; j <= f; ++j) to[j * BLOCK] = 0.0f;
            continue;
        }
        const std::int64_t k = list.members[i];
        const double *mean = c.means + k * c.width, *precision = c.precision + k * c.each();
        double length = 0.0;
        for (std::int64_t j = 0; j < c.d; ++j) {
            const double p = precision[c.shape == Shape::diag ? j : 0], delta = mean[j] - list.centre[j];
            length += p * delta * delta;
            to[(1 + j) * BLOCK] = static_cast<float>(p * delta);
            if (c.shape == Shape::diag) to[(1 + c.d + j) * BLOCK] = static_cast<float>((slack - 0.5) * p);
            most = p > most ? p : most;
        }
        if (c.shape != Shape::diag) to[(1 + c.d) * BLOCK] = static_cast<float>((slack - 0.5) * precision[0]);
        to[0] = static_cast<float>(c.peak[k] - 0.5 * length + slack * (__builtin_fabs(c.peak[k]) + length));
        most = length > most ? length : most;
    }
    return most < WIDEST;
}

// y of one row.
template <class Number>
inline void read(const Components& c, const Rows& from, const Number* x, double* y) {
    for (std::int64_t j = 0; j < c.d; ++j)
        y[j] = (static_cast<double>(x[j * from.column_stride]) - c.origin[j]) * c.inverse_scale[j] - c.centre[j];
}

bool rows(const Components& c, const Rows& from, const std::int32_t* which, std::int64_t first, int count,
          std::int64_t stride, double* y, double* z) {
    double all = 0.0;
    for (int b = 0; b < count; ++b, y += stride, z += c.width) {
        const std::ptrdiff_t at = (which ? which[b] : first + b) * from.row_stride;
        if (from.single)
            read(c, from, static_cast<const float*>(from.x) + at, y);
        else
            read(c, from, static_cast<const double*>(from.x) + at, y);
        for (std::int64_t j = 0; j < c.d; ++j) all += y[j] * 0.0;
        for (std::int64_t j = c.d; j < stride; ++j) y[j] = 0.0;
        if (c.squares)
            for (std::int64_t j = 0; j < c.d; ++j) y[c.d + j] = y[j] * y[j];
        if (c.diagonal) {
            for (std::int64_t j = 0; j < c.d; ++j) z[j] = y[j] * c.diagonal[j];
            for (std::int64_t j = c.d; j < c.width; ++j) z[j] = 0.0;
            continue;
        }
        for (std::int64_t i = 0; i < c.width; i += W) {
            vec sum{};
            for (std::int64_t j = 0; j < c.d && j < i + W; ++j) sum += load(c.triangle + j * c.width + i) * splat(y[j]);
            store(z + i, sum);
        }
    }
    return all == 0.0;
}

}  // namespace

const ListKernels list_kernels = {rows, nearest, pack, look, add_pairs, invert, largest_variance, margins};

}  // namespace stream_mix::STREAM_MIX_ISA
