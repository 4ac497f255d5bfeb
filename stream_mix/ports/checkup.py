"""What a production engine needs of its machine, looked at before it runs: one finding for each thing."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import zmq

from ..config.addresses import Address, parse_endpoint, parse_host_port
from ..keys import KeyFileError, cards, read_secret
from ..mixture.kernels import IMPLEMENTATION, WHY_NOT_COMPILED
from .sockets import OLDEST

if TYPE_CHECKING:
    from ..config import Settings

Verdict = Literal["ok", "warn", "fail"]
FEW_FILES, LEAST_FILES = 4096, 256
LOW_BYTES, LEAST_BYTES = 5 << 30, 256 << 20
WAL_MENDED = (3, 51, 3)
"""SQLite before it could lose pages of the log where two connections write; this journal has one."""
OLDEST_SQLITE = (3, 35, 0)
BUILT = 1_735_689_600.0
"""2025-01-01: no clock that is right shows an earlier time."""


class Finding(NamedTuple):
    """One thing looked at: how it is, what it is, and a line about it."""

    verdict: Verdict
    what: str
    line: str


def checkup(settings: Settings) -> Iterator[Finding]:
    """Look at everything that the settings need: libraries, addresses, keys, disk, limits, clock."""
    yield from _libraries()
    yield from _addresses(settings)
    yield from _keys(settings)
    yield from _disk(settings)
    yield _files(settings)
    yield _memory(settings)
    yield _clock()


def _libraries() -> Iterator[Finding]:
    found, wanted = zmq.zmq_version_info(), ".".join(map(str, OLDEST))
    curve = "with CURVE" if zmq.has("curve") else "without CURVE: no keys can be asked for"
    line = f"{zmq.zmq_version()}, {curve}"
    yield Finding("ok" if zmq.has("curve") else "warn", "libzmq", line) if found >= OLDEST else Finding(
        "fail", "libzmq", f"{zmq.zmq_version()}, expected {wanted} or newer"
    )
    version = sqlite3.sqlite_version_info
    if version < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        yield Finding("fail", "SQLite", f"{sqlite3.sqlite_version}, expected {wanted} or newer")
    else:
        note = "" if version >= WAL_MENDED else "; keep other programs from writing to the journal"
        yield Finding("ok", "SQLite", f"{sqlite3.sqlite_version}{note}")
    line = f"{IMPLEMENTATION} {WHY_NOT_COMPILED}".strip()
    yield Finding("warn" if WHY_NOT_COMPILED else "ok", "kernels", line)


def _addresses(settings: Settings) -> Iterator[Finding]:
    locked = bool(settings.security.server_key)
    binds = {
        "ingest.push": settings.ingest.push,
        "ingest.acked": settings.ingest.acked,
        "publish.bind": settings.publish.bind,
        "query.bind": settings.query.bind,
    }
    for key, text in binds.items():
        if text:
            yield _address(key, text, parse_endpoint(text), locked=locked)
    text = settings.metrics.bind
    if text:
        yield _address("metrics.bind", text, parse_host_port(text), locked=False)


def _address(key: str, text: str, address: Address, *, locked: bool) -> Finding:
    why = _taken(address)
    if why:
        return Finding("fail", key, f"{text}: {why}")
    if not address.loopback and not locked:
        return Finding("warn", key, f"{text}: free; other machines can reach it, and it asks for no key")
    return Finding("ok", key, f"{text}: free{', asks for a key' if locked else ''}")


def _taken(address: Address) -> str:
    """Why an address cannot be bound; nothing where it can."""
    if address.scheme == "ipc":
        folder = os.path.dirname(address.host) or "."
        return "" if os.access(folder, os.W_OK) else f"cannot be made in {folder}"
    host = {"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(address.host, address.host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, address.port))
    except (OSError, OverflowError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        return f"cannot be bound ({why}); is an engine running there?"
    return ""


def _keys(settings: Settings) -> Iterator[Finding]:
    security = settings.security
    if not security.server_key:
        yield Finding("ok", "keys", "none asked for; whoever reaches an address may use it")
        return
    try:
        own = read_secret(security.server_key)
        yield Finding("ok", "server key", f"{security.server_key}: its owner's alone; public {own.public}")
    except KeyFileError as error:
        yield Finding("fail", "server key", str(error))
    folder = security.clients_folder
    if not os.path.isdir(folder):
        yield Finding("fail", "clients", f"{folder}: no folder, expected that of `stream-mix keys new`")
        return
    found, wrong = cards(folder)
    for line in wrong:
        yield Finding("warn", "clients", line)
    names = ", ".join(card.name for card in found[:8]) + (", ..." if len(found) > 8 else "")
    yield Finding("ok" if found else "warn", "clients", f"{folder}: lets in {names or 'nobody'}")
    if os.name == "posix" and os.stat(folder).st_mode & 0o022:
        yield Finding("fail", "clients", f"{folder}: others may write there, and so let themselves in")


def _disk(settings: Settings) -> Iterator[Finding]:
    if not settings.journal.path:
        yield Finding("warn", "journal", "off: nothing is recorded, and a restart begins anew")
        return
    path = Path(settings.journal.path).absolute()
    if not path.parent.is_dir():
        yield Finding("fail", "journal", f"{path.parent}: no such folder")
        return
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        yield Finding("fail", "journal", f"{path}: cannot be written")
        return
    free = shutil.disk_usage(path.parent).free
    verdict: Verdict = "fail" if free < LEAST_BYTES else "warn" if free < LOW_BYTES else "ok"
    line = f"{path}: {free / 2**30:.1f} GiB free, durability {settings.journal.durability}"
    yield Finding(verdict, "journal", line)


def _files(settings: Settings) -> Finding:
    try:
        import resource
    except ImportError:
        return Finding("ok", "open files", "this system has no limit that can be asked for")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else 1 << 20
    verdict: Verdict = "fail" if most < LEAST_FILES else "warn" if most < FEW_FILES else "ok"
    return Finding(verdict, "open files", f"{most} (now {soft}); each peer takes one")


def _memory(settings: Settings) -> Finding:
    budget = settings.limits.memory_bytes
    there = _physical()
    line = f"budget {budget >> 20} MiB of {there >> 20} MiB" if there else f"budget {budget >> 20} MiB"
    return Finding("warn" if there and budget > there // 2 else "ok", "memory", line)


def _physical() -> int:
    """Memory of the machine, or of the control group that this process is in; 0 where neither is said."""
    limits = []
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(file).read_text()))
        except (OSError, ValueError):
            continue
    try:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, AttributeError):
        return min(limits, default=0)
    return min(limits)


def _clock() -> Finding:
    now = time.time()
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if now < BUILT:
        return Finding("fail", "clock", f"{shown}, before this program was written; expected the time of day")
    if not time.get_clock_info("monotonic").monotonic:
        return Finding("warn", "clock", f"{shown}; no clock of this system only runs forward")
    return Finding("ok", "clock", shown)
