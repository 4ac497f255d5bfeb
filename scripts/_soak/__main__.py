"""`scripts/soak`: promises in, figures out; exit status 1 for a broken one, 2 for a wrong argument."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import tempfile
import time
from pathlib import Path

from stream_mix.workers.beside import EngineError

from .promise import BrokenError, Figures, Promise, Trial


def promises() -> dict[str, Promise]:
    """All promises, by name, in the order of their numbers: one to a module of this folder that has one."""
    package = __package__ or "_soak"
    modules = [
        importlib.import_module(f"{package}.{found.name}")
        for found in pkgutil.iter_modules([str(Path(__file__).parent)])
        if found.name != "__main__"
    ]
    found = [module.PROMISE for module in modules if hasattr(module, "PROMISE")]
    return {promise.name: promise for promise in sorted(found, key=lambda promise: promise.number)}


def _arguments(known: dict[str, Promise]) -> argparse.Namespace:
    lines = (f"  {p.number:2} {p.name:12} {p.says} ({p.full:,} {p.unit})" for p in known.values())
    parser = argparse.ArgumentParser(
        "scripts/soak",
        description="Does the service keep its promises?",
        epilog="promises, with the size of a full run:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("promise", nargs="*", metavar="PROMISE", help="by name or number (default: all)")
    parser.add_argument("--size", type=int, metavar="N", help="how much of it (default: the full size)")
    parser.add_argument("--quick", action="store_true", help="the short size, as the tests run it")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of what is random (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON line a promise instead of words")
    arguments = parser.parse_args()
    numbers = {str(promise.number): name for name, promise in known.items()}
    arguments.promise = [numbers.get(name, name) for name in arguments.promise] or list(known)
    for name in arguments.promise:
        if name not in known:
            parser.error(f"{name!r} is no promise, expected one of {', '.join(known)}")
    if arguments.size is not None and arguments.size < 1:
        parser.error(f"--size is {arguments.size}, expected at least 1")
    return arguments


def _tried(promise: Promise, size: int, seed: int, *, quiet: bool) -> tuple[Figures, float, list[str]]:
    """The figures of one promise, the seconds they took, and what was not kept."""

    def say(line: str) -> None:
        if not quiet:
            print(f"  {line}", flush=True)

    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"soak-{promise.name}-") as folder:
        try:
            figures = promise.trial(Trial(size, seed, Path(folder), say))
        except (BrokenError, EngineError) as error:
            return {}, time.monotonic() - begun, [str(error)]
    return figures, time.monotonic() - begun, promise.broken(figures)


def main() -> int:
    """Runs what was asked for."""
    known = promises()
    arguments = _arguments(known)
    kept = True
    for name in arguments.promise:
        promise = known[name]
        size = arguments.size or (promise.short if arguments.quick else promise.full)
        if not arguments.json:
            print(f"{promise.number} {name}: {promise.says}; {size:,} {promise.unit}", flush=True)
        figures, seconds, broken = _tried(promise, size, arguments.seed, quiet=arguments.json)
        kept = kept and not broken
        if arguments.json:
            record = {"promise": name, "size": size, "seconds": seconds, "figures": figures, "broken": broken}
            print(json.dumps(record), flush=True)
            continue
        print("  " + ", ".join(f"{key} {value:g}" for key, value in figures.items()))
        print(f"  {'; '.join(broken) if broken else 'kept'} ({seconds:.1f} s)", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
