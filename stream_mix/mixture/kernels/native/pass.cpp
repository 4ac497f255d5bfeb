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
    double* r;           // (count, W)
    std::int64_t* k;     // (count,)
    std::int64_t count;
    double mass[W];      // what each row counts
};

// sums[k] += r_row * (its features), for the rows of one vector that have a share in component k.
inline void add_rows(double* sums, const double* rows, std::int64_t stride, std::int64_t width, const double* r,
                     const int* lane, int count) {
    for (std::int64_t c = 0; c < width; c += W) {
        vec total = load(sums + c);
        for (int i = 0; i < count; ++i) total += splat(r[lane[i]]) * load(rows + lane[i] * stride + c);
        store(sums + c, total);
    }
}

// Upper triangle of sum r y y', in whole registers: columns from the register that holds the diagonal on.
inline void add_outer(double* matrix, const double* rows, std::int64_t stride, std::int64_t d, std::int64_t width,
                      const double* r, const int* lane, int count) {
    for (std::int64_t i = 0; i < d; ++i) {
        double ry[W];
        for (int l = 0; l < count; ++l) ry[l] = r[lane[l]] * rows[lane[l] * stride + i];
        double* line = matrix + i * width;
        for (std::int64_t c = i / W * W; c < width; c += W) {
            vec total = load(line + c);
            for (int l = 0; l < count; ++l) total += splat(ry[l]) * load(rows + lane[l] * stride + c);
            store(line + c, total);
        }
    }
}

inline void add_component(const Mixture& m, const Layout& size, const Sums& sums, std::int64_t k, const double* rows,
                          const double* r) {
    int lane[W];
    int count = 0;
    double mass = 0.0;
    for (int i = 0; i < W; ++i) {
        lane[count] = i;
        count += r[i] != 0.0;
        mass += r[i];
    }
    sums.mass[k] += mass;
    double* own = sums.sums + k * size.sums;
    add_rows(own, rows, size.second, size.second, r, lane, count);
    if (m.second == Second::full) add_outer(own + size.second, rows, size.second, m.d, size.row, r, lane, count);
}

// Responsibilities of one vector of rows. Returns the number of components with a share that is not negligible.
inline std::int64_t softmax(const Mixture& m, const double* scores, Active& active, vec& top, vec& label, vec& total) {
    top = load(scores);
    label = vec{};
    for (std::int64_t k = 1; k < m.k; ++k) {
        const vec s = load(scores + k * TILE);
        const ivec better = s > top;
        top = select(better, s, top);
        label = select(better, splat(static_cast<double>(k)), label);
    }
    total = vec{};
    std::int64_t count = 0;
    for (std::int64_t k = 0; k < m.k; ++k) {
        const vec below = load(scores + k * TILE) - top;
        const ivec share = below > splat(NEGLIGIBLE);
        if (!bits_of(share)) continue;
        const vec e = select(share, exp(below), vec{});
        total += e;
        store(active.r + count * W, e);
        active.k[count++] = k;
    }
    return active.count = count;
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

inline void learn(const Mixture& m, const Layout& size, const Sums& sums, const double* rows, const Active& active,
                  vec label, vec weight) {
    double at_label[W], r[W];
    if (!sums.hard) {
        for (std::int64_t a = 0; a < active.count; ++a) {
            store(r, load(active.r + a * W) * weight);
            add_component(m, size, sums, active.k[a], rows, r);
        }
        return;
    }
    store(at_label, label);
    for (int i = 0; i < W; ++i) {
        if (active.mass[i] == 0.0) continue;
        for (int j = 0; j < W; ++j) r[j] = j == i ? active.mass[i] : 0.0;
        add_component(m, size, sums, static_cast<std::int64_t>(at_label[i]), rows, r);
    }
}

}  // namespace

bool pass(const Mixture& m, const double* packed, const Rows& rows, std::int64_t begin, std::int64_t end,
          const Answers& out, const Sums* sums, double* workspace) {
    const Layout size(m);
    Tile tile(m, size, workspace);
    double* scores = tile.end;
    double* quadratic = scores + (m.k + 3) / 4 * 4 * TILE;
    Active active{quadratic + TILE, nullptr, 0, {}};
    active.k = reinterpret_cast<std::int64_t*>(active.r + m.k * W);
    const bool told = out.p || out.label || out.log_density || out.distance;
    for (std::int64_t start = begin; start < end; start += TILE) {
        const int count = static_cast<int>(end - start < TILE ? end - start : TILE);
        if (!tile.fill(m, rows, start, count)) return false;
        score_tile(m, size, packed, tile, scores, quadratic);
        for (int v = 0; v < count; v += W) {
            vec top, label, total;
            softmax(m, scores + v, active, top, label, total);
            const vec share = 1.0 / total;
            for (std::int64_t a = 0; a < active.count; ++a)
                store(active.r + a * W, load(active.r + a * W) * share);
            const int filled = count - v < W ? count - v : W;
            if (told) tell(m, out, start + v, filled, active, top, label, total, load(quadratic + v));
            if (!sums) continue;
            for (int i = 0; i < W; ++i)
                active.mass[i] = i >= filled ? 0.0 : rows.w ? rows.w[start + v + i] : 1.0;
            learn(m, size, *sums, tile.rows + v * size.second, active, label, load(active.mass));
        }
        if (sums && m.second == Second::tied)
            tile.add_pooled(m, size, rows.w ? rows.w + start : nullptr, count, sums->pooled);
    }
    return true;
}

void pack(const Mixture& m, double* packed) { pack_scores(m, Layout(m), packed); }

}  // namespace stream_mix::STREAM_MIX_ISA
