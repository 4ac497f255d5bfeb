// Which of several memories side by side is in use (adaptive.py): the arithmetic of the choice.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace stream_mix {

// Which record is in use and what speaks for the others: adaptive.Choice, and of the memory what it goes by.
struct Chosen {
    std::int64_t extra;  // how many records, 0 or 1, are those of clusters on the move: the first
    std::int64_t settling;
    std::int64_t record;
    std::vector<double> evidence;
    bool drifted;
    std::int64_t same_until;
    std::pair<double, double> weighed;  // discounted sums over the rows of (weight, 1)

    // adaptive.judged_anew, for a batch of n rows that weigh so much together: what a row of weight 1 counts.
    double weigh(std::int64_t n, double weight) {
        constexpr double HALF_LIFE = 4096.0;
        const double fade = std::exp2(-static_cast<double>(n) / HALF_LIFE);
        weighed = {fade * weighed.first + weight, fade * weighed.second + static_cast<double>(n)};
        return weighed.first > 0.0 ? weighed.second / weighed.first : 1.0;
    }
    // The same, for one record and one row that it would have gained so many nats on.
    static double heard(double gained) {
        constexpr double GAIN = 2.0, LOSS = 8.0;
        return gained == gained ? std::min(std::max(gained, -LOSS), GAIN) : 0.0;
    }
    void hear(std::size_t of, double gained) { evidence[of] = std::max(0.0, evidence[of] + gained); }

    // adaptive.decided, after so many learned rows: the first of the records that go on from the one in use, as many as
    // there are where none does; and whether that is a drift.
    std::size_t decide(const std::vector<double>& half_lives, std::int64_t learned, bool& drift) {
        constexpr double ENOUGH = 16.0;
        const std::int64_t best = std::max_element(evidence.begin(), evidence.end()) - evidence.begin(), old = record;
        drift = false;
        if (!(evidence[best] > ENOUGH)) return evidence.size();
        const double before = half_lives[old], after = half_lives[best];
        drift = after < before && !drifted && learned >= same_until;
        if (drift) same_until = learned + settling;
        drifted = after < before || (drifted && after == before);
        record = best;
        std::fill(evidence.begin(), evidence.end(), 0.0);
        if (best < extra && extra <= old) return 0;
        return after < before ? best + 1 : evidence.size();
    }
};

}  // namespace stream_mix
