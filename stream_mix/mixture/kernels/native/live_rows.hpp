// A live model behind rows that come as Python hands them over.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bind.hpp"
#include "live_model.hpp"
#include "row.hpp"

namespace stream_mix {

inline const double* sized(const Numbers& array, std::int64_t size, const char* name) {
    expect_size(array, size, ("live: " + std::string(name)).c_str());
    return array.data();
}

// A model with the names of its features, ready for rows that come as dicts.
class LiveRows {
public:
    // `names`: a tuple of one name for each feature, or None: then rows come as arrays alone. `timed`: whether a row
    // without `t` has all that the memory needs. `guarded`: whether a row is to be looked at before it is learned, so
    // that none is learned as a dict.
    LiveRows(std::unique_ptr<LiveModel> own, bool timed, bool guarded, const nb::tuple& components, nb::object names,
             nb::object weight, nb::object time)
        : owned_(std::move(own)),
          model(*owned_),
          timed_(timed),
          guarded_(guarded),
          row_(model.d() + BESIDE, std::numeric_limits<double>::quiet_NaN()),
          components_(components),
          names_(std::move(names)),
          weight_(std::move(weight)),
          time_(std::move(time)) {
        for (nb::handle component : components) answer_[component] = 0.0;
        if (names_.is_none()) return;
        if (!nb::isinstance<nb::tuple>(names_) || static_cast<std::int64_t>(nb::len(names_)) != model.d())
            refuse("live: names are not a tuple of one name for each of " + std::to_string(model.d()) + " features");
        reader_.emplace(names_.ptr(), weight_.ptr(), time_.ptr());
        if (!reader_->sound()) reader_.reset();
    }

    LiveRows* copy(nb::handle) const {
        return new LiveRows(model.copy(), timed_, guarded_, components_, names_, weight_, time_);
    }

    bool learn_one(nb::handle x, nb::handle w, nb::handle t) {
        double weight, time;
        if (guarded_ || !read(x, true) || !plain_number(w.ptr(), weight) || !plain_number(t.ptr(), time)) return false;
        const double own = row_[model.d() + WEIGHT];
        weight = (weight == weight ? weight : 1.0) * (own == own ? own : 1.0);
        if (t.is_none()) {
            if (!timed_) return false;
            time = row_[model.d() + TIME];
        }
        // The two weights are checked each: of two that are negative the product is not.
        return !(own <= 0.0) && model.learn(row_.data(), weight, time);
    }

    std::int64_t learn_rows(const Numbers& x, const Numbers& w, const Numbers& t) {
        const std::int64_t d = model.d();
        if (x.ndim() != 2 || static_cast<std::int64_t>(x.shape(1)) != d)
            refuse("live: rows do not have " + std::to_string(d) + " features");
        const std::int64_t n = x.shape(0);
        const double *weights = sized(w, n, "w"), *times = sized(t, n, "t");
        std::int64_t i = 0;
        while (i < n && model.learn(x.data() + i * d, weights[i], times[i])) ++i;
        return i;
    }

    nb::object predict_one(nb::handle x) {
        if (!judge(x)) return nb::none();
        return components_[model.label()];
    }

    nb::object predict_proba_one(nb::handle x) {
        if (!judge(x)) return nb::none();
        nb::object answer = nb::steal(PyDict_Copy(answer_.ptr()));
        if (!answer.is_valid()) throw nb::python_error();
        for (std::int64_t k = 0; k < model.k(); ++k) {
            const nb::object p = nb::steal(PyFloat_FromDouble(model.probabilities()[k]));
            if (!p.is_valid() || PyDict_SetItem(answer.ptr(), components_[k].ptr(), p.ptr())) throw nb::python_error();
        }
        return answer;
    }

    nb::object strangeness_one(nb::handle x) {
        if (!judge(x)) return nb::none();
        return nb::float_(0.0 - model.log_density());
    }

    nb::object tail_one(nb::handle x) {
        if (!judge(x) || !model.has_tail()) return nb::none();
        return nb::float_(model.tail());
    }

    nb::object remoteness_one(nb::handle x) {
        if (!read(x, false) || !model.take(row_.data(), false) || !model.has_tail()) return nb::none();
        const double remote = model.remoteness();
        return remote == remote ? nb::object(nb::float_(remote)) : nb::none();
    }

    std::size_t bytes() const { return sizeof *this + model.bytes() + row_.capacity() * sizeof(double); }

private:
    std::unique_ptr<LiveModel> owned_;

public:
    LiveModel& model;

private:
    bool read(nb::handle x, bool learning) { return reader_ && reader_->read(x.ptr(), learning, row_.data()); }
    bool judge(nb::handle x) { return read(x, false) && model.take(row_.data(), false) && model.score(); }

    bool timed_, guarded_;
    std::vector<double> row_;
    nb::tuple components_;
    nb::object names_, weight_, time_;
    std::optional<Names> reader_;
    nb::dict answer_;  // component -> 0.0
};

}  // namespace stream_mix
