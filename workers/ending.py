"""How a worker ends: its exit code, and one line where it could not do what it was asked to."""

from __future__ import annotations

import sys
from collections.abc import Callable

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""All well; a check failed; something given cannot be used; Ctrl-C."""


def note(line: str) -> None:
    """Say on standard error what is odd about an input that is used all the same."""
    print(f"note: {line}", file=sys.stderr)


def ended(name: str, work: Callable[[], int]) -> int:
    """The exit code of `work`; errors that people can act on become one line, and Ctrl-C is no error.

    >>> ended("demo", lambda: 0)
    0
    """
    try:
        return work()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; without this Python complains when it flushes at exit.
        sys.stdout = None
        return OK
    except (ValueError, OSError) as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
