"""``[[models]]``: a model of the stream, and what it is to the mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from stream_mix.config.values import (
    Components,
    Count,
    Degrees,
    Name,
    NotNegative,
    PositiveOrAuto,
    Seconds,
    Section,
    Truth,
    rule,
)

if TYPE_CHECKING:
    from stream_mix.mixture import Spec


class Model(Section):
    """``[[models]]``: a model of the stream. At most one memory; without one, nothing is forgotten."""

    name: Name = "mixture"
    """names the model in topics and commands"""
    family: Literal["kmeans", "spherical", "diag", "tied", "full", "auto"] = "full"
    """equal spheres, spheres, upright ellipses, one ellipse for all, any; "auto": which foretells best"""
    n_components: Components = 8
    """number of components; "auto": as many as the rows speak for, and anew as they come"""
    up_to: Count = 64
    """most components where `n_components` is "auto" """
    assignment: Literal["soft", "hard"] | None = None
    """a row counts for components by share, or for the best alone; absent: kmeans hard, the others soft"""
    half_life: PositiveOrAuto | None = None
    """memory: rows after which a row counts half; "auto": what foretells the stream best"""
    time_half_life: Seconds | None = None
    """memory: event time after which a row counts half; seconds, or text such as "10m" or "2h" """
    window: Count | None = None
    """memory: only about the last so many rows count"""
    step_exponent: Annotated[float, Field(strict=True, gt=0.5, le=1.0, allow_inf_nan=False)] | None = None
    """memory: about rows^step_exponent rows count, > 0.5 and <= 1: the first ones are forgotten, slowly"""
    averaged: Truth = False
    """true: such steps, by 0.6 unless given, averaged over the second half of the stream"""
    batch_size: Count = 256
    """rows learned at once; rows wait until their batch is full"""
    lateness: Seconds | None = None
    """event time by which a row may be older than the newest before it; older ones are judged, not learned"""
    degrees_of_freedom: Degrees | None = None
    """components are Student's t of so many (4 usual, 1e6 most); outliers hardly move them; absent: normal"""
    robust: bool = False
    """true: rows that no component accounts for are labelled -1 and not learned from"""
    random_state: Annotated[int, Field(strict=True, ge=0, lt=1 << 32)] = 0
    """seed of the start"""
    reg_covar: NotNegative = 1e-6
    """added to every variance, in squared scales of the feature"""

    @model_validator(mode="after")
    def _one_memory(self) -> Model:
        keys = "half_life", "time_half_life", "window", "step_exponent", "averaged"
        given = [key for key in keys if getattr(self, key) not in (None, False)]
        if len(given) > 1 and not {"step_exponent", "averaged"} >= set(given):
            raise rule(f"found {' and '.join(given)}, expected at most one memory")
        return self

    @model_validator(mode="after")
    def _number_of_spheres(self) -> Model:
        if self.family == "kmeans" and self.n_components == "auto":
            raise rule('found n_components "auto" with family "kmeans", expected a number or another family')
        if self.family == "kmeans" and self.degrees_of_freedom is not None:
            raise rule('found degrees_of_freedom with family "kmeans", expected another family')
        return self

    def spec(self) -> Spec:
        """Return the mixture's own description of this model."""
        from stream_mix import mixture
        from stream_mix.mixture.memories import memory_of

        auto = self.n_components == "auto"
        k = 1 if self.n_components == "auto" else self.n_components
        given = self.half_life, self.time_half_life, self.window, self.step_exponent, self.averaged
        return mixture.Spec(
            n_components=k,
            up_to=self.up_to if auto else None,
            **mixture.named_family(self.family),
            assignment=self.assignment,
            memory=memory_of(*given, n_components=k, batch_size=self.batch_size),
            prior=mixture.Prior(reg_covar=self.reg_covar),
            batch_size=self.batch_size,
            random_state=self.random_state,
            lateness=self.lateness,
            degrees_of_freedom=self.degrees_of_freedom,
            robust=self.robust,
        )
