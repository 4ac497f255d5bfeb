"""What the loop counts, for the metrics."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """What the loop counts beside the engine's own counters; the lag is that of the latest group, from the
    first look at its frames to what was said of them."""

    rejected: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    checkpoints: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    lag_seconds: float = 0.0

    def reject(self, code: str) -> None:
        """One more frame refused for this reason."""
        self.rejected[code] = self.rejected.get(code, 0) + 1
