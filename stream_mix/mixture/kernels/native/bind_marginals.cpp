// Mixtures of marginals as Python sees them. Everything is checked here, before the loops run.
#include "bind.hpp"
#include "marginals.hpp"

namespace stream_mix {
namespace {

using namespace nb::literals;

Marginals* make(const std::string& isa, const std::string& kind, const Numbers& weights, const Numbers& means,
                const Numbers& covariances) {
    if (kind != "full" && kind != "tied") refuse("marginals: kind is '" + kind + "', expected full or tied");
    if (means.ndim() != 2 || means.shape(0) < 1) refuse("marginals: means are not k rows of d numbers, k at least 1");
    const std::int64_t k = means.shape(0), d = means.shape(1);
    const bool tied = kind == "tied";
    expect_size(weights, k, "marginals: weights");
    expect_size(covariances, (tied ? 1 : k) * d * d, "marginals: covariances");
    return new Marginals(isa_named(isa), tied, k, d, weights.data(), means.data(), covariances.data());
}

// What a visit says of each row.
struct Said {
    std::size_t n, k;
    Made<double> p, log_density, distance;
    Made<std::int64_t> label;
    Said(std::int64_t n, std::int64_t k) : n(n), k(k), p(n * k), log_density(n), distance(n), label(n) {}
    Answers answers() { return {p.data.get(), label.data.get(), log_density.data.get(), distance.data.get()}; }
    nb::tuple tuple() {
        return nb::make_tuple(p.array({n, k}), label.array({n}), log_density.array({n}), distance.array({n}));
    }
};

bool run(const Marginals& mixture, const Visit& visit) {
    const nb::gil_scoped_release free;
    return mixture.run(visit);
}

nb::object posterior(const Marginals& mixture, const Matrix& x, int threads) {
    Visit visit{};
    visit.rows = rows_of(x, std::nullopt, mixture.d());
    visit.threads = threads;
    Said said(visit.rows.n, mixture.k());
    visit.answers = said.answers();
    if (!run(mixture, visit)) return nb::none();
    return said.tuple();
}

nb::object outlier(const Marginals& mixture, const Matrix& x, const Numbers& log_density, int threads) {
    Visit visit{};
    visit.rows = rows_of(x, std::nullopt, mixture.d());
    visit.threads = threads;
    expect_size(log_density, visit.rows.n, "marginals: log_density");
    Made<double> tails(visit.rows.n);
    visit.densities = log_density.data();
    visit.tails = tails.data.get();
    if (!run(mixture, visit)) return nb::none();
    return tails.array({static_cast<std::size_t>(visit.rows.n)});
}

nb::object accumulate(const Marginals& mixture, const Matrix& x, const std::optional<Numbers>& w,
                      const std::optional<Numbers>& known, bool hard, int threads) {
    const std::int64_t k = mixture.k(), d = mixture.d();
    Visit visit{};
    visit.rows = rows_of(x, w, d);
    visit.threads = threads;
    visit.hard = hard;
    if (known) {
        expect_size(*known, k * d, "marginals: known");
        visit.known = known->data();
    }
    Made<double> log_density(visit.rows.n), mass(k), seen(k * d), mean(k * d), scatter((mixture.tied() ? 1 : k) * d * d);
    const Filled filled{mass.data.get(), seen.data.get(), mean.data.get(), scatter.data.get()};
    visit.answers.log_density = log_density.data.get();
    visit.filled = &filled;
    if (!run(mixture, visit)) return nb::none();
    const std::size_t K = k, D = d;
    nb::object scatters = mixture.tied() ? scatter.array({D, D}) : scatter.array({K, D, D});
    return nb::make_tuple(mass.array({K}), seen.array({K, D}), mean.array({K, D}), scatters,
                          log_density.array({static_cast<std::size_t>(visit.rows.n)}));
}

}  // namespace

void bind_marginals(nb::module_& module) {
    nb::class_<Marginals>(module, "Marginals", "A mixture of full or tied components for rows that lack features.")
        .def(nb::new_([](const std::string& isa, const std::string& kind, Numbers weights, Numbers means,
                         Numbers covariances) { return make(isa, kind, weights, means, covariances); }),
             "isa"_a, "kind"_a, "weights"_a, "means"_a, "covariances"_a)
        .def("posterior", &posterior, "x"_a, "threads"_a)
        .def("outlier", &outlier, "x"_a, "log_density"_a, "threads"_a)
        .def("accumulate", &accumulate, "x"_a, "w"_a.none(), "known"_a.none(), "hard"_a, "threads"_a);
}

}  // namespace stream_mix
