"""What the figures favour, in words, and how sure that is."""

from __future__ import annotations

from .figures import Line, Result

STRONG = 10.0
"""A difference of twice the log-likelihood that is very strong evidence (Kass & Raftery 1995)."""

STABLE = 0.9
"""Two seeds that agree so far have found the same clusters."""

_SILHOUETTES = ((0.7, "far apart"), (0.5, "apart"), (0.25, "close together"))
"""From a silhouette of so much on clusters lie like this (Kaufman & Rousseeuw 1990, table 4)."""


def verdict(result: Result) -> str:
    """A few sentences: what most figures favour, what the others do, how the clusters lie, and how sure all
    of it is."""
    place = result.chosen
    if place is None:
        return "Nothing is favoured: no model learned enough rows to be judged."
    line = result.lines[place]
    agreeing, others = _opinions(result, place)
    head = f"{_favour(agreeing)} {named(result, place)}"
    if line.components == 1:
        head += ": no clusters are to be seen in these rows"
    parts = [f"{head}.", *others]
    if line.clusters is not None and line.clusters < line.components:
        many = "one cluster" if line.clusters == 1 else f"{line.clusters} clusters"
        parts.append(f"Where components that overlap are taken together, these are {many}.")
    return " ".join([*parts, *_lie(line), _sureness(result, place, agreeing)])


def named(result: Result, place: int) -> str:
    """A line as people call it: what tells it from the others."""
    line = result.lines[place]
    own = f"{line.components} component{'s' * (line.components > 1)} ({line.family})"
    alike = [other for other in result.lines if (other.components, other.family) == _kind(line)]
    return own if len(alike) == 1 else f"{line.name}, {own}"


def _kind(line: Line) -> tuple[int, str]:
    return line.components, line.family


def _opinions(result: Result, place: int) -> tuple[list[str], list[str]]:
    """The figures that favour as many components as the line at `place` has, and what the others say."""
    wanted = result.lines[place].components
    agreeing: list[str] = []
    others: dict[int, list[str]] = {}
    for name, at in result.favoured.items():
        if result.lines[at].components == wanted:
            agreeing.append(name)
        else:
            others.setdefault(at, []).append(name)
    said = [f"{_favour(names)} {named(result, at)}." for at, names in others.items()]
    denser = {"BIC", "the log-likelihood"}
    if any(denser & set(names) and result.lines[at].components > wanted for at, names in others.items()):
        said.append("A density may need more components than there are clusters.")
    return agreeing, said


def _favour(names: list[str]) -> str:
    """The names, and the verb."""
    listed = _listed(names)
    return f"{listed[0].upper()}{listed[1:]} favour{'s' * (len(names) == 1)}"


def _lie(line: Line) -> list[str]:
    said = []
    if line.silhouette is not None:
        words = next((words for least, words in _SILHOUETTES if line.silhouette >= least), "into one another")
        said.append(f"The clusters lie {words} (silhouette {line.silhouette:.2f}).")
    if line.stability is not None and line.components > 1:
        same = "the same clusters" if line.stability >= STABLE else "clusters that differ"
        said.append(f"Two seeds found {same} ({line.stability:.2f}).")
    return said


def _sureness(result: Result, place: int, agreeing: list[str]) -> str:
    line = result.lines[place]
    tried = {other.components for other in result.lines}
    edge = len(tried) > 1 and line.components == max(tried)
    doubts = []
    if edge:
        doubts.append("no larger number was tried")
    rival = _rival(result, place)
    if rival is not None and _margin(line, rival) < STRONG:
        word = "prefers" if _margin(line, rival) < 0 else "hardly tells it from"
        doubts.append(f"ICL {word} {rival.components}")
    if line.stability is not None and line.stability < STABLE:
        doubts.append("the seed matters")
    if len(agreeing) < min(3, len(result.favoured)):
        doubts.append(f"{len(agreeing)} of {len(result.favoured)} figures agree")
    if not doubts:
        return "This is sure, as far as one stream can tell."
    word = "fairly sure" if len(doubts) == 1 and len(agreeing) > 1 and not edge else "not sure"
    return f"This is {word}: {_listed(doubts)}."


def _rival(result: Result, place: int) -> Line | None:
    """The line of the least ICL among those with another number of components."""
    line = result.lines[place]
    rivals = [one for one in result.lines if one.components != line.components and one.icl is not None]
    return min(rivals, key=lambda one: one.icl or 0.0) if rivals else None


def _margin(line: Line, rival: Line) -> float:
    """The difference in ICL, of all rows that are remembered together."""
    return min(line.mass, rival.mass) * ((rival.icl or 0.0) - (line.icl or 0.0))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
