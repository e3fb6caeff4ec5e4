"""Where heads of the trail were made public. `audit` knows no chain: the app that anchors answers its signal."""

from dataclasses import dataclass
from typing import Any

from audit.signals import anchors_asked_for


@dataclass(frozen=True)
class Anchor:
    """The hash of the block that ends with this sequence number, published at `time` (Unix seconds)."""

    sequence: int
    head: str
    time: int


class AnchorsUnreadable(Exception):
    """The anchors cannot be read now."""


def known_anchors() -> list[Anchor] | None:
    """All anchors, oldest first; None where anchoring is not set up. Raises `AnchorsUnreadable`."""
    answers: list[Any] = [answer for _, answer in anchors_asked_for.send(sender=None)]
    known: list[list[Anchor]] = [answer for answer in answers if answer is not None]
    return [anchor for answer in known for anchor in answer] if known else None
