"""A model is a choice of a few small values."""

from __future__ import annotations

from dataclasses import dataclass, field

from .families import FAMILIES, Family
from .lateness import check_lateness
from .memory import Forever, Memory
from .priors import Prior


@dataclass(frozen=True)
class Spec:
    """Family x assignment x memory x prior, with the number of components and how rows are batched.

    Attributes:
        n_components: number of components, k.
        family: `kmeans`, `spherical`, `diag`, `tied` or `full`.
        assignment: `soft` or `hard`; None is the family's own (hard for kmeans, soft for the others).
        memory: `Forever()`, `HalfLife(rows)`, `TimeHalfLife(seconds)` or `Window(rows)`.
        prior: pseudo-rows and floors.
        batch_size: rows that are learned at once; batches are cut by count, so how rows arrive in groups
            changes nothing.
        random_state: seed of every random choice.
        watch: whether the running log-likelihood is kept. Without it hard assignment needs no exponentials.
        lateness: seconds of event time by which a row may be older than the newest before it; one that is
            older still is left out and counted. None: none is.
        robust: whether a background takes rows that no component accounts for (background.py): components do
            not learn from them, and their label is -1.

    >>> Spec(n_components=3, family="round")
    Traceback (most recent call last):
    ValueError: family is 'round', expected one of 'diag', 'full', 'kmeans', 'spherical', 'tied'
    """

    n_components: int = 8
    family: str = "full"
    assignment: str | None = None
    memory: Memory = field(default_factory=Forever)
    prior: Prior = field(default_factory=Prior)
    batch_size: int = 256
    random_state: int = 0
    watch: bool = True
    lateness: float | None = None
    robust: bool = False

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"family is {self.family!r}, expected one of {', '.join(map(repr, sorted(FAMILIES)))}"
            )
        if self.assignment not in (None, "soft", "hard"):
            raise ValueError(
                f"assignment is {self.assignment!r}, expected 'soft', 'hard' or None for the family's own"
            )
        for name, least in (("n_components", 1), ("batch_size", 1), ("random_state", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is {value!r}, expected an integer >= {least}")
        if not isinstance(self.robust, bool):
            raise ValueError(f"robust is {self.robust!r}, expected True or False")  # noqa: TRY004  # as for all choices
        if self.lateness is not None:
            check_lateness(self.lateness)

    @property
    def family_value(self) -> Family:
        """The family that the name stands for."""
        return FAMILIES[self.family]

    @property
    def hard(self) -> bool:
        """Whether a learned row counts wholly for its likeliest component."""
        return (self.assignment or self.family_value.assignment) == "hard"

    def start_rows(self, d: int) -> int:
        """Rows in the reservoir when the start is settled: 100 a component, more where there are many
        features, 500 at least."""
        return max(500, self.n_components * max(100, 4 * d))
