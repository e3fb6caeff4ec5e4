"""What a mutant is made of."""

import dataclasses
from collections.abc import Callable
from typing import Any

Change = Callable[[], None]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """`change` breaks the engine; each of `noticed_by` must fail on it."""

    change: Change
    noticed_by: tuple[str, ...]


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put `make(original)` in the place of an attribute that exists."""
    setattr(owner, name, make(getattr(owner, name)))


def faults(file: str, *tests: str) -> tuple[str, ...]:
    """The names of tests of one file, as pytest calls them."""
    return tuple(f"tests/{file}.py::{test}" for test in tests)
