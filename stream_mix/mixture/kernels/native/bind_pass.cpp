// The fused pass as Python sees it. Everything is checked here, before the loops run.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "mixture.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace stream_mix {
namespace {

using Numbers = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<nb::ro, nb::ndim<2>, nb::device::cpu>;

[[noreturn]] void refuse(const std::string& why) { throw nb::value_error(why.c_str()); }

void expect_size(const Numbers& array, std::int64_t size, const char* name) {
    if (static_cast<std::int64_t>(array.size()) != size)
        refuse(std::string("mixture: ") + name + " has " + std::to_string(array.size()) + " numbers, expected " +
               std::to_string(size));
}

Scores scores_of(const std::string& name) {
    if (name == "linear") return Scores::linear;
    if (name == "round") return Scores::round;
    if (name == "diag") return Scores::diag;
    if (name == "full") return Scores::full;
    refuse("mixture: scores is '" + name + "', expected linear, round, diag or full");
}

Second second_of(const std::string& name) {
    if (name == "diag") return Second::diag;
    if (name == "tied") return Second::tied;
    if (name == "full") return Second::full;
    refuse("mixture: second is '" + name + "', expected diag, tied or full");
}

PackedMixture* make(const std::string& isa_name, const std::string& scores, const std::string& second,
                    const Numbers& origin, const Numbers& inverse_scale, const Numbers& centre, const Numbers& theta,
                    const Numbers& whiten, double precision, const Numbers& peak) {
    const Isa* isa = find(isa_name.c_str());
    if (!isa) refuse("mixture: instruction set '" + isa_name + "' is not to be had here");
    Mixture m{};
    m.scores = scores_of(scores);
    m.second = second_of(second);
    m.k = static_cast<std::int64_t>(peak.size());
    m.d = static_cast<std::int64_t>(centre.size());
    m.precision = precision;
    const std::int64_t triangle = m.d * (m.d + 1) / 2, f = m.scores == Scores::full ? m.d : Layout(m).features;
    if (m.k < 1) refuse("mixture: there are no components, expected at least one");
    expect_size(origin, m.d, "origin");
    expect_size(inverse_scale, m.d, "inverse_scale");
    expect_size(theta, m.k * (1 + f), "theta");
    const std::int64_t triangles = m.scores == Scores::full ? m.k * triangle : whiten.size() ? triangle : 0;
    expect_size(whiten, triangles, "whiten");
    std::vector<double> numbers;
    numbers.reserve(3 * m.d + theta.size() + whiten.size() + peak.size());
    const auto keep = [&](const Numbers& array) {
        const double* at = numbers.data() + numbers.size();
        numbers.insert(numbers.end(), array.data(), array.data() + array.size());
        return at;
    };
    m.origin = keep(origin);
    m.inverse_scale = keep(inverse_scale);
    m.centre = keep(centre);
    m.theta = keep(theta);
    m.whiten = triangles ? keep(whiten) : nullptr;
    m.peak = keep(peak);
    return new PackedMixture(*isa, m, std::move(numbers));
}

Rows rows_of(const Matrix& x, const std::optional<Numbers>& w, std::int64_t d) {
    const bool single = x.dtype() == nb::dtype<float>();
    if (!single && x.dtype() != nb::dtype<double>()) refuse("rows: x is neither float64 nor float32");
    if (static_cast<std::int64_t>(x.shape(1)) != d)
        refuse("rows: x has " + std::to_string(x.shape(1)) + " features, expected " + std::to_string(d));
    if (w && (w->ndim() != 1 || w->shape(0) != x.shape(0)))
        refuse("rows: weights do not have one number for each of " + std::to_string(x.shape(0)) + " rows");
    return {x.data(), single, static_cast<std::int64_t>(x.shape(0)), x.stride(0), x.stride(1), w ? w->data() : nullptr};
}

// A new array, its memory owned by Python.
template <class Number>
struct Made {
    std::unique_ptr<Number[]> data;
    explicit Made(std::int64_t size) : data(new Number[size > 0 ? size : 1]) {}
    nb::object array(std::initializer_list<std::size_t> shape) {
        Number* at = data.release();
        nb::capsule owner(at, [](void* p) noexcept { delete[] static_cast<Number*>(p); });
        return nb::cast(nb::ndarray<nb::numpy, Number>(at, shape, owner));
    }
};

struct Told {
    Made<double> p, log_density, distance;
    Made<std::int64_t> label;
    Told(std::int64_t n, std::int64_t k) : p(n * k), log_density(n), distance(n), label(n) {}
    Answers answers() { return {p.data.get(), label.data.get(), log_density.data.get(), distance.data.get()}; }
};

nb::object posterior(const PackedMixture& mixture, const Matrix& x, int threads) {
    const Rows rows = rows_of(x, std::nullopt, mixture.d());
    const std::size_t n = rows.n, k = mixture.k();
    Told told(rows.n, mixture.k());
    bool complete;
    {
        const nb::gil_scoped_release free;
        complete = mixture.run(rows, told.answers(), nullptr, threads);
    }
    if (!complete) return nb::none();
    return nb::make_tuple(told.p.array({n, k}), told.label.array({n}), told.log_density.array({n}),
                          told.distance.array({n}));
}

// The sums without their padding: first (k, d), and second (k, d), (d, d) or (k, d, d) with both halves.
void unpad(const Mixture& m, const Sums& from, double* first, double* second) {
    const Layout size(m);
    const auto square = [&](const double* matrix, double* out) {
        for (std::int64_t i = 0; i < m.d; ++i)
            for (std::int64_t j = i; j < m.d; ++j) out[i * m.d + j] = out[j * m.d + i] = matrix[i * size.row + j];
    };
    for (std::int64_t k = 0; k < m.k; ++k) {
        const double* own = from.sums + k * size.sums;
        std::copy_n(own, m.d, first + k * m.d);
        if (m.second == Second::diag) std::copy_n(own + m.d, m.d, second + k * m.d);
        if (m.second == Second::full) square(own + size.second, second + k * m.d * m.d);
    }
    if (m.second == Second::tied) square(from.pooled, second);
}

nb::object accumulate(const PackedMixture& mixture, const Matrix& x, const std::optional<Numbers>& w, bool hard, bool tell,
                     int threads) {
    const Mixture& m = mixture.mixture();
    const Layout size(m);
    const Rows rows = rows_of(x, w, m.d);
    const std::size_t n = rows.n, k = m.k, d = m.d;
    Told told(tell ? rows.n : 0, tell ? m.k : 0);
    Made<double> log_density(tell ? 0 : rows.n), mass(m.k), first(m.k * m.d);
    Made<double> second(m.second == Second::diag ? m.k * m.d : m.second == Second::tied ? m.d * m.d : m.k * m.d * m.d);
    bool complete;
    {
        const nb::gil_scoped_release free;
        Buffer padded_sums(m.k * size.sums + m.d * size.row);
        std::fill_n(mass.data.get(), m.k, 0.0);
        Sums sums{hard, mass.data.get(), padded_sums.get(), padded_sums.get() + m.k * size.sums};
        const Answers answers = tell ? told.answers() : Answers{nullptr, nullptr, log_density.data.get(), nullptr};
        complete = mixture.run(rows, answers, &sums, threads);
        unpad(m, sums, first.data.get(), second.data.get());
    }
    if (!complete) return nb::none();
    nb::object seconds = m.second == Second::diag   ? second.array({k, d})
                         : m.second == Second::tied ? second.array({d, d})
                                                    : second.array({k, d, d});
    nb::object density = tell ? told.log_density.array({n}) : log_density.array({n});
    nb::object rest = nb::none();
    if (tell) rest = nb::make_tuple(told.p.array({n, k}), told.label.array({n}), told.distance.array({n}));
    return nb::make_tuple(mass.array({k}), first.array({k, d}), seconds, density, rest);
}

nb::list implementations() {
    nb::list names;
    for (const Isa* const* isa = runnable(); *isa; ++isa) names.append((*isa)->name);
    return names;
}

}  // namespace

void bind_pass(nb::module_& module) {
    module.def("implementations", &implementations,
               "Names of the instruction sets that this processor can run, the best first.");
    nb::class_<PackedMixture>(module, "Mixture", "A mixture packed for one instruction set.")
        .def(nb::new_([](const std::string& isa, const std::string& scores, const std::string& second, Numbers origin,
                         Numbers inverse_scale, Numbers centre, Numbers theta, Numbers whiten, double precision,
                         Numbers peak) {
                 return make(isa, scores, second, origin, inverse_scale, centre, theta, whiten, precision, peak);
             }),
             "isa"_a, "scores"_a, "second"_a, "origin"_a, "inverse_scale"_a, "centre"_a, "theta"_a, "whiten"_a,
             "precision"_a, "peak"_a)
        .def("posterior", &posterior, "x"_a, "threads"_a)
        .def("accumulate", &accumulate, "x"_a, "w"_a.none(), "hard"_a, "tell"_a, "threads"_a);
}

}  // namespace stream_mix
