"""Online Gaussian mixtures and k-means over event streams: one pass, bounded memory, exact replay.

Nothing is imported here, so that ``import stream_mix`` costs nothing. The parts are ``stream_mix.mixture``
(the learner), ``stream_mix.river`` and ``stream_mix.sklearn`` (the same learner in those libraries),
``stream_mix.client`` (talk to a running engine) and the ``stream-mix`` command.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
