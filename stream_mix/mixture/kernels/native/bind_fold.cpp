// The fold over batches as Python sees it.
#include <nanobind/stl/array.h>
#include <nanobind/stl/unique_ptr.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "bind.hpp"
#include "folder.hpp"

namespace stream_mix {
namespace {

using namespace nb::literals;

// A Folder computes in memory of its own. A call that finds it in use by another thread, or locked for ever in a
// process that was forked meanwhile, works with one made for the occasion.
struct Guarded {
    const Isa& isa;
    Folder folder;
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
};

std::unique_ptr<Guarded> make(const std::string& isa, const std::string& family, bool hard, const std::string& memory,
                              double half_life, std::array<double, 4> prior, std::int64_t batch_size, std::int64_t k,
                              std::int64_t d) {
    if (k < 1 || d < 1 || batch_size < 1) refuse("folder: k, d and batch_size are expected to be >= 1");
    const Choices choices{family_of(family), hard, memory_of(memory, half_life), half_life,
                          {prior[0], prior[1], prior[2], prior[3]}, batch_size};
    return std::make_unique<Guarded>(isa_named(isa), choices, k, d);
}

std::int64_t scatter_size(const Folder& folder) {
    const std::int64_t k = folder.k(), d = folder.d();
    const Family family = folder.choices().family;
    return family == Family::full ? k * d * d : family == Family::tied ? d * d : k * d;
}

void expect_moments(const Folder& folder, const Numbers& mass, const Numbers& seen, const Numbers& mean,
                    const Numbers& scatter, const Numbers& origin, const Numbers& scale) {
    expect_size(mass, folder.k(), "moments: mass");
    expect_size(seen, folder.k() * folder.d(), "moments: seen");
    expect_size(mean, folder.k() * folder.d(), "moments: mean");
    expect_size(scatter, scatter_size(folder), "moments: scatter");
    expect_size(origin, folder.d(), "moments: origin");
    expect_size(scale, folder.d(), "moments: scale");
}

Made<double> copied(const Numbers& array) {
    Made<double> made(static_cast<std::int64_t>(array.size()));
    std::copy_n(array.data(), array.size(), made.data.get());
    return made;
}

// What is said of each of n rows, or, of 0 rows, nothing.
struct Telling {
    std::size_t n, k;
    Made<double> p, log_density, outlier;
    Made<std::int64_t> label;

    Telling(std::size_t rows, std::size_t components)
        : n(rows), k(components), p(n * k), log_density(n), outlier(n), label(n) {}
    Said said() {
        if (!n) return {};
        return {{p.data.get(), label.data.get(), log_density.data.get(), nullptr}, outlier.data.get()};
    }
    nb::tuple arrays() {
        return nb::make_tuple(p.array({n, k}), label.array({n}), log_density.array({n}), outlier.array({n}));
    }
};

// The record of moments that are only read.
Record read_only(const Folder& folder, const Numbers& mass, const Numbers& seen, const Numbers& mean,
                 const Numbers& scatter) {
    return {folder.k(), folder.d(), const_cast<double*>(mass.data()), const_cast<double*>(seen.data()),
            const_cast<double*>(mean.data()), const_cast<double*>(scatter.data())};
}

nb::object judge(Guarded& self, const Numbers& mass, const Numbers& seen, const Numbers& mean, const Numbers& scatter,
                 const Numbers& origin, const Numbers& scale, const Matrix& x, int threads) {
    const Folder& folder = self.folder;
    expect_moments(folder, mass, seen, mean, scatter, origin, scale);
    const Rows rows = rows_of(x, std::nullopt, folder.d());
    Telling telling(rows.n, folder.k());
    const Record record = read_only(folder, mass, seen, mean, scatter);
    bool plain;
    {
        const nb::gil_scoped_release free;
        plain = self.with([&](Folder& own) {
            return own.judge(record, origin.data(), scale.data(), rows, telling.said(), threads);
        });
    }
    if (!plain) return nb::none();
    return telling.arrays();
}

nb::object label(Guarded& self, const Numbers& mass, const Numbers& seen, const Numbers& mean, const Numbers& scatter,
                 const Numbers& origin, const Numbers& scale, const Matrix& x, int threads) {
    const Folder& folder = self.folder;
    expect_moments(folder, mass, seen, mean, scatter, origin, scale);
    const Rows rows = rows_of(x, std::nullopt, folder.d());
    Made<std::int64_t> labels(rows.n);
    const Record record = read_only(folder, mass, seen, mean, scatter);
    bool plain;
    {
        const nb::gil_scoped_release free;
        const Said said{{nullptr, labels.data.get(), nullptr, nullptr}, nullptr};
        plain = self.with([&](Folder& own) {
            return own.judge(record, origin.data(), scale.data(), rows, said, threads);
        });
    }
    if (!plain) return nb::none();
    return labels.array({static_cast<std::size_t>(rows.n)});
}

nb::tuple learn(Guarded& self, const Numbers& mass, const Numbers& seen, const Numbers& mean, const Numbers& scatter,
                const Numbers& origin, const Numbers& scale, double t, double evidence, double counted, const Matrix& x,
                const std::optional<Numbers>& w, const std::optional<Numbers>& times, std::int64_t most, bool tell,
                int threads) {
    const Folder& folder = self.folder;
    expect_moments(folder, mass, seen, mean, scatter, origin, scale);
    const Rows rows = rows_of(x, w, folder.d());
    if (times) expect_size(*times, rows.n, "learn: times");
    Made<double> masses = copied(mass), seens = copied(seen), means = copied(mean), scatters = copied(scatter);
    Telling telling(tell ? rows.n : 0, folder.k());
    Progress progress{t, {evidence, counted}};
    const Record record{folder.k(), folder.d(), masses.data.get(), seens.data.get(), means.data.get(),
                        scatters.data.get()};
    {
        const nb::gil_scoped_release free;
        self.with([&](Folder& own) {
            own.learn(record, origin.data(), scale.data(), rows, times ? times->data() : nullptr, most, telling.said(),
                      progress, threads);
        });
    }
    const std::size_t k = folder.k(), d = folder.d();
    const Family family = folder.choices().family;
    nb::object scattered = family == Family::full   ? scatters.array({k, d, d})
                           : family == Family::tied ? scatters.array({d, d})
                                                    : scatters.array({k, d});
    nb::object told = nb::none();
    if (tell) told = telling.arrays();
    return nb::make_tuple(progress.batches, masses.array({k}), seens.array({k, d}), means.array({k, d}), scattered,
                          progress.t, progress.evidence[0], progress.evidence[1], progress.gained, told);
}

}  // namespace

void bind_fold(nb::module_& module) {
    nb::class_<Guarded>(module, "Folder", "Learns batch after batch: learning._step, compiled.")
        .def(nb::new_(&make), "isa"_a, "family"_a, "hard"_a, "memory"_a, "half_life"_a, "prior"_a, "batch_size"_a, "k"_a,
             "d"_a)
        .def("judge", &judge, "mass"_a, "seen"_a, "mean"_a, "scatter"_a, "origin"_a, "scale"_a, "x"_a, "threads"_a)
        .def("label", &label, "mass"_a, "seen"_a, "mean"_a, "scatter"_a, "origin"_a, "scale"_a, "x"_a, "threads"_a)
        .def("learn", &learn, "mass"_a, "seen"_a, "mean"_a, "scatter"_a, "origin"_a, "scale"_a, "t"_a, "evidence"_a,
             "counted"_a, "x"_a, "w"_a.none(), "times"_a.none(), "most"_a, "tell"_a, "threads"_a);
}

}  // namespace stream_mix
