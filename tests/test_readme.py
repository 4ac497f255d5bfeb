"""What README.md shows, works: Python blocks run, configurations load, commands and files exist.

A block after the comment ``<!-- not run: REASON -->`` is skipped with that reason.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stream_mix.config import loads, markdown
from stream_mix.config.table import BEGIN, END

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
TEXT = README.read_text() if README.is_file() else ""

_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]*?) -->[ \t]*\n+)?"
    r"^```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    language: str
    line: int
    code: str
    reason: str | None


def blocks(text: str) -> list[Block]:
    return [
        Block(match["language"], text.count("\n", 0, match.start("code")) + 1, match["code"], match["reason"])
        for match in _BLOCK.finditer(text)
    ]


def each(*languages: str) -> Any:
    params = [
        pytest.param(
            block,
            id=f"line-{block.line}",
            marks=[pytest.mark.skip(reason=block.reason)] if block.reason else [],
        )
        for block in blocks(TEXT)
        if block.language in languages
    ]
    return pytest.mark.parametrize("block", params)


# Runs the blocks in one namespace, as for a reader who pastes them one after another; keeps tracebacks.
_RUNNER = """
import json, sys, traceback
namespace, answers = {"__name__": "__main__"}, {}
with open(sys.argv[1]) as file:
    blocks = json.load(file)
for line, code in blocks:
    try:
        exec(compile("\\n" * (line - 1) + code, "README.md", "exec"), namespace)
        answers[line] = ""
    except BaseException:
        answers[line] = traceback.format_exc()
with open(sys.argv[2], "w") as file:
    json.dump(answers, file)
"""


@pytest.fixture(scope="module")
def python_answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Line of each Python block -> its traceback, or nothing."""
    return run_python(blocks(TEXT), tmp_path_factory.mktemp("readme"))


def run_python(found: list[Block], folder: Path) -> dict[str, str]:
    asked, told, cwd = folder / "blocks.json", folder / "answers.json", folder / "cwd"
    cwd.mkdir()
    asked.write_text(json.dumps([(b.line, b.code) for b in found if b.language == "python" and not b.reason]))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _RUNNER, asked, told],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if not told.is_file():
        pytest.fail(f"the Python blocks of README.md ended their process: {done.stderr[-2000:]}")
    answers: dict[str, str] = json.loads(told.read_text())
    return answers


@each("python")
def test_python_block_runs(block: Block, python_answers: dict[str, str]) -> None:
    answer = python_answers[str(block.line)]
    assert not answer, answer


@each("toml")
def test_toml_block_loads(block: Block) -> None:
    loads(block.code, f"README.md line {block.line}")


@each("bash", "sh", "console")
def test_shell_block_names_what_exists(block: Block) -> None:
    for words in re.findall(r"stream-mix((?: +[a-z][a-z-]*)*)", block.code):
        check_command(words.split())
    for path in re.findall(r"(?<![\w/.-])(?:\.ci|scripts|configs|tests|workers)/[\w./-]*\w", block.code):
        assert (ROOT / path).exists(), f"README.md line {block.line}: no {path} in the repository"


def check_command(words: list[str]) -> None:
    """Follow words down the tree of commands; the first that is no command must be an argument of a leaf."""
    import typer.main

    from stream_mix.cli import app

    command: Any = typer.main.get_command(app)
    for word in words:
        commands = getattr(command, "commands", None)
        if commands is None:
            return
        assert word in commands, f"stream-mix {' '.join(words)}: {word} is none of {sorted(commands)}"
        command = commands[word]


def test_configuration_table_is_current() -> None:
    if not (BEGIN in TEXT and END in TEXT):
        pytest.skip(f"README.md has no {BEGIN}")
    shown = TEXT[TEXT.index(BEGIN) : TEXT.index(END) + len(END)]
    assert shown == markdown(), "paste what `python -m stream_mix.config` prints"


def test_blocks_are_found_as_written(tmp_path: Path) -> None:
    text = "\n".join([
        "```python", "x = 1", "```", "", "<!-- not run: needs a feed -->", "```python", "1 / 0", "```",
        "```python", "assert x == 1", "y = 1 / 0", "```",
        "```python", "import warnings", "warnings.warn('w')", "```",
        "```toml", "[[models]]", "```", "",
    ])  # fmt: skip
    found = blocks(text)
    assert [(b.language, b.line, b.reason) for b in found] == [
        ("python", 2, None), ("python", 7, "needs a feed"), ("python", 10, None), ("python", 14, None),
        ("toml", 18, None),
    ]  # fmt: skip
    answers = run_python(found, tmp_path)
    assert list(answers) == ["2", "10", "14"]
    assert answers["2"] == ""
    assert 'File "README.md", line 11' in answers["10"]
    assert "ZeroDivisionError" in answers["10"]
    assert "UserWarning: w" in answers["14"]
