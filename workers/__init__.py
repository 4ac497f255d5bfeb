"""The runnable processes, each a short main: arguments, configuration, wiring, exit code.

The folder installs as ``stream_mix.workers``: a top-level package called ``workers`` would collide with its
users' own.
"""
