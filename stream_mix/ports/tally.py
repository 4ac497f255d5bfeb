"""What the loop counts beside the engine's own counters."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Sums since the start."""

    rejected: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    queries: int = 0
    checkpoints: int = 0

    def reject(self, code: str) -> None:
        """One more frame refused for this reason."""
        self.rejected[code] = self.rejected.get(code, 0) + 1
