// Rows that come as dicts of feature names and values, read without a detour through Python code.
#pragma once

#include <Python.h>

#include <cstddef>
#include <vector>

namespace stream_mix {

// Where the row's weight and event time stand, counted from behind the features.
constexpr std::ptrdiff_t WEIGHT = 0, TIME = 1, BESIDE = 2;

// The number that a value of exactly one of the plain types (float, int, bool, NumPy's scalars, None) stands for, NaN
// for missing. False for all others, and for numbers beyond 1e100.
bool plain_number(PyObject* value, double& number);

// The names of the columns. They are told apart by identity where a name stands where it stood in the row before,
// else by a look into a dict whose keys, text and integers alone, run no code of anybody's.
class Names {
public:
    // `names`: a tuple; `weight` and `time`: the names of what comes beside the features, or None. `sound()` is false
    // where a name is neither str nor int; then nothing can be read.
    Names(PyObject* names, PyObject* weight, PyObject* time);
    ~Names();
    Names(const Names&) = delete;
    Names& operator=(const Names&) = delete;

    bool sound() const { return columns_ != nullptr; }
    // The names as a new tuple's content: how many features there are.
    std::size_t size() const { return names_.size() - BESIDE; }

    // Reads a dict into `values`, one number a column and BESIDE more behind, NaN for missing. False where the dict
    // holds something that this function leaves to Python; while learning also a name without a column that has a
    // value.
    bool read(PyObject* row, bool learning, double* values);

private:
    // Column of a name, -1 where it has none, -2 where it may not be looked up.
    std::ptrdiff_t find(PyObject* name, std::size_t place);

    std::vector<PyObject*> names_;       // owned; null where there is none
    std::vector<std::ptrdiff_t> order_;  // the column that a place in a row had last time
    PyObject* columns_ = nullptr;        // name -> column
};

}  // namespace stream_mix
