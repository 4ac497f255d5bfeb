"""Colours that people with any kind of colour vision tell apart (Okabe & Ito 2008)."""

from __future__ import annotations

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
INK, FAINT, PAPER = "#222222", "#8a8a8a", "#ffffff"


def colour(place: int) -> str:
    """The colour of the component at a place, 0 the heaviest.

    >>> colour(0) == colour(7)
    True
    """
    return COLOURS[place % len(COLOURS)]
