"""Where heads of the trail were made public. `audit` knows no chain; the app that anchors registers itself."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Anchor:
    """The hash of the block that ends with this sequence number, as it stood publicly at `time` (Unix seconds)."""

    sequence: int
    head: str
    time: int


class AnchorsUnreadable(Exception):
    """The place where the anchors are does not answer."""


AnchorSource = Callable[[], list[Anchor] | None]
_sources: list[AnchorSource] = []


def register(source: AnchorSource) -> None:
    """Ask `source` for all anchors, oldest first; it answers None where anchoring is not set up."""
    if source not in _sources:
        _sources.append(source)


def read_anchors() -> list[Anchor] | None:
    """The anchors of all sources; None where there is none to ask. Raises `AnchorsUnreadable`."""
    answers = [source() for source in _sources]
    known = [answer for answer in answers if answer is not None]
    return [anchor for answer in known for anchor in answer] if known else None
