// Short lists as Python sees them. Everything is checked here, before the loops run.
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <limits>

#include "bind.hpp"
#include "shortlist_pass.hpp"

namespace stream_mix {
namespace {

using namespace nb::literals;

Leaves* make(const std::string& isa_name, const std::string& second, bool round, const Numbers& origin,
             const Numbers& inverse_scale, const Numbers& centre, const Numbers& means, const Numbers& whiten,
             const Numbers& weights, const Numbers& peak, std::vector<double> reaches, int threads) {
    const Isa& isa = isa_named(isa_name);
    Given given{};
    given.second = second_of(second);
    given.round = round;
    given.k = static_cast<std::int64_t>(peak.size());
    given.d = static_cast<std::int64_t>(centre.size());
    if (given.k < 1 || given.k > 1 << 20) refuse("leaves: there are no components, or more than 2^20");
    if (given.d < 1) refuse("leaves: there are no features");
    if (reaches.empty()) refuse("leaves: there is no reach");
    expect_size(origin, given.d, "leaves: origin");
    expect_size(inverse_scale, given.d, "leaves: inverse_scale");
    expect_size(means, given.k * given.d, "leaves: means");
    expect_size(weights, given.k, "leaves: weights");
    expect_size(whiten, scatter_size(given.second, given.k, given.d), "leaves: whiten");
    given.origin = origin.data();
    given.inverse_scale = inverse_scale.data();
    given.centre = centre.data();
    given.means = means.data();
    given.whiten = whiten.data();
    given.weights = weights.data();
    given.peak = peak.data();
    const nb::gil_scoped_release free;
    return new Leaves(isa, given, std::move(reaches), threads);
}

Lists lists(const Leaves& leaves, std::size_t reach) {
    if (reach >= leaves.reaches()) throw nb::index_error("leaves: there is no such reach");
    return leaves.lists(reach);
}

// (leaves, d) in the frame.
nb::object centres(const Leaves& leaves) {
    const std::int64_t d = leaves.components().d;
    Made<double> found(leaves.count() * d);
    for (std::int64_t l = 0; l < leaves.count(); ++l) std::copy_n(leaves.centre(l), d, found.data.get() + l * d);
    return found.array({static_cast<std::size_t>(leaves.count()), static_cast<std::size_t>(d)});
}

std::vector<std::int32_t> members(const Lists& lists, std::size_t leaf) {
    if (leaf + 1 >= lists.offset.size()) throw nb::index_error("lists: there is no such leaf");
    return {lists.members.begin() + lists.offset[leaf], lists.members.begin() + lists.offset[leaf + 1]};
}

// NaN for rows that are too far out.
nb::object density(const Leaves& leaves, const Lists* lists, const Matrix& x, double reach, int threads) {
    const Rows rows = rows_of(x, std::nullopt, leaves.components().d);
    Made<double> log_density(rows.n);
    Report report;
    bool complete;
    {
        const nb::gil_scoped_release free;
        const Way way{reach, false, 0.0};
        complete = run_lists(leaves, lists, way, rows, log_density.data.get(), nullptr, report, threads);
    }
    if (!complete) return nb::none();
    for (const std::int64_t row : report.wild) log_density.data[row] = std::numeric_limits<double>::quiet_NaN();
    return nb::make_tuple(log_density.array({static_cast<std::size_t>(rows.n)}), report.far, report.worked_out);
}

// The sums without their padding: first (k, d), and second (k, d), (d, d) or (k, d, d) with both halves.
void unpad(const Leaves& leaves, const Totals& from, double* first, double* second) {
    const Components& c = leaves.components();
    const auto square = [&](const double* matrix, double* out) {
        for (std::int64_t i = 0; i < c.d; ++i)
            for (std::int64_t j = i; j < c.d; ++j) out[i * c.d + j] = out[j * c.d + i] = matrix[i * c.width + j];
    };
    for (std::int64_t k = 0; k < c.k; ++k) {
        const double* own = from.sums + k * Totals::stride(c);
        std::copy_n(own, c.d, first + k * c.d);
        if (c.squares) std::copy_n(own + c.width, c.d, second + k * c.d);
        if (from.outer) square(from.outer + k * c.d * c.width, second + k * c.d * c.d);
    }
    if (from.pooled) square(from.pooled, second);
}

nb::object accumulate(const Leaves& leaves, const Lists& lists, const Matrix& x, const std::optional<Numbers>& w, bool hard,
                      double reach, double pairs, int threads) {
    const Components& c = leaves.components();
    const Rows rows = rows_of(x, w, c.d);
    const std::size_t n = rows.n, k = c.k, d = c.d;
    const bool tied = leaves.second() == Second::tied, full = leaves.second() == Second::full;
    Made<double> log_density(rows.n), mass(c.k), first(c.k * c.d);
    Made<double> second(scatter_size(leaves.second(), c.k, c.d));
    Report report;
    bool complete;
    {
        const nb::gil_scoped_release free;
        std::fill_n(mass.data.get(), c.k, 0.0);
        const std::int64_t square = c.d * c.width;
        Buffer sums(c.k * Totals::stride(c)), outer(full ? c.k * square : 0), pooled(tied ? square : 0);
        Totals totals{mass.data.get(), sums.get(), outer.get(), pooled.get()};
        const Way way{reach, hard, pairs};
        complete = run_lists(leaves, &lists, way, rows, log_density.data.get(), &totals, report, threads);
        unpad(leaves, totals, first.data.get(), second.data.get());
    }
    if (!complete) return nb::none();
    Made<std::int64_t> wild(static_cast<std::int64_t>(report.wild.size()));
    std::copy(report.wild.begin(), report.wild.end(), wild.data.get());
    nb::object seconds = full ? second.array({k, d, d}) : tied ? second.array({d, d}) : second.array({k, d});
    return nb::make_tuple(mass.array({k}), first.array({k, d}), seconds, log_density.array({n}),
                          wild.array({report.wild.size()}));
}

}  // namespace

void bind_shortlist(nb::module_& module) {
    nb::class_<Lists>(module, "Lists", "Components by leaf.")
        .def_ro("share", &Lists::share)
        .def("members", &members, "leaf"_a);
    nb::class_<Leaves>(module, "Leaves", "A large mixture, and the leaves that its rows fall into.")
        .def(nb::new_([](const std::string& isa, const std::string& second, bool round, Numbers origin, Numbers inverse_scale,
                         Numbers centre, Numbers means, Numbers whiten, Numbers weights, Numbers peak,
                         std::vector<double> reaches, int threads) {
                 return make(isa, second, round, origin, inverse_scale, centre, means, whiten, weights, peak,
                             std::move(reaches), threads);
             }),
             "isa"_a, "second"_a, "round"_a, "origin"_a, "inverse_scale"_a, "centre"_a, "means"_a, "whiten"_a, "weights"_a,
             "peak"_a, "reaches"_a, "threads"_a)
        .def("lists", &lists, "reach"_a)
        .def("centres", &centres)
        .def("density", &density, "lists"_a.none(), "x"_a, "reach"_a, "threads"_a)
        .def("accumulate", &accumulate, "lists"_a, "x"_a, "w"_a.none(), "hard"_a, "reach"_a, "pairs"_a, "threads"_a);
}

}  // namespace stream_mix
