#include "shortlist_pass.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "threads.hpp"

namespace stream_mix {
namespace {

// Rows that are sorted by leaf together; rows, and pairs, that are kept at a time; rows of a piece of work, and those of
// one that is scored by all components.
constexpr std::int64_t BLOCK = 1 << 17, WAVE = 1 << 14, WAVE_PAIRS = 1 << 20, PIECE = 1 << 10, FAR_PIECE = 1 << 8;
// Pieces of a wave, at least.
constexpr std::int64_t WAVE_PIECES = 16;
// Groups of components whose sums are added up by themselves.
constexpr std::int64_t GROUPS = 64;

// Rows of one leaf, as numbers from the block's first on.
struct Piece {
    const std::int32_t* members = nullptr;
    std::int64_t n_members = 0;
    const double* centre = nullptr;
    double reach = 0.0;
    const std::int32_t* which = nullptr;
    std::int64_t count = 0, first = 0;  // the first row's number in the wave
    std::vector<Pair> pairs;
    std::vector<std::int32_t> far, wild;
    std::int64_t worked_out = 0;
    Buffer pooled;
};

// A block of rows on its way through the lists.
class Block {
  public:
    Block(const Leaves& leaves, const Rows& rows, std::int64_t wave, bool hard, double* log_density, Totals* totals,
          int threads)
        : leaves_(leaves),
          c_(leaves.components()),
          kernels_(*leaves.isa().lists),
          rows_(rows),
          wave_(wave),
          hard_(hard),
          log_density_(log_density),
          totals_(totals),
          threads_(threads),
          stride_(Totals::stride(c_)),
          y_(std::min(rows.n, wave + PIECE) * stride_) {}

    // The rows of each leaf, in their own order: order[first[l]] to order[first[l + 1] - 1].
    bool sort(std::vector<std::int64_t>& first, std::vector<std::int32_t>& order) {
        std::vector<std::int32_t> leaf(rows_.n);
        std::atomic<bool> complete{true};
        const std::int64_t piece = 16 * LOOK;
        in_groups((rows_.n + piece - 1) / piece, threads_, [&](std::int64_t group) {
            Buffer y(LOOK * stride_), z(LOOK * c_.width);
            std::vector<float> room(3 * LOOK * c_.width);
            const std::int64_t end = std::min(rows_.n, (group + 1) * piece);
            for (std::int64_t start = group * piece; start < end && complete; start += LOOK) {
                const int count = static_cast<int>(std::min<std::int64_t>(LOOK, end - start));
                if (!kernels_.rows(c_, rows_, nullptr, start, count, stride_, y.get(), z.get())) complete = false;
                kernels_.nearest(c_.d, c_.width, leaves_.count(), leaves_.packed(), z.get(), count, room.data(),
                                 leaf.data() + start);
            }
        });
        if (!complete) return false;
        first.assign(leaves_.count() + 1, 0);
        for (const std::int32_t l : leaf) ++first[l + 1];
        std::partial_sum(first.begin(), first.end(), first.begin());
        std::vector<std::int64_t> next(first.begin(), first.end() - 1);
        order.resize(rows_.n);
        for (std::int64_t i = 0; i < rows_.n; ++i) order[next[leaf[i]]++] = static_cast<std::int32_t>(i);
        return true;
    }

    // All of the pieces, as many at a time as a wave has room for.
    bool run(std::vector<Piece>& pieces) {
        most_members_ = 0;
        for (const Piece& piece : pieces) most_members_ = std::max(most_members_, piece.n_members);
        for (std::size_t begin = 0, end; begin < pieces.size(); begin = end) {
            std::int64_t rows = 0;
            for (end = begin; end < pieces.size() && rows < wave_; ++end) {
                pieces[end].first = rows;
                rows += pieces[end].count;
            }
            std::atomic<bool> held{true};
            in_groups(static_cast<std::int64_t>(end - begin), threads_, [&](std::int64_t i) {
                if (held && !score(pieces[begin + i])) held = false;
            });
            if (!held) return false;
            if (totals_) add(pieces.data() + begin, pieces.data() + end);
            for (std::size_t i = begin; i < end; ++i) pieces[i].pairs = {};
        }
        return true;
    }

  private:
    bool score(Piece& piece) {
        std::unique_ptr<Room> room = leaves_.rooms().take();
        room->hold(most_members_, c_);
        const Listed list{piece.n_members, piece.members, piece.centre, room->bounds.data(), piece.reach};
        if (!kernels_.pack(c_, list, room->bounds.data())) return false;
        constexpr std::int64_t most = LOOK * TILES;
        Buffer z(std::min(most, piece.count) * c_.width);
        double log_density[most];
        Fate fate[most];
        for (std::int64_t start = 0, done; start < piece.count; start += done) {
            const int count = static_cast<int>(std::min(most, piece.count - start));
            const std::int32_t first = static_cast<std::int32_t>(piece.first + start);
            double* y = y_.get() + first * stride_;
            kernels_.rows(c_, rows_, piece.which + start, 0, count, stride_, y, z.get());
            Looked looked{first, log_density, fate, room->pairs.get(), 0, 0};
            done = kernels_.look(c_, list, y, stride_, z.get(), count, hard_, room->look.get(), looked);
            take(piece, start, static_cast<int>(done), looked);
        }
        if (totals_ && totals_->pooled) pool(piece);
        leaves_.rooms().give(std::move(room));
        return true;
    }

    void take(Piece& piece, std::int64_t start, int count, const Looked& looked) {
        piece.worked_out += looked.worked_out;
        for (int b = 0; b < count; ++b) {
            const std::int32_t row = piece.which[start + b];
            if (looked.fate[b] == Fate::scored)
                log_density_[row] = looked.log_density[b];
            else
                (looked.fate[b] == Fate::far ? piece.far : piece.wild).push_back(row);
        }
        if (!totals_) return;
        for (Pair* pair = looked.pairs; rows_.w && pair < looked.pairs + looked.n_pairs; ++pair)
            pair->r *= rows_.w[piece.which[pair->row - piece.first]];
        piece.pairs.insert(piece.pairs.end(), looked.pairs, looked.pairs + looked.n_pairs);
    }

    // The sum of w y y' of the piece's rows, whosever they are.
    void pool(Piece& piece) {
        std::vector<double> sums(stride_);
        piece.pooled = Buffer(c_.d * c_.width);
        kernels_.add(piece.pairs.data(), static_cast<std::int64_t>(piece.pairs.size()), y_.get(), stride_, sums.data(), c_.d,
                     c_.width, piece.pooled.get());
    }

    // The pairs of some pieces go where they belong, component by component.
    void add(const Piece* begin, const Piece* end) {
        std::vector<std::int64_t> first(c_.k + 1, 0);
        for (const Piece* piece = begin; piece < end; ++piece)
            for (const Pair& pair : piece->pairs) ++first[pair.k + 1];
        std::partial_sum(first.begin(), first.end(), first.begin());
        std::vector<std::int64_t> next(first.begin(), first.end() - 1);
        if (static_cast<std::int64_t>(sorted_.size()) < first.back()) sorted_.resize(first.back());
        std::vector<Pair>& sorted = sorted_;
        for (const Piece* piece = begin; piece < end; ++piece)
            for (const Pair& pair : piece->pairs) sorted[next[pair.k]++] = pair;
        in_groups(GROUPS, threads_, [&](std::int64_t group) {
            for (std::int64_t k = group * c_.k / GROUPS; k < (group + 1) * c_.k / GROUPS; ++k) {
                const std::int64_t n = first[k + 1] - first[k];
                if (!n) continue;
                double* outer = totals_->outer ? totals_->outer + k * c_.d * c_.width : nullptr;
                totals_->mass[k] += kernels_.add(sorted.data() + first[k], n, y_.get(), stride_, totals_->sums + k * stride_,
                                                 c_.d, c_.width, outer);
            }
        });
        for (const Piece* piece = begin; totals_->pooled && piece < end; ++piece)
            for (std::int64_t i = 0; i < c_.d * c_.width; ++i) totals_->pooled[i] += piece->pooled.get()[i];
    }

    const Leaves& leaves_;
    const Components& c_;
    const ListKernels& kernels_;
    const Rows& rows_;
    const std::int64_t wave_;
    std::int64_t most_members_ = 0;
    const bool hard_;
    double* const log_density_;
    Totals* const totals_;
    const int threads_;
    const std::int64_t stride_;
    Buffer y_;
    std::vector<Pair> sorted_;
};

Piece piece_of(const Leaves& leaves, std::int64_t leaf, const std::int32_t* which, std::int64_t count) {
    Piece piece;
    piece.centre = leaves.centre(leaf);
    piece.which = which;
    piece.count = count;
    return piece;
}

// Up to BLOCK rows. `start` is the number of their first.
bool run_block(const Leaves& leaves, const Lists* lists, const Way& way, const Rows& rows, double* log_density,
               Totals* totals, Report& report, std::int64_t start, int threads) {
    // The sums do not depend on it but for rounding, which is the same for the same rows.
    const std::int64_t wave = std::clamp(static_cast<std::int64_t>(static_cast<double>(WAVE_PAIRS) / (way.pairs + 1.0)),
                                         WAVE_PIECES * LOOK, WAVE);
    const std::int64_t most = std::min(PIECE, wave / WAVE_PIECES), most_far = lists ? std::min(FAR_PIECE, most) : most;
    Block block(leaves, rows, wave, way.hard, log_density, totals, threads);
    std::vector<std::int64_t> first;
    std::vector<std::int32_t> order, far, all(leaves.components().k);
    if (!block.sort(first, order)) return false;
    std::vector<Piece> pieces, rest;
    if (!lists) far.swap(order);
    for (std::int64_t leaf = 0; lists && leaf < leaves.count(); ++leaf)
        for (std::int64_t i = first[leaf]; i < first[leaf + 1]; i += most) {
            pieces.push_back(piece_of(leaves, leaf, order.data() + i, std::min(most, first[leaf + 1] - i)));
            pieces.back().reach = way.reach;
            pieces.back().members = lists->members.data() + lists->offset[leaf];
            pieces.back().n_members = lists->offset[leaf + 1] - lists->offset[leaf];
        }
    if (!block.run(pieces)) return false;
    for (const Piece& piece : pieces) far.insert(far.end(), piece.far.begin(), piece.far.end());
    std::iota(all.begin(), all.end(), 0);
    const std::int64_t n_far = static_cast<std::int64_t>(far.size());
    for (std::int64_t i = 0; i < n_far; i += most_far) {
        rest.push_back(piece_of(leaves, 0, far.data() + i, std::min(most_far, n_far - i)));
        rest.back().members = all.data();
        rest.back().n_members = leaves.components().k;
    }
    if (!block.run(rest)) return false;
    report.far += n_far;
    for (const std::vector<Piece>* some : {&pieces, &rest})
        for (const Piece& piece : *some) {
            report.worked_out += piece.worked_out;
            for (const std::int32_t row : piece.wild) report.wild.push_back(start + row);
        }
    return true;
}

}  // namespace

bool run_lists(const Leaves& leaves, const Lists* lists, const Way& way, const Rows& rows, double* log_density,
               Totals* totals, Report& report, int threads) {
    for (std::int64_t start = 0; start < rows.n; start += BLOCK) {
        Rows some = rows;
        const std::ptrdiff_t at = start * rows.row_stride;
        some.x = rows.single ? static_cast<const void*>(static_cast<const float*>(rows.x) + at)
                             : static_cast<const void*>(static_cast<const double*>(rows.x) + at);
        some.n = std::min(BLOCK, rows.n - start);
        some.w = rows.w ? rows.w + start : nullptr;
        if (!run_block(leaves, lists, way, some, log_density + start, totals, report, start, threads)) return false;
    }
    return true;
}

}  // namespace stream_mix
