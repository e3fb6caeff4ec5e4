"""Which findings two runs of different blocks confirm, and since when something is in motion. Pure.

One run may be wrong (a node, a bug of the comparison); what is found again at another block, the same figure of the
same subject, is confirmed and acted on. What is in motion for too many blocks is reported, once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loans.reconciliation.findings import BooksFinding

MOST_STORED = 1_000  # of what is in motion, the oldest; all are counted


@dataclass(frozen=True)
class Sighting:
    """A finding, with the block of the run that saw it first; `is_confirmed` where an earlier run saw it too."""

    finding: BooksFinding
    since_block: int
    is_confirmed: bool

    def as_json(self) -> dict[str, object]:
        """The form that is stored and printed."""
        return {**self.finding.as_json(), "sinceBlock": self.since_block, "stands": self.is_confirmed}

    def __str__(self) -> str:
        return f"{self.finding} ({f'since block {self.since_block}' if self.is_confirmed else 'seen once'})"


@dataclass(frozen=True)
class Motion:
    """Something under way since a block; `overdue` for too long, `reported` where it was logged before."""

    subject: str
    since_block: int
    overdue: bool
    reported: bool

    def as_json(self) -> dict[str, object]:
        """The form that is stored and printed."""
        reported = self.reported or self.overdue
        return {"subject": self.subject, "sinceBlock": self.since_block, "overdue": self.overdue, "told": reported}


def sightings_of(
    findings: Iterable[BooksFinding], *, before: Iterable[Mapping[str, Any]], block_number: int
) -> list[Sighting]:
    """The findings of a run at this block; `before` are those of the run before, as they are stored."""
    seen = {(found["subject"], found["what"]): int(found.get("sinceBlock", block_number)) for found in before}
    return [
        Sighting(finding, since, is_confirmed=since != block_number)
        for finding in findings
        for since in [seen.get(finding.figure, block_number)]
    ]


def motions_of(
    moving: Mapping[str, int | None], *, before: Iterable[Mapping[str, Any]], block_number: int, overdue_blocks: int
) -> list[Motion]:
    """What is in motion in a run at this block, the oldest first; None: since it was seen so first."""
    known = {item["subject"]: item for item in before}
    found = []
    for subject, block in moving.items():
        earlier = known.get(subject)
        since = block if block is not None else int(earlier["sinceBlock"]) if earlier else block_number
        overdue = block_number - since >= overdue_blocks
        reported = overdue and earlier is not None and bool(earlier["told"])
        found.append(Motion(subject, since, overdue=overdue, reported=reported))
    return sorted(found, key=lambda motion: (motion.since_block, motion.subject))


def motions_to_store(found: Sequence[Motion]) -> list[dict[str, object]]:
    """Those that are stored for the next run, as JSON."""
    return [motion.as_json() for motion in found[:MOST_STORED]]
