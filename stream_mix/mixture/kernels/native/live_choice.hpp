// Several memories of one stream side by side, and which of them is in use (adaptive.py), row by row.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "live_model.hpp"

namespace stream_mix {

// Which record is in use and what speaks for the others: adaptive.Choice, and of the memory what it goes by.
struct Chosen {
    std::int64_t extra;  // how many records, 0 or 1, are those of clusters on the move: the first
    std::int64_t settling;
    std::int64_t record;
    std::vector<double> evidence;
    bool drifted;
    std::int64_t same_until;
};

class LiveChoice {
public:
    LiveChoice(std::vector<std::unique_ptr<LiveModel>> records, Chosen now);

    // Has each record take and score row x, which the model took and scored before. False where one could not; nothing
    // is changed then.
    bool foretell(const LiveModel& shown, const double* x);
    // Each record learns the row with weight w; with `judge` the choice is made anew.
    void learn(const LiveModel& shown, double w, bool judge);
    // Makes the model what the record in use says.
    void show(LiveModel& shown) const;
    // Moves every record to another basis.
    void rebase(const std::vector<double>& origin, const std::vector<double>& scale);

    std::unique_ptr<LiveChoice> copy() const;
    std::size_t bytes() const;

    const std::vector<std::unique_ptr<LiveModel>>& records() const { return records_; }
    const Chosen& now() const { return now_; }

private:
    double half_life(std::int64_t record) const;
    void decide(std::int64_t learned);
    void become(std::int64_t record, std::int64_t other);

    std::vector<std::unique_ptr<LiveModel>> records_;
    std::unique_ptr<LiveModel> level_;  // how the record of clusters on the move is read; null where there is none
    Chosen now_;
};

}  // namespace stream_mix
