"""Values with a grammar of their own: socket endpoints, host and port, durations."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

ENDPOINT = "tcp://HOST:PORT or ipc://PATH"
DURATION = 'seconds > 0, or text such as "90s", "10m", "1h30m", "2d"'

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_EVERY_HOST = {"*", "0.0.0.0", "::"}
_IPC_BYTES = 107  # what a Unix socket address holds, less its final zero


@dataclass(frozen=True, slots=True)
class Address:
    """A checked endpoint: ``tcp`` has a host and a port (0 = the system chooses), ``ipc`` has a path."""

    scheme: str
    host: str
    port: int = 0

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.scheme == "ipc" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name, an interface or the wildcard
            return False

    def clashes(self, other: Address) -> bool:
        """Whether binding both must fail.

        >>> parse_endpoint("tcp://*:5555").clashes(parse_endpoint("tcp://127.0.0.1:5555"))
        True
        >>> parse_endpoint("tcp://127.0.0.1:*").clashes(parse_endpoint("tcp://127.0.0.1:*"))
        False
        """
        if self.scheme != other.scheme or self.port != other.port:
            return False
        if self.scheme == "ipc":
            return self.host == other.host
        hosts = {"127.0.0.1" if address.host == "localhost" else address.host for address in (self, other)}
        return self.port != 0 and (len(hosts) == 1 or bool(hosts & _EVERY_HOST))


def parse_endpoint(text: str, *, bind: bool = True) -> Address:
    """Read a ZeroMQ endpoint; to bind, the port may be ``*`` or 0 (the system chooses).

    Raises ValueError, whose text is what was expected.

    >>> parse_endpoint("tcp://127.0.0.1:5555")
    Address(scheme='tcp', host='127.0.0.1', port=5555)
    >>> parse_endpoint("inproc://x")
    Traceback (most recent call last):
    ValueError: tcp://HOST:PORT or ipc://PATH (inproc:// cannot leave the process)
    """
    scheme, separator, rest = text.partition("://")
    if scheme == "inproc":
        raise ValueError(f"{ENDPOINT} (inproc:// cannot leave the process)")
    if scheme == "ipc" and rest and not any(map(str.isspace, rest)):
        if len(rest.encode()) > _IPC_BYTES:
            raise ValueError(f"an ipc:// path of at most {_IPC_BYTES} bytes")
        return Address("ipc", rest)
    if scheme != "tcp" or not separator:
        raise ValueError(ENDPOINT)
    return _host_and_port(rest, bind=bind, expected=ENDPOINT, scheme="tcp")


def parse_host_port(text: str) -> Address:
    """Read ``HOST:PORT``, the form of an HTTP listener.

    >>> parse_host_port("127.0.0.1:9464").port
    9464
    """
    return _host_and_port(text, bind=True, expected="HOST:PORT", scheme="tcp")


def _host_and_port(text: str, *, bind: bool, expected: str, scheme: str) -> Address:
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or any(letter.isspace() or letter == "/" for letter in text):
        raise ValueError(expected)
    if bind and port in ("*", "0"):
        return Address(scheme, host)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{expected} with a port from 1 to 65535")
    if not bind and host in _EVERY_HOST:
        raise ValueError(f"{expected} with the host to connect to")
    return Address(scheme, host, int(port))


def parse_seconds(value: object) -> float:
    """Read a duration in seconds: a number, or numbers with the units ms, s, m, h, d.

    Raises ValueError, whose text is what was expected.

    >>> parse_seconds("1h30m"), parse_seconds(2), parse_seconds("250ms")
    (5400.0, 2.0, 0.25)
    """
    if isinstance(value, str) and _DURATION.fullmatch(value):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise ValueError(DURATION)
    if not 0 < seconds < float("inf"):
        raise ValueError(DURATION)
    return seconds
