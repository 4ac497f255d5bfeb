"""Online mixtures: arrays in, arrays out. No sockets, files, clocks or logging here.

Begin with `moments`, the idea that carries everything; then `families` (what a component is), `em` (the two
steps), `seeding` (the start), `memory` (what is forgotten) and `learning` (how rows change a model). How good
a clustering is, say `validity`, `overlap` and `agreement`.
"""

from .adaptive import Adaptive, Choice
from .basis import Basis
from .changes import Change
from .families import FAMILIES, Family, Parameters, estimate
from .health import health
from .learning import Learned, expand, flush, judge_batches, learn, rows_until_batch
from .memory import Forever, HalfLife, Memory, TimeHalfLife, Window
from .merging import Match, Merged, merge
from .model import Model, Posterior, parameters, posterior
from .moments import Moments, MomentsMismatch
from .overlap import clusters, overlaps
from .priors import MAXIMUM_LIKELIHOOD, Prior
from .remoteness import remoteness
from .rows import Rows
from .sharding import shards
from .spec import AUTO, Spec, named_family
from .state import from_state, state_hash, to_state
from .steps import Averaged, Decreasing
from .validity import Validity, measured, stability

__all__ = [
    "AUTO",
    "FAMILIES",
    "MAXIMUM_LIKELIHOOD",
    "Adaptive",
    "Averaged",
    "Basis",
    "Change",
    "Choice",
    "Decreasing",
    "Family",
    "Forever",
    "HalfLife",
    "Learned",
    "Match",
    "Memory",
    "Merged",
    "Model",
    "Moments",
    "MomentsMismatch",
    "Parameters",
    "Posterior",
    "Prior",
    "Rows",
    "Spec",
    "TimeHalfLife",
    "Validity",
    "Window",
    "clusters",
    "estimate",
    "expand",
    "flush",
    "from_state",
    "health",
    "judge_batches",
    "learn",
    "measured",
    "merge",
    "named_family",
    "overlaps",
    "parameters",
    "posterior",
    "remoteness",
    "rows_until_batch",
    "shards",
    "stability",
    "state_hash",
    "to_state",
]
