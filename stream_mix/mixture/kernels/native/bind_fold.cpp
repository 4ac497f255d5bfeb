// The fold over batches as Python sees it.
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/unique_ptr.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

#include "bind.hpp"
#include "ladder.hpp"

namespace stream_mix {
namespace {

using namespace nb::literals;

// A Folder computes in memory of its own. A call that finds it in use by another thread, or locked for ever in a
// process that was forked meanwhile, works with one made for the occasion.
struct Guarded {
    const Isa& isa;
    Folder folder;
    std::unique_ptr<Ladder> ladder;
    std::mutex guard;

    Guarded(const Isa& set, const Choices& choices, std::int64_t k, std::int64_t d)
        : isa(set), folder(set, choices, k, d) {}

    template <class Work>
    auto with(Work&& work) {
        const std::unique_lock<std::mutex> lock(guard, std::try_to_lock);
        if (lock) return work(folder);
        Folder another(isa, folder.choices(), folder.k(), folder.d());
        return work(another);
    }

    // The same with a ladder of them, made when one is first asked for.
    template <class Work>
    void with_ladder(Work&& work) {
        const std::unique_lock<std::mutex> lock(guard, std::try_to_lock);
        if (lock) {
            if (!ladder) ladder = std::make_unique<Ladder>(isa, folder.choices(), folder.k(), folder.d());
            return work(*ladder);
        }
        Ladder another(isa, folder.choices(), folder.k(), folder.d());
        work(another);
    }
};

std::unique_ptr<Guarded> make(const std::string& isa, const std::string& family, bool hard, const std::string& memory,
                              double half_life, std::array<double, 4> prior, std::int64_t batch_size, bool watch,
                              std::int64_t k, std::int64_t d) {
    if (k < 1 || d < 1 || batch_size < 1) refuse("folder: k, d and batch_size are expected to be >= 1");
    const Choices choices{family_of(family), hard, memory_of(memory, half_life), half_life,
                          {prior[0], prior[1], prior[2], prior[3]}, batch_size, watch};
    return std::make_unique<Guarded>(isa_named(isa), choices, k, d);
}

// Moments (arrays as moments.py keeps them) and their basis, taken over.
std::unique_ptr<Folded> folded(const Guarded& self, const Numbers& mass, const Numbers& seen, const Numbers& mean,
                               const Numbers& scatter, const Numbers& origin, const Numbers& scale) {
    const std::int64_t k = self.folder.k(), d = self.folder.d();
    auto made = std::make_unique<Folded>(self.folder.second(), k, d);
    expect_size(mass, k, "moments: mass");
    expect_size(seen, k * d, "moments: seen");
    expect_size(mean, k * d, "moments: mean");
    expect_size(scatter, made->scatter_size(), "moments: scatter");
    expect_size(origin, d, "moments: origin");
    expect_size(scale, d, "moments: scale");
    double* to = made->begin();
    for (const Numbers* array : {&mass, &seen, &mean, &scatter, &origin, &scale})
        to = std::copy_n(array->data(), array->size(), to);
    return made;
}

// Mass, seen, mean and scatter, copied: what is done to them there changes nothing here.
nb::tuple moments(const Folded& self) {
    const std::size_t k = self.k(), d = self.d();
    const Record record = self.record();
    const auto copied = [](const double* from, std::initializer_list<std::size_t> shape) {
        std::size_t size = 1;
        for (const std::size_t length : shape) size *= length;
        Made<double> made(static_cast<std::int64_t>(size));
        std::copy_n(from, size, made.data.get());
        return made.array(shape);
    };
    nb::object scatter = self.second() == Second::full   ? copied(record.scatter, {k, d, d})
                         : self.second() == Second::tied ? copied(record.scatter, {d, d})
                                                         : copied(record.scatter, {k, d});
    return nb::make_tuple(copied(record.mass, {k}), copied(record.seen, {k, d}), copied(record.mean, {k, d}), scatter);
}

void expect_kin(const Folder& folder, const Folded& folded) {
    if (folded.k() != folder.k() || folded.d() != folder.d() || folded.second() != folder.second())
        refuse("folder: the moments are of another shape");
}

// Which answers are asked for.
struct Asked {
    bool p, label, log_density, outlier;
};

// What is said of each of n rows: the answers that were asked for, None for the others.
class Telling {
  public:
    Telling(std::size_t rows, std::size_t components, const Asked& asked)
        : n_(rows), k_(components), asked_(asked), p_(asked.p ? n_ * k_ : 0), log_density_(densities() ? n_ : 0),
          outlier_(asked.outlier ? n_ : 0), label_(asked.label ? n_ : 0) {}

    Said said() {
        return {{asked_.p ? p_.data.get() : nullptr, asked_.label ? label_.data.get() : nullptr,
                 densities() ? log_density_.data.get() : nullptr, nullptr},
                asked_.outlier ? outlier_.data.get() : nullptr};
    }
    // Of the first of the rows.
    nb::tuple arrays(std::size_t rows) {
        const nb::object none = nb::none();
        return nb::make_tuple(asked_.p ? p_.array({rows, k_}) : none, asked_.label ? label_.array({rows}) : none,
                              asked_.log_density ? log_density_.array({rows}) : none,
                              asked_.outlier ? outlier_.array({rows}) : none);
    }

  private:
    // Outlier scores are made from them.
    bool densities() const { return asked_.log_density || asked_.outlier; }

    std::size_t n_, k_;
    Asked asked_;
    Made<double> p_, log_density_, outlier_;
    Made<std::int64_t> label_;
};

nb::object judge(Guarded& self, const Folded& folded, const Matrix& x, bool p, bool label, bool log_density,
                 bool outlier, int threads) {
    expect_kin(self.folder, folded);
    const Rows rows = rows_of(x, std::nullopt, folded.d());
    Telling telling(rows.n, folded.k(), {p, label, log_density, outlier});
    bool plain;
    {
        const nb::gil_scoped_release free;
        plain = self.with([&](Folder& own) { return own.judge(folded, rows, telling.said(), threads); });
    }
    if (!plain) return nb::none();
    return telling.arrays(rows.n);
}

// What came of rows: None where not one batch of them could be learned, as where a number is beyond `largest`.
nb::object learn(Guarded& self, const Folded& before, double t, double evidence, double counted, const Matrix& x,
                 const std::optional<Numbers>& w, const std::optional<Numbers>& times, double largest,
                 std::int64_t most, bool rest, bool tell, bool label, double outweighing, int threads) {
    const Folder& folder = self.folder;
    expect_kin(folder, before);
    Rows rows = rows_of(x, w, folder.d());
    if (times) expect_size(*times, rows.n, "learn: times");
    const std::int64_t all = rows.n, size = folder.choices().batch_size;
    if (most < all / size) rows.n = most * size;
    Telling telling(rows.n, folder.k(), {tell, tell, tell, tell}), after(label ? all : 0, folder.k(), {0, label, 0, 0});
    Progress progress{t, {evidence, counted}};
    progress.outweighing = outweighing;
    auto folded = std::make_unique<Folded>(before);
    bool labelled = false;
    {
        const nb::gil_scoped_release free;
        self.with([&](Folder& own) {
            labelled = own.learn(*folded, rows, times ? times->data() : nullptr, largest, most, rest, telling.said(),
                                 label && rows.n == all ? after.said().answers.label : nullptr, progress, threads);
        });
    }
    if (!progress.batches) return nb::none();
    nb::object told = nb::none(), labels = nb::none();
    if (tell) told = telling.arrays(progress.rows);
    if (labelled) labels = after.arrays(all)[1];
    return nb::make_tuple(std::move(folded), progress.batches, progress.rows, progress.t,
                          nb::make_tuple(progress.evidence[0], progress.evidence[1]), progress.gained, told, labels);
}

// `learn` of several memories side by side: the records and their rows, the fields of a Choice, and the rows learned at
// each drift take the place of the moments.
nb::object learn_beside(Guarded& self, const nb::list& records, const nb::list& half_lives, const nb::list& of,
                        std::int64_t extra, std::int64_t settling, std::int64_t chosen, const nb::list& evidence,
                        bool drifted, std::int64_t same_until, std::pair<double, double> weighed,
                        std::int64_t learned, std::int64_t generation, double t, double density, double counted,
                        const Matrix& x, const std::optional<Numbers>& w, const std::optional<Numbers>& times,
                        double largest, std::int64_t most, bool rest, bool tell, int threads) {
    const Folder& folder = self.folder;
    Beside side{{}, {}, {}, {extra, settling, chosen, {}, drifted, same_until, weighed}, learned, generation, {}};
    for (nb::handle one : records) {
        side.records.push_back(nb::cast<const Folded&>(one));
        expect_kin(folder, side.records.back());
    }
    for (nb::handle one : half_lives) side.half_lives.push_back(nb::cast<double>(one));
    for (nb::handle one : of) side.rows.push_back(nb::cast<std::int64_t>(one));
    for (nb::handle one : evidence) side.now.evidence.push_back(nb::cast<double>(one));
    const std::size_t n = side.records.size();
    if (side.half_lives.size() != n || side.rows.size() != n || side.now.evidence.size() != n || extra < 0 || extra > 1 ||
        chosen < 0 || chosen >= static_cast<std::int64_t>(n))
        refuse("folder: " + std::to_string(n) + " records, of which number " + std::to_string(chosen) + " is in use");
    Rows rows = rows_of(x, w, folder.d());
    if (times) expect_size(*times, rows.n, "learn: times");
    if (largest < INFINITY && first_beyond(self.isa, rows, folder.d(), largest) >= 0) return nb::none();
    const std::int64_t size = folder.choices().batch_size;
    if (most < rows.n / size) rows.n = most * size;
    Telling telling(rows.n, folder.k(), {tell, tell, tell, tell});
    Progress progress{t, {density, counted}};
    {
        const nb::gil_scoped_release free;
        self.with_ladder([&](Ladder& ladder) {
            ladder.learn(side, rows, times ? times->data() : nullptr, most, rest, telling.said(), progress, threads);
        });
    }
    if (!progress.batches) return nb::none();
    nb::list after, rows_after, evidence_after, drifts;
    for (std::size_t i = 0; i < n; ++i) {
        after.append(nb::cast(std::make_unique<Folded>(std::move(side.records[i]))));
        rows_after.append(side.rows[i]);
        evidence_after.append(side.now.evidence[i]);
    }
    for (const std::int64_t drift : side.drifts) drifts.append(drift);
    nb::object told = nb::none();
    if (tell) told = telling.arrays(progress.rows);
    return nb::make_tuple(after, rows_after,
                          nb::make_tuple(side.now.record, nb::tuple(evidence_after), side.now.drifted, side.now.same_until,
                                         nb::make_tuple(side.now.weighed.first, side.now.weighed.second)),
                          drifts, progress.batches, progress.rows, progress.t,
                          nb::make_tuple(progress.evidence[0], progress.evidence[1]), progress.gained, told);
}

}  // namespace

void bind_fold(nb::module_& module) {
    nb::class_<Folded>(module, "Folded", "Moments and their basis, as compiled code keeps them; they never change.")
        .def("moments", &moments);
    nb::class_<Guarded>(module, "Folder", "Learns batch after batch: learning._step, compiled.")
        .def(nb::new_(&make), "isa"_a, "family"_a, "hard"_a, "memory"_a, "half_life"_a, "prior"_a, "batch_size"_a, "watch"_a,
             "k"_a, "d"_a)
        .def("folded", &folded, "mass"_a, "seen"_a, "mean"_a, "scatter"_a, "origin"_a, "scale"_a)
        .def("judge", &judge, "folded"_a, "x"_a, "p"_a, "label"_a, "log_density"_a, "outlier"_a, "threads"_a)
        .def("learn", &learn, "folded"_a, "t"_a, "evidence"_a, "counted"_a, "x"_a, "w"_a.none(), "times"_a.none(),
             "largest"_a, "most"_a, "rest"_a, "tell"_a, "label"_a, "outweighing"_a, "threads"_a)
        .def("learn_beside", &learn_beside, "records"_a, "half_lives"_a, "rows"_a, "extra"_a, "settling"_a, "chosen"_a,
             "evidence"_a, "drifted"_a, "same_until"_a, "weighed"_a, "learned"_a, "generation"_a, "t"_a, "density"_a,
             "counted"_a, "x"_a, "w"_a.none(), "times"_a.none(), "largest"_a, "most"_a, "rest"_a, "tell"_a,
             "threads"_a);
}

}  // namespace stream_mix
