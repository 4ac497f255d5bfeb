"""The runnable processes, each a short main: arguments, configuration, wiring, exit code.

The folder installs as ``stream_mix.workers``: a top-level package called ``workers`` would collide with its
users' own.
"""

import os

# Before NumPy is loaded: the products of these processes are small, and a second BLAS thread would fight with
# producers and consumers for the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
