// Several memories of one stream side by side, batch after batch: following.followed, compiled.
#pragma once

#include <vector>

#include "choice.hpp"
#include "folder.hpp"

namespace stream_mix {

// The records, with what each forgets by (infinite: nothing) and how many rows it stands for, and the choice.
struct Beside {
    std::vector<Folded> records;
    std::vector<double> half_lives;
    std::vector<std::int64_t> rows;
    Chosen now;
    std::int64_t learned;               // rows
    std::int64_t generation;            // batches
    std::vector<std::int64_t> drifts;  // rows learned by the time that each was found
};

class Ladder {
  public:
    Ladder(const Isa& isa, const Choices& choices, std::int64_t k, std::int64_t d);

    // `Folder::learn` of all records.
    void learn(Beside& side, const Rows& rows, const double* t, std::int64_t most, bool rest, const Said& said,
               Progress& progress, int threads);

  private:
    bool batch(Beside& side, const Rows& rows, const double* t, const Said& said, Progress& progress, int threads);
    void ask(const Beside& side, std::int64_t n);
    bool foretell(const Beside& side, const Folded& shown, const Rows& rows, int threads);
    void choose(Beside& side, const Rows& rows);

    Folder own_, moving_, other_;  // of the record in use, of clusters on the move, of each other in turn
    Folded level_;                 // how the record of clusters on the move is read
    std::vector<std::vector<double>> told_;  // log densities of some of the first rows, for each record
};

}  // namespace stream_mix
