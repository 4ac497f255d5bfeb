// What a model has learned, as compiled code keeps it between two calls.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "fold.hpp"

namespace stream_mix {

// Moments, and the basis that they are in. Who shares one only reads it; to learn is to change a copy.
class Folded {
  public:
    Folded(Second second, std::int64_t k, std::int64_t d)
        : second_(second),
          k_(k),
          d_(d),
          scatter_(stream_mix::scatter_size(second, k, d)),
          numbers_(k + 2 * k * d + scatter_ + 2 * d) {
        changed();
    }

    Second second() const { return second_; }
    std::int64_t k() const { return k_; }
    std::int64_t d() const { return d_; }
    std::int64_t scatter_size() const { return scatter_; }

    // The moments, to be read; and to be written in a copy that is still one's own.
    Record record() const {
        double* at = const_cast<double*>(numbers_.data());
        return {k_, d_, at, at + k_, at + k_ + k_ * d_, at + k_ + 2 * k_ * d_};
    }
    const double* origin() const { return numbers_.data() + k_ + 2 * k_ * d_ + scatter_; }
    const double* scale() const { return origin() + d_; }
    double* begin() { return numbers_.data(); }

    // Names the numbers: where it is the same, so are they.
    std::uint64_t version() const { return version_; }
    // To be called after the numbers were written.
    void changed() {
        static std::atomic<std::uint64_t> last{0};
        version_ = ++last;
    }

  private:
    Second second_;
    std::int64_t k_, d_, scatter_;
    std::vector<double> numbers_;  // mass, seen, mean, scatter, origin, scale
    std::uint64_t version_;
};

}  // namespace stream_mix
