"""A model is a choice of a few small values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .families import FAMILIES, Family, heavy
from .lateness import check_lateness
from .memory import Forever, Memory, check_positive
from .priors import Prior

_EXPECTED = 20

MOST_DEGREES = 1e6
"""The most degrees of freedom. With so many Student's t is a normal distribution for all that rows can tell;
with more its density and its tail come from differences of ever larger logarithms, and rounding wins."""

AUTO = ("spherical", "diag", "tied", "full")
"""The families that are tried where nobody says which it is, those with fewer parameters first."""


@dataclass(frozen=True)
class Spec:
    """Family x assignment x memory x prior, with the number of components and how rows are batched.

    Attributes:
        n_components: number of components, k; with `up_to`, that of the moment.
        family: `kmeans`, `spherical`, `diag`, `tied` or `full`.
        assignment: `soft` or `hard`; None is the family's own (hard for kmeans, soft for the others).
        memory: `Forever()`, `HalfLife(rows)`, `TimeHalfLife(seconds)`, `Window(rows)`, `Decreasing(exponent,
            rows)`, `Averaged(exponent, rows)` or `Adaptive(rates)`.
        prior: pseudo-rows and floors.
        batch_size: rows that are learned at once; batches are cut by count, so how rows arrive in groups
            changes nothing.
        random_state: seed of every random choice.
        watch: whether the running log-likelihood is kept. Without it hard assignment needs no exponentials.
        lateness: seconds of event time by which a row may be older than the newest before it; one that is
            older still is left out and counted. None: none is.
        degrees_of_freedom: components are Student's t with so many of them, a million at most, which rows far
            out hardly move, and covariances are their scale matrices. None: components are normal.
        robust: whether a background takes rows that no component accounts for (background.py): components do
            not learn from them, and their label is -1.
        families: the rows say which of these families it is (`contest`), and `family` is that of the moment.
            None of them: `family` says it.
        up_to: the rows say how many components there are (`choosing`), so many at the most. None:
            `n_components` says it.

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
    up_to: int | None = None
    degrees_of_freedom: float | None = None
    families: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"family is {self.family!r}, expected one of {', '.join(map(repr, sorted(FAMILIES)))}"
            )
        if self.families:
            self._check_families()
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
        if (degrees := self.degrees_of_freedom) is not None:
            check_positive(degrees, "degrees_of_freedom", "degrees")
            if degrees > MOST_DEGREES:
                raise ValueError(
                    f"degrees_of_freedom is {degrees}, expected {MOST_DEGREES:g} at most, or None"
                )
            if FAMILIES[self.family].equal_weights:
                raise ValueError(
                    f"degrees_of_freedom is {degrees}, expected None with family {self.family!r}"
                )
        most = self.up_to
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise ValueError(f"up_to is {most!r}, expected an integer >= 1 or None")
        if most is not None and self.family_value.equal_weights:
            raise ValueError(
                f"up_to is {most}, expected None with family {self.family!r}: equal spheres cover any cluster"
                " that is not one of them with several"
            )
        if most is not None and most < self.n_components:
            raise ValueError(f"up_to is {most}, expected {self.n_components} at least, as many as there are")

    def _check_families(self) -> None:
        mixtures = sorted(name for name, family in FAMILIES.items() if not family.equal_weights)
        if len({*self.families}) < len(self.families) or not {*self.families} <= {*mixtures}:
            known = ", ".join(map(repr, mixtures))
            raise ValueError(f"families are {self.families!r}, expected some of {known}, each once")
        if self.family not in self.families:
            raise ValueError(f"family is {self.family!r}, expected one of the families {self.families!r}")

    @property
    def family_value(self) -> Family:
        """The family that the name stands for."""
        family, degrees = FAMILIES[self.family], self.degrees_of_freedom
        return family if degrees is None else heavy(family, degrees)

    @property
    def most(self) -> int:
        """The most components that there may be."""
        return self.up_to or self.n_components

    @property
    def hard(self) -> bool:
        """Whether a learned row counts wholly for its likeliest component."""
        return (self.assignment or self.family_value.assignment) == "hard"

    def start_rows(self, d: int) -> int:
        """Rows in the reservoir when the start is settled: 100 a component, more where there are many
        features, 500 at least. Where the rows say how many there are, twenty components are reckoned with."""
        k = self.n_components if self.up_to is None else max(self.n_components, min(self.up_to, _EXPECTED))
        return max(500, k * max(100, 4 * d))

    @property
    def asked(self) -> Spec:
        """The specification as a model begins with it, whatever number of components and which family its
        rows asked for."""
        k = self.n_components if self.up_to is None else 1
        family = self.families[0] if self.families else self.family
        same = (k, family) == (self.n_components, self.family)
        return self if same else replace(self, n_components=k, family=family)


def named_family(name: str) -> dict[str, Any]:
    """The fields of a `Spec` for a family's name, or for "auto".

    >>> named_family("diag"), Spec(**named_family("auto")).family
    ({'family': 'diag'}, 'spherical')
    """
    return {"family": AUTO[0], "families": AUTO} if name == "auto" else {"family": name}
