"""How every command ends: its exit code, and one line where it could not do what it was asked to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from typer.core import TyperGroup

OK, FAILED, BAD_INPUT, BUG, INTERRUPTED = 0, 1, 2, 70, 130
CODES = "Exit codes: 0 done; 1 a check failed; 2 bad input or no engine (one line says which); 130 Ctrl-C."
"""The end of every help text."""

_EXTRAS = {
    "pyarrow": "parquet", "pandas": "pandas", "polars": "polars", "sklearn": "sklearn", "matplotlib": "plot",
}  # fmt: skip


class Commands(TyperGroup):
    """The root of the commands; nothing that a person can mend leaves it as a traceback."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run one command line, report, and exit."""
        extra["standalone_mode"] = False
        sys.exit(ended(lambda: super(Commands, self).main(*args, **extra)))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; where the reader of its output has gone, that is an end like any other."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return _unheard()


def ended(work: Callable[[], Any]) -> int:
    """The exit code of `work`, which returns one or None; what went wrong is one line on standard error."""
    try:
        code = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _unheard()
    except Exception as error:
        code, line = explained(error)
        if line:
            complain(line)
        return code
    return code if isinstance(code, int) else OK


def explained(error: Exception) -> tuple[int, str]:
    """The exit code for an error and the line that says it.

    >>> explained(FileNotFoundError(2, "No such file or directory", "a.csv"))
    (2, 'a.csv: no such file or directory')
    >>> explained(ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow"))
    (2, "needs pyarrow, which is not installed: pip install 'stream_mix[parquet]'")
    """
    if hasattr(error, "format_message"):  # a wrong command line, which the parser explains
        message = error.format_message()  # empty where a group without a command has printed its help
        line = _one_line(f"{message}{_help_hint(error)}") if message else ""
        return getattr(error, "exit_code", BAD_INPUT), line
    if isinstance(error, ModuleNotFoundError) and (top := (error.name or "").split(".")[0]) in _EXTRAS:
        return BAD_INPUT, f"needs {top}, which is not installed: pip install 'stream_mix[{_EXTRAS[top]}]'"
    if isinstance(error, OSError) and error.filename is not None:
        return BAD_INPUT, _one_line(f"{error.filename}: {(error.strerror or str(error)).lower()}")
    foreign = type(error).__module__.startswith(("zmq", "sqlite3"))
    if foreign or isinstance(error, ValueError | OSError | MemoryError):
        return BAD_INPUT, _one_line(str(error) or type(error).__name__)
    if "STREAMMIX_TRACEBACK" in os.environ:
        raise error
    place = _place(error)
    return BUG, _one_line(
        f"a bug of stream_mix: {type(error).__name__}: {error} ({place}); STREAMMIX_TRACEBACK=1 shows more"
    )


def _unheard() -> int:
    """Whoever read the output has seen enough; Python would complain when it flushes what is left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


def complain(line: str, word: str = "error") -> None:
    """Write one line to standard error, red where that is a terminal."""
    red, plain = ("\033[31m", "\033[0m") if colourful() else ("", "")
    print(f"{red}{word}: {line}{plain}", file=sys.stderr, flush=True)


def colourful() -> bool:
    """Whether standard error is a terminal whose owner has nothing against colour (no-color.org)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def _help_hint(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f" ({context.command_path} --help)" if context is not None else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
