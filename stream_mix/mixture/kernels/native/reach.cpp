// The bounds that reach.hpp reads, from a packed mixture.
#include "reach.hpp"

#include "pass.hpp"
#include "triangle.hpp"

namespace stream_mix::STREAM_MIX_ISA {
namespace {

// The largest c that is tried for a component is below the least diagonal entry; each further one is so much less. The
// last of them is a thirteenth of that entry: with less a bound keeps next to nothing of what a row is far out.
constexpr double FIRST_TRY = 0.9, NEXT_TRY = 0.8;
constexpr int TRIES = 12;
// Components, at most, that the mean covariance is made of: each takes d^3 operations, and any matrix will do.
constexpr std::int64_t POOLED = 16;
// The least c of use, beside the trace that it came from.
constexpr double LEAST_SHARE = 0x1p-30;
// What rounding leaves of c. The products that make a matrix and the steps that factor it are each off by about d + 8
// roundings of the trace at the most, 2^-53 each, which is 2^-23 of the least c; and as much again three times over.
constexpr double kept(std::int64_t d) { return 1.0 - static_cast<double>(d + 8) * 0x1p-20; }

// One component's line of the blocks.
struct Line {
    float* at;
    Line(const Reach& reach, std::int64_t k) : at(reach.theta + k / LINES * LINES * (reach.d + 4) + k % LINES) {}
    void put(std::int64_t i, double value) const { at[i * LINES] = static_cast<float>(value); }
    // Of the guess: where nothing bounds the score there is none.
    void guess(std::int64_t d, double peak, double c, double mean) const {
        put(d + 2, c > 0.0 ? peak - peak * (mean / c) : LOWEST);
        put(d + 3, c > 0.0 ? mean / c : 0.0);
    }
};

// How far the mixture's numbers go: what rounding does is in proportion.
struct Extent {
    double constant = 0.0, factor = 0.0;

    void take(double peak, double mean, double precision) {
        const double own = __builtin_fabs(peak) + mean;
        constant = own > constant ? own : constant;
        factor = precision > factor ? precision : factor;
    }
    // Each of d + 8 roundings or fewer, to 2^-24 of what goes in, and as much again many times over.
    bool tell(const Reach& reach) const {
        // Of a row that is not WIDE no value is too large for single precision then.
        for (std::int64_t j = 0; j < reach.d; ++j)
            if (!(reach.unit[j] > 1.0 / WIDE && reach.unit[j] < WIDE)) return false;
        const double rounding = static_cast<double>(reach.d + 8) * 0x1p-19;
        reach.head[1] = rounding * constant + 1e-30;
        reach.head[2] = rounding * factor;
        return constant < WIDE && factor < WIDE;
    }
};

bool bound_diag(const Mixture& m, const Layout& size, const double* packed, const Reach& reach) {
    const std::int64_t each = 2 * size.row + 8;
    for (std::int64_t j = 0; j < m.d; ++j) {
        double total = 0.0;
        for (std::int64_t k = 0; k < m.k; ++k) total += 1.0 / (packed[k * each + j] * packed[k * each + j]);
        reach.unit[j] = static_cast<double>(m.k) / total;
    }
    Extent extent;
    for (std::int64_t k = 0; k < m.k; ++k) {
        const double *root = packed + k * each, *white = root + size.row;
        const Line line(reach, k);
        double c = 1e300, most = 0.0, total = 0.0, inner = 0.0, length = 0.0;
        for (std::int64_t j = 0; j < m.d; ++j) {
            const double ratio = root[j] * root[j] / reach.unit[j];
            c = ratio < c ? ratio : c;
            most = ratio > most ? ratio : most;
            total += ratio;
            length += white[j] * white[j];
        }
        c *= kept(m.d);
        for (std::int64_t j = 0; j < m.d; ++j) {
            const double mean = white[j] / root[j], linear = c * reach.unit[j] * mean;
            inner += linear * mean;
            line.put(1 + j, linear);
        }
        line.put(0, m.peak[k] - 0.5 * inner);
        line.put(1 + m.d, -0.5 * c);
        line.guess(m.d, m.peak[k], c, total / static_cast<double>(m.d));
        extent.take(m.peak[k], length, most);
    }
    return extent.tell(reach);
}

// c with M'M - c positive definite, near the largest; 0 where there is none of use. `mean` is that of all eigenvalues;
// `gram` and `room` are (d, row).
double least_eigenvalue(const double* product, std::int64_t d, double* gram, double* room, double* mean) {
    const std::int64_t row = padded(d);
    for (std::int64_t i = 0; i < d * row; ++i) gram[i] = 0.0;
    for (std::int64_t p = 0; p < d; ++p)  // a row of M is 0 behind its diagonal
        for (std::int64_t i = 0; i <= p; ++i) {
            const double share = product[p * row + i];
            for (std::int64_t j = i / W * W; j <= p; j += W)
                store(gram + i * row + j, load(gram + i * row + j) + share * load(product + p * row + j));
        }
    double least = 1e300, trace = 0.0;
    for (std::int64_t i = 0; i < d; ++i) {
        const double own = gram[i * row + i];
        least = own < least ? own : least;
        trace += own;
    }
    *mean = trace / static_cast<double>(d);
    double c = FIRST_TRY * least;
    for (int i = 0; i < TRIES && c > LEAST_SHARE * trace; ++i, c *= NEXT_TRY) {
        __builtin_memcpy(room, gram, sizeof(double) * d * row);
        for (std::int64_t j = 0; j < d; ++j) room[j * row + j] -= c;
        if (factor(room, d, [](double) {})) return kept(d) * c;
    }
    return 0.0;
}

struct Triangle {
    const double* entries;
    double operator()(std::int64_t i, std::int64_t j) const { return entries[i * (i + 1) / 2 + j]; }
};

// The mean covariance (d, row) of some of the components: any positive definite matrix will do, the better it fits, the
// closer the bounds.
void pool(const Mixture& m, double* pooled, double* root) {
    const std::int64_t d = m.d, row = padded(d), step = (m.k + POOLED - 1) / POOLED;
    for (std::int64_t i = 0; i < d * row; ++i) pooled[i] = 0.0;
    double count = 0.0;
    for (std::int64_t k = 0; k < m.k; k += step, ++count) {
        invert(d, Triangle{m.whiten + k * d * (d + 1) / 2}, root);
        for (std::int64_t i = 0; i < d; ++i)
            for (std::int64_t j = i; j < d; ++j) {
                vec lanes{};  // a row of a lower triangle is 0 behind its diagonal
                for (std::int64_t p = 0; p <= i; p += W) lanes += load(root + i * row + p) * load(root + j * row + p);
                pooled[i * row + j] += sum(lanes);
            }
    }
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = i; j < d; ++j) pooled[j * row + i] = pooled[i * row + j] /= count;
}

// A component's mean, from W m.
void unwhiten(const Triangle& whiten, const double* white, std::int64_t d, double* mean) {
    for (std::int64_t i = 0; i < d; ++i) {
        double left = white[i];
        for (std::int64_t j = 0; j < i; ++j) left -= whiten(i, j) * mean[j];
        mean[i] = left / whiten(i, i);
    }
}

// `room` is four matrices (d, row).
bool bound_full(const Mixture& m, const Reach& reach, double* room) {
    const std::int64_t d = m.d, row = padded(d), entries = d * (d + 1) / 2;
    double *root = room, *product = root + d * row, *gram = product + d * row, *inverse = gram + d * row;
    pool(m, root, product);
    for (std::int64_t j = 0; j < d; ++j) reach.unit[j] = 1.0 / root[j * row + j];
    if (!factor(root, d, [](double) {})) return false;
    invert(d, [&](std::int64_t i, std::int64_t j) { return root[j * row + i]; }, inverse);
    for (std::int64_t i = 0, e = 0; i < d; ++i)
        for (std::int64_t j = 0; j <= i; ++j) gram[e++] = inverse[i * row + j];
    pack_triangle(gram, d, reach.triangle);
    for (std::int64_t j = 0; j < d; ++j)  // the lower triangle L, in rows
        for (std::int64_t i = 0; i < j; ++i) root[j * row + i] = root[i * row + j];
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = i + 1; j < row; ++j) root[i * row + j] = 0.0;
    Extent extent;
    for (std::int64_t k = 0; k < m.k; ++k) {
        const Triangle own{m.whiten + k * entries};
        const double* white = m.theta + k * (d + 1) + 1;
        const Line line(reach, k);
        double size = 0.0, length = 0.0;
        for (std::int64_t i = 0; i < d; ++i) {
            double* to = product + i * row;
            for (std::int64_t j = 0; j < row; ++j) to[j] = 0.0;
            for (std::int64_t p = 0; p <= i; ++p) {
                const double share = own(i, p);
                for (std::int64_t j = 0; j <= p; j += W) store(to + j, load(to + j) + share * load(root + p * row + j));
                size += share * share / reach.unit[p];
            }
            length += white[i] * white[i];
        }
        double mean;
        const double c = least_eigenvalue(product, d, gram, gram + 2 * d * row, &mean);
        // Q m in two steps, with room of the triangle that is no longer needed.
        double *z = product, *means = product + row, inner = 0.0, far = 0.0;
        unwhiten(own, white, d, means);
        for (std::int64_t i = 0; i < d; ++i) {
            z[i] = 0.0;
            for (std::int64_t j = 0; j <= i; ++j) z[i] += inverse[i * row + j] * means[j];
            inner += z[i] * z[i];
            far += reach.unit[i] * means[i] * means[i];
        }
        for (std::int64_t j = 0; j < d; ++j) {
            double total = 0.0;
            for (std::int64_t i = j; i < d; ++i) total += inverse[i * row + j] * z[i];
            line.put(1 + j, c * total);
        }
        line.put(0, m.peak[k] - 0.5 * c * inner);
        line.put(1 + d, -0.5 * c);
        line.guess(d, m.peak[k], c, mean);
        extent.take(m.peak[k], length + size * far, size);
    }
    return extent.tell(reach);
}

}  // namespace

void bound(const Mixture& m, double* packed, double* room) {
    const Layout size(m);
    const Reach reach(m, size, packed);
    for (std::int64_t k = m.k; k % LINES; ++k) {  // what fills up the last block
        const Line line(reach, k);
        for (std::int64_t i = 0; i < m.d + 4; ++i) line.put(i, i && i != m.d + 2 ? 0.0 : LOWEST);
    }
    const bool there = m.scores == Scores::full ? bound_full(m, reach, room) : bound_diag(m, size, packed, reach);
    reach.head[0] = there ? 1.0 : 0.0;
}

}  // namespace stream_mix::STREAM_MIX_ISA
