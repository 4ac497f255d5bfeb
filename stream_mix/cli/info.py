"""`stream-mix info`: which versions are at work, and what a configuration leaves at its default."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from .options import Json
from .show import print_json, print_pairs

_PACKAGES = ("numpy", "river", "pyzmq", "msgpack", "pydantic-settings", "typer", "rich", "prometheus-client")
_EXTRAS = ("scikit-learn", "matplotlib", "pandas", "polars", "pyarrow")


def info(json: Json = False) -> int:
    """Say which versions, kernels and default settings there are."""
    import sqlite3

    import zmq

    from stream_mix import __version__
    from stream_mix.config import Settings
    from stream_mix.mixture import FAMILIES
    from stream_mix.mixture.kernels import IMPLEMENTATION, WHY_NOT_COMPILED, available
    from stream_mix.protocol import VERSION

    found = {
        "stream_mix": __version__,
        "protocol": VERSION,
        "kernels": IMPLEMENTATION,
        "families": list(FAMILIES),
        "python": platform.python_version(),
        "system": platform.platform(),
        "libzmq": zmq.zmq_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    packages = {name: _version(name) for name in (*_PACKAGES, *_EXTRAS)}
    settings = Settings().model_dump(mode="json")
    if json:
        runnable = {"kernels_available": available(), "kernels_not_compiled": WHY_NOT_COMPILED or None}
        print_json({**found, **runnable, "packages": packages, "defaults": settings})
        return 0
    words = ", ".join(f"{name} {number or '-'}" for name, number in packages.items())
    kernels = f"{IMPLEMENTATION}; {WHY_NOT_COMPILED or 'STREAM_MIX_KERNELS takes ' + ', '.join(available())}"
    print_pairs({**found, "kernels": kernels, "families": ", ".join(FAMILIES), "packages": words})
    print("\ndefault settings (TOML; see configs/ for whole files):")
    for table, keys in settings.items():
        many = isinstance(keys, list)
        print(f"\n[[{table}]]" if many else f"\n[{table}]")
        for key, value in (keys[0] if many else keys).items():
            print(f"# {key}" if value is None else f"{key} = {_toml(value)}")
    return 0


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _toml(value: object) -> str:
    from json import dumps

    return dumps(value)
