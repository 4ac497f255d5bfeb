// A mixture that owns its memory, packed for one instruction set, and the pass of many rows through it.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "isa.hpp"

namespace stream_mix {

// Doubles at the border of a cache line.
class Buffer {
  public:
    // All 0.
    explicit Buffer(std::int64_t size = 0) : Buffer(size, Unset{}) { std::fill_n(data_.get(), size, 0.0); }

    // Whatever stood there: room to compute in.
    static Buffer room(std::int64_t size) { return Buffer(size, Unset{}); }

    double* get() const { return data_.get(); }

  private:
    struct Free {
        void operator()(double* at) const { ::operator delete[](at, std::align_val_t{64}); }
    };
    struct Unset {};
    Buffer(std::int64_t size, Unset)
        : data_(size ? static_cast<double*>(::operator new[](sizeof(double) * size, std::align_val_t{64})) : nullptr) {}

    std::unique_ptr<double[], Free> data_;
};

// E-step of all rows through a packed mixture; and where `sums` is given, their sums, which do not depend on the
// number of threads. False where a value is missing.
bool run_pass(const Isa& isa, const Mixture& mixture, const double* packed, const Rows& rows, const Answers& answers,
              Sums* sums, int threads);

// The nearest and second nearest mean of all rows (NearestTwo), on up to so many threads.
void run_nearest_two(const Isa& isa, const Mixture& mixture, const double* packed, const Rows& rows, std::int64_t* label,
                     double* nearest, double* second, int threads);

// The first of the rows (n, d) with a number further than `most` from 0, or -1. NaN is no such number.
std::int64_t first_beyond(const Isa& isa, const Rows& rows, std::int64_t d, double most);

class PackedMixture {
  public:
    PackedMixture(const Isa& isa, Mixture mixture, std::vector<double> numbers);

    const Mixture& mixture() const { return mixture_; }
    std::int64_t k() const { return mixture_.k; }
    std::int64_t d() const { return mixture_.d; }

    const Isa& isa() const { return isa_; }
    void nearest_two(const Rows& rows, std::int64_t* label, double* nearest, double* second, int threads) const {
        run_nearest_two(isa_, mixture_, packed_.get(), rows, label, nearest, second, threads);
    }
    bool run(const Rows& rows, const Answers& answers, Sums* sums, int threads) const;

  private:
    const Isa& isa_;
    std::vector<double> numbers_;
    Mixture mixture_;
    Buffer packed_;
    mutable std::once_flag bounded_;
};

}  // namespace stream_mix
