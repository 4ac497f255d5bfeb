"""``python -m stream_mix.config``: print the configuration table of the README."""

from __future__ import annotations

from stream_mix.config.table import markdown

if __name__ == "__main__":
    print(markdown())
