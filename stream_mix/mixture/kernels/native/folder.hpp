// The fold of learning._step over many batches: E-step, sums and M-step of each without a word to Python between.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "folded.hpp"
#include "isa.hpp"
#include "mixture.hpp"

namespace stream_mix {

// What does not change while a model learns.
struct Choices {
    Family family;
    bool hard;
    Memory memory;
    double half_life;  // rows or seconds
    Prior prior;
    std::int64_t batch_size;
    bool watch;  // whether the running log-likelihood is kept
};

// What does, beside the moments.
struct Progress {
    double t;  // newest event time, NaN before any
    double evidence[2];
    double gained = 0.0;
    std::int64_t batches = 0, rows = 0;
    double outweighing = INFINITY;  // outweighing.LEAST where rows are looked at so
};

// Where the answers of each row go; null where nobody asks. Unlike those of a pass they include outlier scores.
struct Said {
    Answers answers;
    double* outlier;
};

// n rows from number `start` on; and what is said of them, k components each.
Rows part(const Rows& rows, std::int64_t start, std::int64_t n);
Said part(const Said& said, std::int64_t start, std::int64_t k);
// The newest of n event times and the one before them.
double newest(const double* t, std::int64_t n, double before);

class Folder {
  public:
    Folder(const Isa& isa, const Choices& choices, std::int64_t k, std::int64_t d);

    // Learns the rows batch by batch, `most` batches at the most, until one needs what only the Python fold can do:
    // a value is missing or further than `largest` from 0, the parameters are out of the ordinary, or a row may outweigh
    // a component. With `rest` the last batch may be a shorter one; else it waits. `t` is (n,) or null. `labels`, (n,)
    // or null, is for the likeliest component of each row after all were learned: true where it was filled.
    bool learn(Folded& folded, const Rows& rows, const double* t, double largest, std::int64_t most, bool rest,
               const Said& said, std::int64_t* labels, Progress& progress, int threads);

    // What the mixture of these moments says of rows, as `learn` says it of a batch before it learns. False where
    // a value is missing or the parameters are out of the ordinary.
    bool judge(const Folded& folded, const Rows& rows, const Said& said, int threads);

    std::int64_t k() const { return mixture_.k; }
    std::int64_t d() const { return mixture_.d; }
    Second second() const { return mixture_.second; }
    const Choices& choices() const { return choices_; }

  private:
    friend class Ladder;
    bool estimate(const Folded& folded);
    double overflow(const Folded& folded, double largest) const;
    // The sums of a batch under these moments, which stay as they are; and those sums added to moments that fade.
    bool sum(const Folded& folded, const Rows& rows, const double* weights, const Said& said, int threads);
    void absorb(Folded& into, double fade);
    Sums sums();
    void finish(std::int64_t n, const Said& said);
    bool batch(Folded& folded, const Rows& rows, const double* t, const Said& said, Progress& progress, int threads);
    Said watched(const Rows& rows, const Said& said);
    Said weighed(const Rows& rows, const Said& said, double least);
    bool outweighs(const Folded& folded, const Rows& rows, const double* weights, const Said& said, double least) const;
    void gain(const Rows& rows, const Said& said, Progress& progress) const;
    bool follow(const Folded& folded, const Rows& rows, std::int64_t* labels, int threads);
    bool relabel(const Rows& rows, const std::vector<std::int64_t>& which, std::int64_t* labels, int threads);
    const double* weights(const Rows& rows, const double* t, double now);
    double fade(std::int64_t n, double before, double now) const;

    const Isa& isa_;
    Choices choices_;
    Mixture mixture_;
    Estimate estimate_;
    std::vector<double> weights_;
    std::vector<double> log_density_, own_, gap_;
    std::vector<std::int64_t> unsure_;
    std::vector<double> before_;  // means before the last batch, where labels are followed
    double log_scale_ = 0.0;     // sum of the logarithms of the scales
    double largest_ = HUGE_VAL;  // further from 0 no value may be
    std::uint64_t version_ = 0;  // of the moments whose parameters these are; 0: none
    Buffer numbers_, packed_, sums_, inverse_scale_, room_;
};

}  // namespace stream_mix
