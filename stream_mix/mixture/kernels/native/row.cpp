#include "row.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace stream_mix {

namespace {

constexpr double LARGEST_VALUE = 1e100;
constexpr double MISSING = std::numeric_limits<double>::quiet_NaN();

// NumPy's scalar types, looked up once; null where there is no such type.
struct Scalars {
    PyTypeObject* float64 = nullptr;  // laid out as a float
    std::array<PyTypeObject*, 11> others{};

    Scalars() {
        const char* names[] = {"float32", "float16", "int8",   "int16",  "int32", "int64",
                               "uint8",   "uint16",  "uint32", "uint64", "bool_"};
        PyObject* numpy = PyImport_ImportModule("numpy");
        float64 = type(numpy, "float64");
        if (float64 && !PyType_IsSubtype(float64, &PyFloat_Type)) float64 = nullptr;
        for (std::size_t i = 0; i < others.size(); ++i) others[i] = type(numpy, names[i]);
        Py_XDECREF(numpy);
        PyErr_Clear();
    }

    bool has(PyTypeObject* type) const { return std::find(others.begin(), others.end(), type) != others.end(); }

    // The types live as long as the process: their references are never given back.
    static PyTypeObject* type(PyObject* module, const char* name) {
        PyObject* found = module ? PyObject_GetAttrString(module, name) : nullptr;
        PyErr_Clear();
        return found && PyType_Check(found) ? reinterpret_cast<PyTypeObject*>(found) : nullptr;
    }
};

const Scalars& scalars() {
    static const Scalars found;
    return found;
}

bool is_plain_name(PyObject* name) { return PyUnicode_CheckExact(name) || PyLong_CheckExact(name); }

}  // namespace

// Any plain number but a float.
static bool other_number(PyObject* value, double& number) {
    if (PyLong_CheckExact(value) || PyBool_Check(value)) {
        number = PyLong_AsDouble(value);
        if (number == -1.0 && PyErr_Occurred()) {
            PyErr_Clear();
            return false;
        }
    } else if (value == Py_None) {
        number = MISSING;
    } else if (Py_TYPE(value) == scalars().float64) {
        number = PyFloat_AS_DOUBLE(value);
    } else if (scalars().has(Py_TYPE(value))) {
        PyObject* converted = PyNumber_Float(value);
        if (!converted) {
            PyErr_Clear();
            return false;
        }
        number = PyFloat_AS_DOUBLE(converted);
        Py_DECREF(converted);
    } else {
        return false;
    }
    return !(number > LARGEST_VALUE || number < -LARGEST_VALUE);
}

static inline bool number_of(PyObject* value, double& number) {
    if (!PyFloat_CheckExact(value)) return other_number(value, number);
    number = PyFloat_AS_DOUBLE(value);
    return !(number > LARGEST_VALUE || number < -LARGEST_VALUE);
}

bool plain_number(PyObject* value, double& number) { return number_of(value, number); }

Names::Names(PyObject* names, PyObject* weight, PyObject* time) {
    const Py_ssize_t n = PyTuple_GET_SIZE(names);
    std::vector<PyObject*> all(n + BESIDE, nullptr);
    for (Py_ssize_t i = 0; i < n; ++i) all[i] = PyTuple_GET_ITEM(names, i);
    all[n + WEIGHT] = weight == Py_None ? nullptr : weight;
    all[n + TIME] = time == Py_None ? nullptr : time;
    scalars();  // looked up before any dict is being walked
    PyObject* columns = PyDict_New();
    bool usable = columns != nullptr;
    for (std::size_t i = 0; usable && i < all.size(); ++i) {
        if (!all[i]) continue;
        PyObject* column = PyLong_FromSize_t(i);
        usable = column && is_plain_name(all[i]) && PyDict_SetItem(columns, all[i], column) == 0;
        Py_XDECREF(column);
    }
    if (!usable) {
        Py_XDECREF(columns);
        PyErr_Clear();
        return;
    }
    order_.resize(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) order_[i] = static_cast<std::ptrdiff_t>(i);
    for (PyObject* name : all) Py_XINCREF(name);
    names_ = std::move(all);
    columns_ = columns;
}

Names::~Names() {
    for (PyObject* name : names_) Py_XDECREF(name);
    Py_XDECREF(columns_);
}

std::ptrdiff_t Names::find(PyObject* name, std::size_t place) {
    if (!is_plain_name(name)) return -2;
    PyObject* found = PyDict_GetItemWithError(columns_, name);
    if (!found) {
        const bool failed = PyErr_Occurred() != nullptr;
        PyErr_Clear();
        return failed ? -2 : -1;
    }
    const std::ptrdiff_t column = PyLong_AsSsize_t(found);
    // The next row is likely to have the same objects in the same places.
    if (place < order_.size()) order_[place] = column;
    if (names_[column] != name) {
        PyObject* old = names_[column];
        Py_INCREF(name);
        names_[column] = name;
        Py_XDECREF(old);
    }
    return column;
}

bool Names::read(PyObject* row, bool learning, double* values) {
    if (!PyDict_CheckExact(row)) return false;
    std::fill(values, values + names_.size(), MISSING);
    const std::size_t features = size();
    PyObject *name, *value;
    Py_ssize_t position = 0;
    for (std::size_t place = 0; PyDict_Next(row, &position, &name, &value); ++place) {
        std::ptrdiff_t column = -1;
        if (place < order_.size() && names_[order_[place]] == name)
            column = order_[place];
        else if ((column = find(name, place)) == -2)
            return false;
        const bool beside = column >= static_cast<std::ptrdiff_t>(features);
        if (beside && !learning) continue;
        double number;
        if (!number_of(value, number)) return false;
        if (column >= 0)
            values[column] = number;
        else if (learning && number == number)
            return false;
    }
    return true;
}

}  // namespace stream_mix
