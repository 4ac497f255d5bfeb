// Messages as Python sees them: frames of points read, assignments put together; each in one visit of its bytes.
#include <nanobind/stl/unique_ptr.h>

#include <cstring>

#include "bind.hpp"
#include "checksum.hpp"
#include "points.hpp"

namespace stream_mix {
namespace {

using namespace nb::literals;

nb::object string_of(Span span) {
    if (!span) return nb::none();
    // Bytes that are no UTF-8 are left to whoever reads slowly.
    const char* at = reinterpret_cast<const char*>(span.data);
    return nb::steal(PyUnicode_DecodeUTF8(at, static_cast<Py_ssize_t>(span.size), nullptr));
}

// Source, seq, rows, times, weights and features of a plain frame of points, None for what it lacks; None where it is
// anything else, a bad row among it.
nb::object points_of(const nb::bytes& message, const Bounds& bounds) {
    Points points;
    const Span all{reinterpret_cast<const unsigned char*>(message.c_str()), message.size()};
    if (!read_points(all, bounds, points)) return nb::none();
    Made<double> x(points.n * points.d), t(points.t ? points.n : 0), w(points.w ? points.n : 0);
    if (!take_numbers(points.x, points.single, bounds.value, x.data.get()) ||
        !take_numbers(points.t, false, bounds.value, t.data.get()) ||
        !take_weights(points.w, bounds.value, w.data.get()))
        return nb::none();
    const nb::object source = string_of(points.source);
    nb::list names;
    bool readable = source.is_valid();
    for (const Span& feature : points.features) {
        const nb::object name = readable ? string_of(feature) : nb::object();
        if ((readable = readable && name.is_valid())) names.append(name);
    }
    if (!readable) {
        PyErr_Clear();
        return nb::none();
    }
    const std::size_t n = points.n, d = points.d;
    return nb::make_tuple(source, points.numbered ? nb::cast(points.seq) : nb::none(), x.array({n, d}),
                          points.t ? t.array({n}) : nb::none(), points.w ? w.array({n}) : nb::none(),
                          points.named ? nb::object(nb::tuple(names)) : nb::none());
}

// A key and the head of `size` bytes, as MessagePack has them.
unsigned char* headed(unsigned char* to, const char* key, std::size_t size) {
    const std::size_t length = std::strlen(key);
    *to++ = static_cast<unsigned char>(0xa0 | length);
    to = static_cast<unsigned char*>(std::memcpy(to, key, length)) + length;
    const int width = size < 1u << 8 ? 1 : size < 1u << 16 ? 2 : 4;
    *to++ = static_cast<unsigned char>(width == 1 ? 0xc4 : width == 2 ? 0xc5 : 0xc6);
    for (int i = width - 1; i >= 0; --i) *to++ = static_cast<unsigned char>(size >> (8 * i));
    return to;
}

std::size_t headed_size(const char* key, std::size_t size) {
    return std::strlen(key) + 2 + (size < 1u << 8 ? 1 : size < 1u << 16 ? 2 : 4) + size;
}

unsigned char* narrowed(unsigned char* to, const double* from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const float value = static_cast<float>(from[i]);
        std::memcpy(to + i * sizeof value, &value, sizeof value);
    }
    return to + count * sizeof(float);
}

// What a model says of a group of rows, of which messages take their share.
struct Columns {
    Indices label;
    std::optional<Numbers> p;
    Numbers log_density, outlier;
    std::size_t n, k;

    Columns(const Indices& labels, const std::optional<Numbers>& shares, const Numbers& densities,
            const Numbers& outliers)
        : label(labels), p(shares), log_density(densities), outlier(outliers), n(labels.size()), k(0) {
        const auto size = static_cast<std::int64_t>(n);
        if (p && (p->ndim() != 2 || p->shape(0) != n)) refuse("columns: p does not have a line for each row");
        expect_size(log_density, size, "columns: log_density");
        expect_size(outlier, size, "columns: outlier");
        k = p ? p->shape(1) : 0;
    }

    // `head`, the columns of rows first <= i < last, and `tail`.
    nb::object message(const nb::bytes& head, std::size_t first, std::size_t last, const nb::bytes& tail) const {
        if (first > last || last > n) refuse("columns: there are no such rows");
        const std::size_t rows = last - first;
        const std::size_t size = head.size() + headed_size("label", 8 * rows) + (p ? headed_size("p", 4 * k * rows) : 0) +
                                 headed_size("log_density", 8 * rows) + headed_size("outlier", 4 * rows) + tail.size();
        nb::object made = nb::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
        if (!made.is_valid()) nb::raise_python_error();
        auto* to = reinterpret_cast<unsigned char*>(PyBytes_AS_STRING(made.ptr()));
        const auto put = [&to](const void* from, std::size_t count) {
            if (count) std::memcpy(to, from, count);
            to += count;
        };
        put(head.c_str(), head.size());
        to = headed(to, "label", 8 * rows);
        put(label.data() + first, 8 * rows);
        if (p) to = narrowed(headed(to, "p", 4 * k * rows), p->data() + k * first, k * rows);
        to = headed(to, "log_density", 8 * rows);
        put(log_density.data() + first, 8 * rows);
        to = narrowed(headed(to, "outlier", 4 * rows), outlier.data() + first, rows);
        put(tail.c_str(), tail.size());
        return made;
    }
};

}  // namespace

void bind_wire(nb::module_& module) {
    module.def(
        "read_points",
        [](const nb::bytes& message, std::uint64_t rows, std::uint64_t features, std::uint64_t cells,
           std::uint64_t string, std::uint64_t seq, double value) {
            return points_of(message, {rows, features, cells, string, seq, value});
        },
        "message"_a, "rows"_a, "features"_a, "cells"_a, "string"_a, "seq"_a, "value"_a,
        "The parts of a plain frame of points, or None.");
    module.def(
        "crc32",
        [](const nb::bytes& data, std::uint32_t before) {
            return crc32(reinterpret_cast<const unsigned char*>(data.c_str()), data.size(), before);
        },
        "data"_a, "before"_a = 0, "zlib.crc32.");
    nb::class_<Columns>(module, "Columns", "What a model says of a group of rows, to be cut into messages.")
        .def(nb::new_([](const Indices& label, const std::optional<Numbers>& p, const Numbers& log_density,
                         const Numbers& outlier) {
                 return std::make_unique<Columns>(label, p, log_density, outlier);
             }),
             "label"_a, "p"_a.none(), "log_density"_a, "outlier"_a)
        .def("message", &Columns::message, "head"_a, "first"_a, "last"_a, "tail"_a);
}

}  // namespace stream_mix
