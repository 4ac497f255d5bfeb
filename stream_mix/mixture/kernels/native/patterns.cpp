#include "patterns.hpp"

#include <algorithm>

namespace stream_mix {
namespace {

constexpr std::int64_t BITS = 64;

// Which numbers of a row are there, a bit each.
void observed(const double* z, std::int64_t d, std::uint64_t* words) {
    for (std::int64_t j = 0; j < d; j += BITS) {
        std::uint64_t word = 0;
        const std::int64_t last = std::min(d, j + BITS);
        for (std::int64_t i = j; i < last; ++i) word |= static_cast<std::uint64_t>(z[i] == z[i]) << (i - j);
        *words++ = word;
    }
}

std::uint64_t mixed(const std::uint64_t* words, std::int64_t n) {
    std::uint64_t hash = 0x9e3779b97f4a7c15ull;
    for (std::int64_t i = 0; i < n; ++i) {
        hash = (hash ^ words[i]) * 0xff51afd7ed558ccdull;
        hash ^= hash >> 32;
    }
    return hash;
}

// Numbers distinct keys of `width` words from 0 on, in the order in which they come.
class Numbering {
  public:
    explicit Numbering(std::int64_t width) : width_(width), table_(64, -1) {}

    std::int64_t number(const std::uint64_t* key) {
        const std::int64_t count = static_cast<std::int64_t>(hashes_.size());
        const std::uint64_t hash = mixed(key, width_);
        std::int64_t& slot = find(hash, key);
        if (slot >= 0) return slot;
        slot = count;
        hashes_.push_back(hash);
        keys_.insert(keys_.end(), key, key + width_);
        if (2 * hashes_.size() > table_.size()) grow();
        return count;
    }

  private:
    // The slot of a key, or the free one where it belongs.
    std::int64_t& find(std::uint64_t hash, const std::uint64_t* key) {
        const std::uint64_t mask = table_.size() - 1;
        std::uint64_t at = hash & mask;
        while (table_[at] >= 0 && !(hashes_[table_[at]] == hash && same(table_[at], key))) at = (at + 1) & mask;
        return table_[at];
    }
    bool same(std::int64_t number, const std::uint64_t* key) const {
        return std::equal(key, key + width_, keys_.begin() + number * width_);
    }
    void grow() {
        table_.assign(2 * table_.size(), -1);
        for (std::size_t i = 0; i < hashes_.size(); ++i)
            find(hashes_[i], keys_.data() + static_cast<std::int64_t>(i) * width_) = static_cast<std::int64_t>(i);
    }

    std::int64_t width_;
    std::vector<std::int64_t> table_;
    std::vector<std::uint64_t> hashes_, keys_;
};

}  // namespace

Patterns::Patterns(const double* z, std::int64_t n, std::int64_t d) : rows(n), start(1, 0) {
    const std::int64_t width = (d + BITS - 1) / BITS;
    Numbering numbering(width);
    std::vector<std::uint64_t> key(width);
    std::vector<std::int64_t> own(n);
    for (std::int64_t i = 0; i < n; ++i) {
        observed(z + i * d, d, key.data());
        own[i] = numbering.number(key.data());
        if (own[i] + 1 == static_cast<std::int64_t>(start.size())) start.push_back(0);
        ++start[own[i] + 1];
    }
    for (std::size_t p = 1; p < start.size(); ++p) start[p] += start[p - 1];
    std::vector<std::int64_t> next(start.begin(), start.end() - 1);
    for (std::int64_t i = 0; i < n; ++i) rows[next[own[i]]++] = i;
}

}  // namespace stream_mix
