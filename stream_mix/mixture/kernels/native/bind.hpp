// Arrays across the border to Python: checked on the way in, owned by Python on the way out.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <optional>
#include <string>

#include "isa.hpp"

namespace stream_mix {

namespace nb = nanobind;

using Numbers = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Integers = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Indices = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<nb::ro, nb::ndim<2>, nb::device::cpu>;

[[noreturn]] inline void refuse(const std::string& why) { throw nb::value_error(why.c_str()); }

inline void expect_size(const Numbers& array, std::int64_t size, const char* name) {
    if (static_cast<std::int64_t>(array.size()) != size)
        refuse(std::string(name) + " has " + std::to_string(array.size()) + " numbers, expected " +
               std::to_string(size));
}

inline Family family_of(const std::string& name) {
    const char* const names[] = {"kmeans", "spherical", "diag", "tied", "full"};
    for (int i = 0; i < 5; ++i)
        if (name == names[i]) return static_cast<Family>(i);
    refuse("family is '" + name + "', expected kmeans, spherical, diag, tied or full");
}

inline Second second_of(const std::string& name) {
    if (name == "diag") return Second::diag;
    if (name == "tied") return Second::tied;
    if (name == "full") return Second::full;
    refuse("mixture: second is '" + name + "', expected diag, tied or full");
}

inline Memory memory_of(const std::string& name, double half_life) {
    if (name == "forever") return Memory::forever;
    if (!(half_life > 0.0)) refuse("half_life is " + std::to_string(half_life) + ", expected a number > 0");
    if (name == "half_life") return Memory::half_life;
    if (name == "time_half_life") return Memory::time_half_life;
    refuse("memory is '" + name + "', expected forever, half_life or time_half_life");
}

inline const Isa& isa_named(const std::string& name) {
    const Isa* isa = find(name.c_str());
    if (!isa) refuse("instruction set '" + name + "' is not to be had here");
    return *isa;
}

inline Rows rows_of(const Matrix& x, const std::optional<Numbers>& w, std::int64_t d) {
    const bool single = x.dtype() == nb::dtype<float>();
    if (!single && x.dtype() != nb::dtype<double>()) refuse("rows: x is neither float64 nor float32");
    if (static_cast<std::int64_t>(x.shape(1)) != d)
        refuse("rows: x has " + std::to_string(x.shape(1)) + " features, expected " + std::to_string(d));
    if (w && (w->ndim() != 1 || w->shape(0) != x.shape(0)))
        refuse("rows: weights do not have one number for each of " + std::to_string(x.shape(0)) + " rows");
    return {x.data(), single, static_cast<std::int64_t>(x.shape(0)), x.stride(0), x.stride(1), w ? w->data() : nullptr};
}

// A new array, its memory owned by Python once `array` was called.
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

}  // namespace stream_mix
