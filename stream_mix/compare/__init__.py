"""Several models over one recorded stream, side by side: how many clusters, and is this clustering any good?

`source` reads the rows, `runs` learns them, `figures` is what came of it, `words` says what that favours,
`picture` draws it. Every model sees the same rows in the same order, once.
"""

from .figures import Line, Result
from .runs import Entry, compare
from .source import Piece, pieces
from .words import verdict

__all__ = ["Entry", "Line", "Piece", "Result", "compare", "pieces", "verdict"]
