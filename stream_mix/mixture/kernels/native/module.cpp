// The extension module: what Python sees of the compiled kernels.
#include <nanobind/nanobind.h>

namespace stream_mix {
void bind_pass(nanobind::module_& module);
void bind_live(nanobind::module_& module);
void bind_fold(nanobind::module_& module);
void bind_marginals(nanobind::module_& module);
void bind_shortlist(nanobind::module_& module);
void bind_wire(nanobind::module_& module);
}

NB_MODULE(_native, module) {
    // What a program still holds when it ends is no leak, and nothing to write to its standard error.
    nanobind::set_leak_warnings(false);
    module.doc() = "Compiled kernels of stream_mix: see stream_mix.mixture.kernels.";
    stream_mix::bind_pass(module);
    stream_mix::bind_live(module);
    stream_mix::bind_fold(module);
    stream_mix::bind_marginals(module);
    stream_mix::bind_shortlist(module);
    stream_mix::bind_wire(module);
}
