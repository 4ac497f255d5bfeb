"""`python -m stream_mix.cli`: the command without its script."""

from __future__ import annotations

from . import main

main()
