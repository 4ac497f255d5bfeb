// Responsibilities of a tile of rows, and what each component is to sum of them.
#pragma once

#include "estep.hpp"
#include "sums.hpp"

namespace stream_mix::STREAM_MIX_ISA {

// Room that a pass computes in, in the order in which it lies in the workspace.
struct Room {
    Tile tile;
    double* scores;  // (k, TILE), in place of which responsibilities are written
    double *quadratic, *weight, *top, *second, *label, *log_total;  // (TILE,)
    double* scaled;  // (d, TILE)
    float* singles;  // (d + 1, TILE)
    double* wide;    // (k, Layout::wide) sums of wide rows
    double* mass;    // (k, W)
    std::int64_t* listed;  // (k,) components that some rows of the tile are near to
    std::int64_t* active;  // (k,) those that some rows of a vector have to do with
    rows_of_tile* rows;    // (k,) the rows that are near to each component, and then those that have to do with it
    Nearness near;
    Sparing sparing;

    Room(const Mixture& m, const Layout& size, double* workspace) : tile(size, workspace) {
        scores = tile.end;
        quadratic = scores + (m.k + BLOCK - 1) / BLOCK * BLOCK * TILE;
        weight = quadratic + TILE;
        top = weight + TILE;
        second = top + TILE;
        label = second + TILE;
        log_total = label + TILE;
        scaled = log_total + TILE;
        singles = reinterpret_cast<float*>(scaled + size.row * TILE);
        wide = scaled + size.row * TILE + (m.d + 2) / 2 * TILE;
        mass = wide + m.k * size.wide;
        listed = reinterpret_cast<std::int64_t*>(mass + m.k * W);
        active = listed + m.k;
        rows = reinterpret_cast<rows_of_tile*>(active + m.k);
        near = {singles, reinterpret_cast<float*>(rows + (m.k + 1) / 2 * 2), rows};
        __builtin_memset(wide, 0, sizeof(double) * m.k * (size.wide + W));
    }
};

// The components that some rows of the tile are near to.
inline Listed list_near(const Mixture& m, Room& room) {
    std::int64_t count = 0;
    for (std::int64_t k = 0; k < m.k; ++k) {
        room.listed[count] = k;  // and the next one in its place, if no row is near
        count += room.rows[k] != 0;
    }
    return {room.listed, count};
}

// One vector of rows from `v` on: responsibilities in place of the scores of those of the listed components that have any.
inline void exponentials(Room& room, const Listed& listed, int v, bool wanted) {
    double* scores = room.scores + v;
    const vec top = load(room.top + v);
    vec total{};
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < listed.count; ++i) {
        const std::int64_t k = listed[i];
        if (listed.some) {
            if (!(room.rows[k] >> v & ALL)) continue;
            room.rows[k] &= ~(rows_of_tile{ALL} << v);
        }
        const vec below = load(scores + k * TILE) - top;
        const Mask share = above(below, splat(NEGLIGIBLE));
        if (!bits_of(share)) continue;
        const vec e = select(share, exp_within(max(below, splat(NEGLIGIBLE))), vec{});
        total += e;
        store(scores + k * TILE, e);
        room.active[count++] = k;
    }
    store(room.log_total + v, log(total));
    if (!wanted) return;
    const vec share = 1.0 / total;
    for (std::int64_t a = 0; a < count; ++a) {
        const std::int64_t k = room.active[a];
        const vec r = load(scores + k * TILE) * share;
        const Mask some = above(r, splat(NO_SHARE));
        store(scores + k * TILE, select(some, r, vec{}));
        room.rows[k] |= static_cast<rows_of_tile>(bits_of(some)) << v;
    }
}

// Responsibilities of 0 where a component has to do with none of a vector of rows.
inline void clear(Room& room, std::int64_t k) {
    for (int v = 0; v < TILE; v += W)
        if (!(room.rows[k] >> v & ALL)) store(room.scores + k * TILE + v, vec{});
}

// Adds a tile to the sums, each row by what it counts for each component: responsibilities times weights, where these are
// not all 1.
inline void learn(const Mixture& m, const Layout& size, Room& room, const Sums& sums, rows_of_tile filled,
                  bool weighted) {
    const bool late = squared_late(m);
    const Behind behind = m.second == Second::full ? Behind::outer : late ? Behind::squares : Behind::nothing;
    const Place place = size.wide ? Place{room.wide, size.wide, size.wide, Behind::nothing}
                                  : Place{sums.sums, size.sums, late ? m.d : size.second, behind};
    TileSums to(m, size, room.tile, room.scaled, place);
    for (std::int64_t k = 0; k < m.k; ++k) {
        double* r = room.scores + k * TILE;
        const rows_of_tile rows = room.rows[k] & filled;
        if (!rows) continue;
        if (to.few(rows)) {
            for (rows_of_tile left = rows; left; left &= left - 1) {
                const int b = __builtin_ctz(left);
                if (weighted) r[b] *= room.weight[b];
                room.mass[k * W + b % W] += r[b];
            }
            to.add_few(k, r, rows);
            continue;
        }
        clear(room, k);
        vec mass = load(room.mass + k * W);
        for (int v = 0; v < TILE; v += W) {
            if (weighted) store(r + v, load(r + v) * load(room.weight + v));
            mass += load(r + v);
        }
        store(room.mass + k * W, mass);
        to.add(k, r);
    }
    to.finish();
}

// Sums of wide rows, where they belong.
inline void spread(const Mixture& m, const Layout& size, const Room& room, double* sums) {
    if (!size.wide) return;
    for (std::int64_t k = 0; k < m.k; ++k) {
        const double* from = room.wide + k * size.wide;
        double* own = sums + k * size.sums;
        for (std::int64_t j = 0; j < m.d; ++j) own[j] += *from++;
        for (std::int64_t i = 0; i < m.d; ++i)
            for (std::int64_t j = i; j < m.d; ++j) own[size.second + i * size.row + j] += *from++;
    }
}

// Each row's likeliest component in place of responsibilities.
inline void choose(const Mixture& m, Room& room) {
    __builtin_memset(room.scores, 0, sizeof(double) * m.k * TILE);
    __builtin_memset(room.rows, 0, sizeof(rows_of_tile) * m.k);
    for (int b = 0; b < TILE; ++b) {
        const std::int64_t k = static_cast<std::int64_t>(room.label[b]);
        room.scores[k * TILE + b] = 1.0;
        room.rows[k] |= rows_of_tile{1} << b;
    }
}

}  // namespace stream_mix::STREAM_MIX_ISA
