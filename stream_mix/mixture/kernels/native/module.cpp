// The extension module: what Python sees of the compiled kernels.
#include <nanobind/nanobind.h>

namespace stream_mix {
void bind_pass(nanobind::module_& module);
}

NB_MODULE(_native, module) {
    module.doc() = "Compiled kernels of stream_mix: see stream_mix.mixture.kernels.";
    stream_mix::bind_pass(module);
}
