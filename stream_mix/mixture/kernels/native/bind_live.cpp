// A live model as Python sees it. Everything is checked here, before the loops run.
#include <algorithm>

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>

#include "live_choice.hpp"
#include "live_rows.hpp"

namespace stream_mix {

using namespace nb::literals;

namespace {

// A new array, its memory owned by Python.
nb::object array(std::size_t size, std::initializer_list<std::size_t> shape, double*& at) {
    at = new double[size > 0 ? size : 1]();
    nb::capsule owner(at, [](void* p) noexcept { delete[] static_cast<double*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, double>(at, shape, owner));
}

nb::object copied(const std::vector<double>& from, std::initializer_list<std::size_t> shape) {
    double* at;
    nb::object made = array(from.size(), shape, at);
    std::copy(from.begin(), from.end(), at);
    return made;
}

nb::tuple moments_of(const LiveModel& m) {
    const std::size_t k = m.k(), d = m.d();
    double *mass, *seen, *mean, *scatter;
    nb::object masses = array(k, {k}, mass), seens = array(k * d, {k, d}, seen), means = array(k * d, {k, d}, mean);
    const std::size_t numbers = scatter_size(second_of(m.family()), k, d);
    nb::object scatters = m.family() == Family::full   ? array(numbers, {k, d, d}, scatter)
                          : m.family() == Family::tied ? array(numbers, {d, d}, scatter)
                                                       : array(numbers, {k, d}, scatter);
    m.moments(mass, seen, mean, scatter);
    return nb::make_tuple(masses, seens, means, scatters);
}

nb::tuple moments(const LiveRows& live) { return moments_of(live.model); }

// What stands side by side: (moments, rows) of each record, and the fields of a Choice.
nb::object choice(const LiveRows& live) {
    if (!live.model.choice) return nb::none();
    const LiveChoice& choice = *live.model.choice;
    nb::list records, evidence;
    for (const auto& record : choice.records()) records.append(nb::make_tuple(moments_of(*record), record->rows));
    const Chosen& now = choice.now();
    for (const double nats : now.evidence) evidence.append(nats);
    return nb::make_tuple(records, now.record, nb::tuple(evidence), now.drifted, now.same_until,
                          nb::make_tuple(now.weighed.first, now.weighed.second));
}

nb::object take_reservoir(LiveRows& live) {
    const std::size_t width = live.model.d() + 2;
    nb::object rows = copied(live.model.reservoir, {live.model.reservoir.size() / width, width});
    live.model.reservoir.clear();
    return rows;
}

// Puts several memories side by side under a model: of each its memory, moments and number of rows.
void put_beside(LiveRows& live, const nb::list& records, std::int64_t extra, std::int64_t chosen, const nb::list& evidence,
                bool drifted, std::int64_t same_until, std::pair<double, double> weighed, std::int64_t settling) {
    std::vector<std::unique_ptr<LiveModel>> models;
    std::vector<double> nats;
    for (nb::handle one : records) {
        const auto [memory, half_life, mass, seen, mean, scatter, rows] =
            nb::cast<std::tuple<std::string, double, Numbers, Numbers, Numbers, Numbers, std::int64_t>>(one);
        const std::int64_t k = live.model.k(), d = live.model.d();
        models.push_back(live.model.beside(memory_of(memory, half_life), half_life, sized(mass, k, "mass"),
                                           sized(seen, k * d, "seen"), sized(mean, k * d, "mean"),
                                           sized(scatter, live.model.scatter_size(), "scatter"), rows));
    }
    for (nb::handle one : evidence) nats.push_back(nb::cast<double>(one));
    const std::int64_t n = models.size();
    if (nats.size() != models.size() || extra < 0 || extra > 1 || extra > n || chosen < 0 || chosen >= n)
        refuse("live: " + std::to_string(n) + " records, of which number " + std::to_string(chosen) + " is in use");
    live.model.choice = std::make_unique<LiveChoice>(
        std::move(models), Chosen{extra, settling, chosen, std::move(nats), drifted, same_until, weighed});
}

LiveRows* make(const std::string& isa_name, const std::string& family, bool hard, const std::string& memory,
               double half_life, double weight, double covariance, double correlation, double reg_covar,
               const Numbers& mass, const Numbers& seen, const Numbers& mean, const Numbers& scatter,
               const Numbers& origin, const Numbers& scale, double t, double density, double weights,
               std::int64_t generation, std::int64_t learned, std::int64_t rows, std::int64_t next_start,
               double outweighing, const Integers& due, bool guarded, const nb::tuple& components, nb::object names,
               nb::object weight_name, nb::object time_name) {
    const Isa* isa = find(isa_name.c_str());
    if (!isa) refuse("live: instruction set '" + isa_name + "' is not to be had here");
    LiveStart start{};
    start.family = family_of(family);
    start.hard = hard;
    start.memory = memory_of(memory, half_life);
    start.half_life = half_life;
    start.prior_weight = weight;
    start.prior_covariance = covariance;
    start.correlation = correlation;
    start.reg_covar = reg_covar;
    const std::int64_t k = mass.size(), d = origin.size();
    if (k < 1 || d < 1) refuse("live: there are no components or no features, expected one at least of each");
    if (static_cast<std::int64_t>(components.size()) != k) refuse("live: there is not one id for each component");
    start.k = k;
    start.d = d;
    start.mass = mass.data();
    start.seen = sized(seen, k * d, "seen");
    start.mean = sized(mean, k * d, "mean");
    start.scatter = sized(scatter, scatter_size(second_of(start.family), k, d), "scatter");
    start.origin = origin.data();
    start.scale = sized(scale, d, "scale");
    start.t = t;
    start.evidence[0] = density;
    start.evidence[1] = weights;
    start.generation = generation;
    start.learned = learned;
    start.rows = rows;
    start.next_start = next_start;
    start.outweighing = outweighing;
    start.due.assign(due.data(), due.data() + due.size());
    const bool timed = start.memory != Memory::time_half_life || !time_name.is_none();
    return new LiveRows(std::make_unique<LiveModel>(*isa->live, start), timed, guarded, components, names, weight_name,
                        time_name);
}

// The methods that take one row are called by the interpreter itself: a call through nanobind costs as much as a row of
// a small model.
template <class Call>
PyObject* called(PyObject* self, Py_ssize_t given, Py_ssize_t expected, Call call) noexcept {
    if (given != expected || !nb::inst_ready(self)) {
        PyErr_Format(PyExc_TypeError, "live: %zd arguments, expected %zd of an object that is whole", given, expected);
        return nullptr;
    }
    try {
        return call(*nb::inst_ptr<LiveRows>(self)).release().ptr();
    } catch (nb::python_error& error) {
        error.restore();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

PyObject* learn_one(PyObject* self, PyObject* const* given, Py_ssize_t n) {
    return called(self, n, 3, [&](LiveRows& live) {
        return nb::object(nb::bool_(live.learn_one(given[0], given[1], given[2])));
    });
}

template <nb::object (LiveRows::*answer)(nb::handle)>
PyObject* answer_one(PyObject* self, PyObject* const* given, Py_ssize_t n) {
    return called(self, n, 1, [&](LiveRows& live) { return (live.*answer)(given[0]); });
}

PyMethodDef method(const char* name, PyObject* (*call)(PyObject*, PyObject* const*, Py_ssize_t)) {
    return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call)), METH_FASTCALL, nullptr};
}

PyMethodDef by_row[] = {method("learn_one", learn_one),
                        method("predict_one", answer_one<&LiveRows::predict_one>),
                        method("predict_proba_one", answer_one<&LiveRows::predict_proba_one>),
                        method("strangeness_one", answer_one<&LiveRows::strangeness_one>),
                        method("tail_one", answer_one<&LiveRows::tail_one>),
                        method("remoteness_one", answer_one<&LiveRows::remoteness_one>),
                        {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_methods, by_row}, {0, nullptr}};

}  // namespace

void bind_live(nb::module_& module) {
    nb::class_<LiveRows>(module, "Live", nb::type_slots(slots),
                         "A mixture that learns and answers row by row; False or None: not here.")
        .def(nb::new_(&make), "isa"_a, "family"_a, "hard"_a, "memory"_a, "half_life"_a, "weight"_a, "covariance"_a,
             "correlation"_a, "reg_covar"_a, "mass"_a, "seen"_a, "mean"_a, "scatter"_a, "origin"_a, "scale"_a, "t"_a,
             "density"_a, "weights"_a, "generation"_a, "learned"_a, "rows"_a, "next_start"_a, "outweighing"_a, "due"_a,
             "guarded"_a, "components"_a, "names"_a.none(), "weight_name"_a.none(), "time_name"_a.none())
        .def("learn_rows", &LiveRows::learn_rows, "x"_a, "w"_a, "t"_a)
        .def("__deepcopy__", &LiveRows::copy, "memo"_a)
        .def("__sizeof__", &LiveRows::bytes)
        .def("moments", &moments)
        .def("put_beside", &put_beside, "records"_a, "extra"_a, "chosen"_a, "evidence"_a, "drifted"_a,
             "same_until"_a, "weighed"_a, "settling"_a)
        .def("choice", &choice)
        .def("take_reservoir", &take_reservoir)
        .def_prop_ro("origin", [](const LiveRows& live) { return copied(live.model.origin, {live.model.origin.size()}); })
        .def_prop_ro("scale", [](const LiveRows& live) { return copied(live.model.scale, {live.model.scale.size()}); })
        .def_prop_ro("rows", [](const LiveRows& live) { return live.model.rows; })
        .def_prop_ro("generation", [](const LiveRows& live) { return live.model.generation; })
        .def_prop_ro("learned", [](const LiveRows& live) { return live.model.learned; })
        .def_prop_ro("t", [](const LiveRows& live) { return live.model.t; })
        .def_prop_ro("evidence",
                     [](const LiveRows& live) { return nb::make_tuple(live.model.evidence[0], live.model.evidence[1]); });
}

}  // namespace stream_mix
