// The fused pass as Python sees it. Everything is checked here, before the loops run.
#include <algorithm>

#include "bind.hpp"
#include "mixture.hpp"

namespace stream_mix {
namespace {

using namespace nb::literals;

Scores scores_of(const std::string& name) {
    if (name == "linear") return Scores::linear;
    if (name == "round") return Scores::round;
    if (name == "diag") return Scores::diag;
    if (name == "full") return Scores::full;
    refuse("mixture: scores is '" + name + "', expected linear, round, diag or full");
}

PackedMixture* make(const std::string& isa_name, const std::string& scores, const std::string& second,
                    const Numbers& origin, const Numbers& inverse_scale, const Numbers& centre, const Numbers& theta,
                    const Numbers& whiten, double precision, const Numbers& peak, bool holes) {
    const Isa& isa = isa_named(isa_name);
    Mixture m{};
    m.scores = scores_of(scores);
    m.second = second_of(second);
    m.k = static_cast<std::int64_t>(peak.size());
    m.d = static_cast<std::int64_t>(centre.size());
    const bool fits = m.second == Second::full   ? m.scores == Scores::full
                      : m.second == Second::tied ? m.scores == Scores::linear
                                                 : m.scores != Scores::full;
    if (!fits) refuse("mixture: scores are '" + scores + "', which do not go with second moments '" + second + "'");
    m.precision = precision;
    m.holes = holes;
    if (holes && (m.scores != Scores::diag || m.second != Second::diag)) refuse("mixture: only diag can have holes");
    const std::int64_t triangle = m.d * (m.d + 1) / 2, f = m.scores == Scores::full ? m.d : Layout(m).features;
    if (m.k < 1) refuse("mixture: there are no components, expected at least one");
    expect_size(origin, m.d, "mixture: origin");
    expect_size(inverse_scale, m.d, "mixture: inverse_scale");
    expect_size(theta, m.k * (1 + f), "mixture: theta");
    const std::int64_t triangles = m.scores == Scores::full ? m.k * triangle : m.second == Second::tied ? triangle : 0;
    expect_size(whiten, triangles, "mixture: whiten");
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
    return new PackedMixture(isa, m, std::move(numbers));
}

struct Told {
    Made<double> p, log_density, distance;
    Made<std::int64_t> label;
    Told(std::int64_t n, std::int64_t k) : p(n * k), log_density(n), distance(n), label(n) {}
    Answers answers() { return {p.data.get(), label.data.get(), log_density.data.get(), distance.data.get()}; }
};

nb::object label(const PackedMixture& mixture, const Matrix& x, int threads) {
    const Rows rows = rows_of(x, std::nullopt, mixture.d());
    Made<std::int64_t> labels(rows.n);
    bool complete;
    {
        const nb::gil_scoped_release free;
        complete = mixture.run(rows, {nullptr, labels.data.get(), nullptr, nullptr}, nullptr, threads);
    }
    if (!complete) return nb::none();
    return labels.array({static_cast<std::size_t>(rows.n)});
}

nb::object density(const PackedMixture& mixture, const Matrix& x, int threads) {
    const Rows rows = rows_of(x, std::nullopt, mixture.d());
    Made<double> log_density(rows.n);
    bool complete;
    {
        const nb::gil_scoped_release free;
        complete = mixture.run(rows, {nullptr, nullptr, log_density.data.get(), nullptr}, nullptr, threads);
    }
    if (!complete) return nb::none();
    return log_density.array({static_cast<std::size_t>(rows.n)});
}

nb::tuple nearest_two(const PackedMixture& mixture, const Matrix& x, int threads) {
    if (mixture.mixture().scores != Scores::linear || mixture.mixture().second != Second::diag)
        refuse("nearest_two: the mixture is not one of equal round components");
    const Rows rows = rows_of(x, std::nullopt, mixture.d());
    const std::size_t n = rows.n;
    Made<std::int64_t> label(rows.n);
    Made<double> nearest(rows.n), second(rows.n);
    {
        const nb::gil_scoped_release free;
        mixture.nearest_two(rows, label.data.get(), nearest.data.get(), second.data.get(), threads);
    }
    return nb::make_tuple(label.array({n}), nearest.array({n}), second.array({n}));
}

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

// The sums without their padding: first (k, d), and second (k, d), (d, d) or (k, d, d) with both halves; with
// holes the mass (k, d) of each feature.
void unpad(const Mixture& m, const Sums& from, double* first, double* second, double* seen) {
    const Layout size(m);
    const auto square = [&](const double* matrix, double* out) {
        for (std::int64_t i = 0; i < m.d; ++i)
            for (std::int64_t j = i; j < m.d; ++j) out[i * m.d + j] = out[j * m.d + i] = matrix[i * size.row + j];
    };
    for (std::int64_t k = 0; k < m.k; ++k) {
        const double* own = from.sums + k * size.sums;
        std::copy_n(own, m.d, first + k * m.d);
        if (m.second == Second::diag) std::copy_n(own + m.d, m.d, second + k * m.d);
        if (m.holes) std::copy_n(own + 2 * m.d, m.d, seen + k * m.d);
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
    Made<double> seen(m.holes ? m.k * m.d : 0);
    Made<double> second(scatter_size(m.second, m.k, m.d));
    bool complete;
    {
        const nb::gil_scoped_release free;
        Buffer padded_sums(m.k * size.sums + m.d * size.row);
        std::fill_n(mass.data.get(), m.k, 0.0);
        Sums sums{hard, mass.data.get(), padded_sums.get(), padded_sums.get() + m.k * size.sums};
        const Answers answers = tell ? told.answers() : Answers{nullptr, nullptr, log_density.data.get(), nullptr};
        complete = mixture.run(rows, answers, &sums, threads);
        unpad(m, sums, first.data.get(), second.data.get(), seen.data.get());
    }
    if (!complete) return nb::none();
    nb::object seconds = m.second == Second::diag   ? second.array({k, d})
                         : m.second == Second::tied ? second.array({d, d})
                                                    : second.array({k, d, d});
    nb::object density = tell ? told.log_density.array({n}) : log_density.array({n});
    nb::object rest = nb::none();
    if (tell) rest = nb::make_tuple(told.p.array({n, k}), told.label.array({n}), told.distance.array({n}));
    nb::object seens = nb::none();
    if (m.holes) seens = seen.array({k, d});
    return nb::make_tuple(mass.array({k}), first.array({k, d}), seconds, density, rest, seens);
}

std::int64_t beyond(const std::string& isa, const Matrix& x, double most) {
    const std::int64_t d = static_cast<std::int64_t>(x.shape(1));
    return first_beyond(isa_named(isa), rows_of(x, std::nullopt, d), d, most);
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
    module.def("first_beyond", &beyond, "isa"_a, "x"_a, "most"_a,
               "The first row with a number further than `most` from 0, or -1.");
    nb::class_<PackedMixture>(module, "Mixture", "A mixture packed for one instruction set.")
        .def(nb::new_([](const std::string& isa, const std::string& scores, const std::string& second, Numbers origin,
                         Numbers inverse_scale, Numbers centre, Numbers theta, Numbers whiten, double precision,
                         Numbers peak, bool holes) {
                 return make(isa, scores, second, origin, inverse_scale, centre, theta, whiten, precision, peak, holes);
             }),
             "isa"_a, "scores"_a, "second"_a, "origin"_a, "inverse_scale"_a, "centre"_a, "theta"_a, "whiten"_a,
             "precision"_a, "peak"_a, "holes"_a)
        .def("label", &label, "x"_a, "threads"_a)
        .def("density", &density, "x"_a, "threads"_a)
        .def("nearest_two", &nearest_two, "x"_a, "threads"_a)
        .def("posterior", &posterior, "x"_a, "threads"_a)
        .def("accumulate", &accumulate, "x"_a, "w"_a.none(), "hard"_a, "tell"_a, "threads"_a);
}

}  // namespace stream_mix
