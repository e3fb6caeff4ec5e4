"""Which tests judge a mutant, where there is no time for all that run its line.

Hundreds of tests run a line of the engine, most of them on the way to something else. Preferred are tests whose file
imports the mutant's module, and then those that run little in all: what they assert is about that little. Beyond that
they are taken from as many kinds as possible: of tests that run the same lines of the mutant's file, the first few tell
what all would.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from itertools import zip_longest


class Bond(IntEnum):
    """What the file of a test has to do with a mutant; the closest first."""

    MEANT = 0  # it is there for such changes
    FUNCTION = 1  # it imports the module and names the function
    MODULE = 2  # it imports the module, or something from it
    NONE = 3


@dataclass(frozen=True)
class Candidate:
    """A test that runs the mutant's line. `lines`: what it runs of the mutant's file; `size`: how many lines of the
    project in all.
    """

    test: str
    seconds: float
    bond: Bond
    lines: frozenset[int]
    size: int

    @property
    def rank(self) -> tuple[int, int, float, str]:
        """The better, the less."""
        return self.bond, self.size, self.seconds, self.test


def choose(candidates: Iterable[Candidate], budget: float) -> list[str]:
    """Tests that take no longer than `budget` in all (seconds): those about the module first, the fastest of them
    first; all where there is time for all. Those about the module have half of the time for them before the others.
    """
    ranked = sorted(candidates, key=lambda one: one.rank)
    near = list(_in_turns(one for one in ranked if one.bond != Bond.NONE))
    far = list(_in_turns(one for one in ranked if one.bond == Bond.NONE))
    chosen = _within(near, budget / 2)
    chosen += _within(far, budget - sum(one.seconds for one in chosen))
    left = [one for one in near if one not in chosen]
    chosen += _within(left, budget - sum(one.seconds for one in chosen))
    return [one.test for one in sorted(chosen, key=lambda one: (one.bond, one.seconds, one.test))]


def _within(candidates: Iterable[Candidate], budget: float) -> list[Candidate]:
    """Those for which there is still time when their turn comes."""
    chosen = []
    for candidate in candidates:
        if candidate.seconds <= budget:
            chosen.append(candidate)
            budget -= candidate.seconds
    return chosen


def _in_turns(ranked: Iterable[Candidate]) -> Iterator[Candidate]:
    """The best of each kind, the kinds with the best ones first; then the second of each, and so on."""
    kinds: defaultdict[tuple[Bond, frozenset[int]], list[Candidate]] = defaultdict(list)
    for candidate in ranked:
        kinds[candidate.bond, candidate.lines].append(candidate)
    return (one for turn in zip_longest(*kinds.values()) for one in turn if one is not None)


def bond(source: str, module: str, function: str) -> Bond:
    """Of a file of tests with a module (`chain.settlement.nonces`) and a function in it (qualified; "" is none)."""
    imported, named = _words(source)
    if module not in imported:
        return Bond.NONE
    return Bond.FUNCTION if function and function.rpartition(".")[2] in named else Bond.MODULE


@cache
def _words(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a file imports, dotted: modules, and what is taken from them with their modules. And what it names: names,
    attributes and strings (`monkeypatch.setattr(nonces, "_is_too_high", ...)`).
    """
    imported: set[str] = set()
    named: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                imported |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(module), names=aliases):
                imported |= {module, *(f"{module}.{alias.name}" for alias in aliases)}
                named |= {alias.name for alias in aliases}
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                named.add(name)
    return frozenset(imported), frozenset(named)
