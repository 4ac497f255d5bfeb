"""The stream as a fold, `step(state, event) -> (state, effects)`: no sockets, files, clocks or logging here.

Begin with `events`, what may happen and what may come of it; then `state`, what is known, and `fold`, the
step itself.
"""

from .done import Done, Refusal
from .events import (
    Ask,
    Assigned,
    Effect,
    Event,
    Frames,
    Greet,
    Publish,
    Refuse,
    Rejected,
    Reply,
    Stop,
    Tick,
)
from .fold import step
from .state import Counters, EngineState, Learner, Mark, Plan, afresh, from_state, new, state_hash, to_state

__all__ = [
    "Ask",
    "Assigned",
    "Counters",
    "Done",
    "Effect",
    "EngineState",
    "Event",
    "Frames",
    "Greet",
    "Learner",
    "Mark",
    "Plan",
    "Publish",
    "Refusal",
    "Refuse",
    "Rejected",
    "Reply",
    "Stop",
    "Tick",
    "afresh",
    "from_state",
    "new",
    "state_hash",
    "step",
    "to_state",
]
