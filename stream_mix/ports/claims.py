"""Who speaks for a source: whoever did last, unless another holds it.

Two producers under one name would take each other's frames for repetitions, and lose them. One that says
hello with a session therefore holds the source until another session says hello, and the old one is told that
it has been succeeded. A producer without a session cannot take a source from one that holds it and is
connected. Claims are not kept: after a restart of the engine whoever says hello first holds the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

RETIRED = 16
"""Sessions that were succeeded, remembered for each source."""
ACTIVE_SECONDS = 1.0
"""A source that has said nothing for so long is not at work."""


@dataclass(slots=True)
class _Claim:
    """Who speaks for a source, and when it last did."""

    identity: bytes
    session: int | None
    heard: float
    retired: tuple[int, ...] = ()


class Claims:
    """By source, at most so many, the oldest being let go: whoever only asks chooses names at will."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._claims: dict[str, _Claim] = {}

    def __len__(self) -> int:
        return len(self._claims)

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims)

    def speaker(self, source: str) -> bytes | None:
        """Who is to be answered."""
        claim = self._claims.get(source)
        return None if claim is None else claim.identity

    def active(self, now: float) -> int:
        """Sources at work."""
        return sum(claim.heard > now - ACTIVE_SECONDS for claim in self._claims.values())

    def speak(self, identity: bytes, source: str, now: float, there: Callable[[bytes], bool]) -> str | None:
        """Let a peer speak for a source, or say why it may not; `there` tells whether the holder is."""
        claim = self._claims.get(source)
        if claim is not None and claim.identity == identity:
            claim.heard = now
            return None
        if claim is not None and claim.session is not None and there(claim.identity):
            return "source: another producer speaks for it"
        self._put(source, _Claim(identity, None, now, () if claim is None else claim.retired))
        return None

    def hold(self, identity: bytes, source: str, session: int, now: float) -> str | None:
        """Let a session hold a source, or say why it may not."""
        claim = self._claims.get(source)
        retired = () if claim is None else claim.retired
        if session in retired:
            return "source: another producer has begun to speak for it"
        if claim is not None and claim.session is not None and claim.session != session:
            retired = (*retired, claim.session)[-RETIRED:]
        self._put(source, _Claim(identity, session, now, retired))
        return None

    def _put(self, source: str, claim: _Claim) -> None:
        self._claims[source] = claim
        if len(self._claims) > self._most:
            del self._claims[next(iter(self._claims))]
