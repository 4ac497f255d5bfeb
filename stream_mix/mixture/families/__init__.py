"""Families of components: how moments become covariances. One file each; every file here that defines
`FAMILY` is in the table.

To add a family, write `families/name.py` with a `FAMILY`: which second moments it keeps, how they become
covariances under a prior, and how many free parameters it has. Kernels, memories, seeding, River,
scikit-learn and the service take it from the table.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from ..kernels.student import Student
from .family import Family, Parameters, estimate, grounded


def _table() -> Mapping[str, Family]:
    families: dict[str, Family] = {}
    for module in pkgutil.iter_modules(__path__):
        family = getattr(importlib.import_module(f"{__name__}.{module.name}"), "FAMILY", None)
        if family is not None:
            families[family.name] = family
    return MappingProxyType(families)


FAMILIES = _table()


@cache
def heavy(family: Family, degrees_of_freedom: float) -> Family:
    """The family with components of Student's t with so many degrees of freedom in place of normal ones."""
    return replace(family, student=Student(float(degrees_of_freedom)), compiled=False)


__all__ = ["FAMILIES", "Family", "Parameters", "estimate", "grounded", "heavy"]
