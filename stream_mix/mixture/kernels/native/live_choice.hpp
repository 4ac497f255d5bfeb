// Several memories of one stream side by side, and which of them is in use (adaptive.py), row by row.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "choice.hpp"
#include "live_model.hpp"

namespace stream_mix {

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
    void become(std::int64_t record, std::int64_t other);

    std::vector<std::unique_ptr<LiveModel>> records_;
    std::unique_ptr<LiveModel> level_;  // how the record of clusters on the move is read; null where there is none
    Chosen now_;
    std::vector<double> half_lives_;
};

}  // namespace stream_mix
