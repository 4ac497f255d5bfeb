// The owner of a `Live`: its memory, how it forgets, and the counters that go with it (learning.py, `_step`).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "live.hpp"

namespace stream_mix {

// What a model is before it goes live; arrays as Python has them, k components over d features.
struct LiveStart {
    Family family;
    bool hard;
    Memory memory;
    double half_life;
    double prior_weight, prior_covariance, correlation, reg_covar;
    std::int64_t d, k;
    const double *mass, *seen, *mean, *scatter;  // (k,) (k, d) (k, d) and (k, d), (d, d) or (k, d, d)
    const double *origin, *scale;                // (d,)
    double t, evidence[2];
    std::int64_t generation, learned, rows, next_start;
    double outweighing;  // outweighing.LEAST where rows are looked at so, else infinity
    std::vector<std::int64_t> due;  // numbers of the rows that the sample takes next, ascending; else none
};

class LiveChoice;

class LiveModel {
public:
    LiveModel(const LiveKernels& kernels, const LiveStart& start);
    ~LiveModel();
    LiveModel(const LiveModel&) = delete;
    LiveModel& operator=(const LiveModel&) = delete;

    std::int64_t d() const { return s_.d; }
    std::int64_t k() const { return s_.k; }
    Family family() const { return s_.family; }
    // Numbers of scatter as Python has them.
    std::int64_t scatter_size() const {
        return s_.family == Family::full ? s_.k * s_.d * s_.d : s_.family == Family::tied ? s_.d * s_.d : s_.k * s_.d;
    }

    // Takes a row in the data's units, NaN for missing, as the row in hand. False where this is not to be done here: a
    // value beyond all bounds; while learning also a row without any value, and a value of a feature that the basis has
    // not seen.
    bool take(const double* x, bool learning);

    // Scores the row in hand: false where it could not be done. Then `probabilities` (8-lane groups), `label`,
    // `log_density` in the data's units and `tail` are valid.
    bool score() { return kernels_.score(s_); }
    const double* probabilities() const { return s_.p; }
    std::int64_t label() const { return s_.label; }
    double log_density() const;
    double tail() const { return kernels_.tail(s_); }
    // NaN where it could not be done.
    double remoteness() { return kernels_.remoteness(s_); }
    bool has_tail() const { return s_.n <= 700; }

    // One step of online EM with row x (d,), weight w and event time t (NaN: none). False where this is not to be
    // done here; nothing is changed then.
    bool learn(const double* x, double w, double t);

    // A model of the same choices over the same basis, with a memory and moments of its own.
    std::unique_ptr<LiveModel> beside(Memory memory, double half_life, const double* mass, const double* seen,
                                      const double* mean, const double* scatter, std::int64_t rows) const;

    // The same model, in memory of its own.
    std::unique_ptr<LiveModel> copy() const;
    std::size_t bytes() const;

    // Several memories side by side (live_choice.hpp), of which this model shows the one in use; null: its own alone.
    std::unique_ptr<LiveChoice> choice;

    // The moments as Python has them.
    void moments(double* mass, double* seen, double* mean, double* scatter) const;

    std::vector<double> origin, scale;
    double t, evidence[2];
    std::int64_t generation, learned, rows, next_start;
    double outweighing;  // LiveStart::outweighing
    // Rows learned here that are wanted: all before the start is settled, then those that are `due`: x (d,), w, t each.
    std::vector<double> reservoir;

private:
    friend class LiveChoice;
    void place(const LiveStart& start);
    void import(const LiveStart& start);
    void measure();
    // Moves the basis where the data has moved away from it (learning.py, `_better_basis`).
    void keep_basis();
    bool better_basis(std::vector<double>& new_origin, std::vector<double>& new_scale) const;
    void rebase(const std::vector<double>& new_origin, const std::vector<double>& new_scale);
    void move_basis(const std::vector<double>& new_origin, const std::vector<double>& new_scale);
    double fade(double now) const;
    // Whether Python has something to do after the next row: a start, or a look at the sample.
    bool at_stop() const;
    // outweighing.suspicious of the row in hand, after its score
    bool outweighs(double weight) const;
    bool is_wanted() const { return next_start || (next_due_ < due_.size() && due_[next_due_] == learned); }

    std::int64_t at(std::int64_t k, std::int64_t entry, std::int64_t entries) const {
        return ((k / LANES) * entries + entry) * LANES + k % LANES;
    }

    const LiveKernels& kernels_;
    Live s_{};
    Memory memory_;
    double half_life_, fade_;  // and what a row leaves of those before it, where that is one number
    std::vector<double> log_scale_;
    std::vector<std::uint8_t> known_;
    std::vector<std::int32_t> observed_, missing_;
    std::vector<std::uint8_t> even_;
    std::vector<std::int64_t> due_;  // LiveStart::due
    std::size_t next_due_ = 0;
    std::vector<double> numbers_;  // all arrays of doubles of `s_`
};

}  // namespace stream_mix
