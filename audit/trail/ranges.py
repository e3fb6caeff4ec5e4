"""Checks a range of blocks against their entries: the inner loop of verification."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from json import loads
from typing import Any, TypeVar

from bson.errors import BSONError
from django.db import DatabaseError

from audit.models import AuditEntry
from audit.trail import reading
from audit.trail.canonical import entry_mac
from audit.trail.keys import verifying_keys
from audit.trail.reading import StoredBlock, StoredEntry

T = TypeVar("T")

INCIDENT_PREFIX = "audit.incident."
UNREADABLE = (DatabaseError, ValueError, BSONError)


@dataclass(frozen=True, order=True)
class TrailFinding:
    """A record that is not as it was written: `kind` (edited, deleted, inserted, block, incident, anchor, witness)."""

    sequence: int  # 0 where it has none
    kind: str
    entry_id: str
    text: str

    def __str__(self) -> str:
        place = f"entry {self.sequence} " if self.sequence else ""
        return f"{self.kind}: {place}{self.entry_id and f'({self.entry_id}) '}{self.text}"


@dataclass
class RangeReport:
    """What a range of blocks holds, and what is wrong there; `first_*` and `last_*` link it to its neighbours."""

    entries: int = 0
    findings: list[TrailFinding] = field(default_factory=list)
    first_previous_hash: str = ""
    first_sequence: int = 0
    last_hash: str = ""
    next_sequence: int = 0


@dataclass(frozen=True)
class _Joint:
    previous_hash: str
    first_sequence: int


def check_range(first: int, last: int) -> RangeReport:
    """Check the blocks `first` to `last`, both included, which the chain should have."""
    try:
        return _check(first, last)
    except UNREADABLE as error:
        if first == last:
            return _check_unreadable(first, error)
        middle = (first + last) // 2  # something there cannot be read: halve the range until it is found
        return join(check_range(first, middle), check_range(middle + 1, last), middle + 1)


def join(left: RangeReport, right: RangeReport, number: int) -> RangeReport:
    """Both as one; the right one begins with block `number`."""
    findings = left.findings + right.findings
    if left.last_hash and right.first_previous_hash:
        joint = _Joint(right.first_previous_hash, right.first_sequence)
        findings += _link_findings(left.last_hash, left.next_sequence, joint, number)
    return RangeReport(
        left.entries + right.entries,
        findings,
        left.first_previous_hash or right.first_previous_hash,
        left.first_sequence or right.first_sequence,
        right.last_hash,
        right.next_sequence,
    )


def _check(first: int, last: int) -> RangeReport:
    numbers = range(first, last + 1)
    entries = _aligned(reading.entries_of_blocks(first, last), lambda entry: entry.block, numbers)
    blocks = _aligned(reading.blocks(first, last), lambda block: block.number, numbers)
    report = RangeReport()
    for number, mine, found in zip(numbers, blocks, entries, strict=True):
        strays = [block for block in mine if block.number != number]
        block = mine[-1] if len(mine) > len(strays) else None
        report.findings += [
            TrailFinding(0, "inserted", "", f"block {stray.number} is no number of the chain") for stray in strays
        ]
        _check_block(report, number, block, found)
    return report


def _aligned(items: Iterator[T], number_of: Callable[[T], Any], numbers: range) -> Iterator[list[T]]:
    """For each number the items that have it; `items` come in its order. Others (5.5 on SQLite) go with the next."""
    item = next(items, None)
    for number in numbers:
        mine = []
        while item is not None and number_of(item) <= number:
            mine.append(item)
            item = next(items, None)
        yield mine


def _check_block(report: RangeReport, number: int, block: StoredBlock | None, found: list[StoredEntry]) -> None:
    report.entries += len(found)
    if block is None:
        report.findings.append(TrailFinding(report.next_sequence, "deleted", "", f"block {number} is gone"))
        report.findings += [TrailFinding(0, "inserted", entry.id, f"its block {number} is gone") for entry in found]
        report.last_hash, report.next_sequence = "", 0  # the next one cannot be linked to it
        return
    if block.hash != block.computed_hash:
        report.findings.append(
            TrailFinding(block.first_sequence, "block", "", f"block {number} was altered: its hash differs")
        )
    if report.last_hash:
        report.findings += _link_findings(report.last_hash, report.next_sequence, block, number)
    elif not report.first_previous_hash:
        report.first_previous_hash, report.first_sequence = block.previous_hash, block.first_sequence
    report.findings += _member_findings(block, {entry.id: entry for entry in found})
    report.last_hash, report.next_sequence = block.hash, block.first_sequence + block.size


def _link_findings(last_hash: str, next_sequence: int, block: Any, number: int) -> Iterator[TrailFinding]:
    if block.previous_hash != last_hash:
        yield TrailFinding(block.first_sequence, "block", "", f"block {number} does not follow the block before it")
    if block.first_sequence != next_sequence:
        yield TrailFinding(block.first_sequence, "block", "", f"block {number} should begin with entry {next_sequence}")


def _member_findings(block: StoredBlock, entries: dict[str, StoredEntry]) -> Iterator[TrailFinding]:
    """Checks each entry against its digest in the block."""
    keys = verifying_keys()
    try:
        members = [(str(key), str(digest)) for key, digest in loads(block.members)]
    except (ValueError, TypeError):
        # The block's own hash already says that it was altered; what is left of its entries' proof is the mac.
        members = [(key, entry.digest) for key, entry in entries.items()]
    for sequence, (key, digest) in enumerate(members, start=block.first_sequence):
        entry = entries.pop(key, None)
        if entry is None:
            yield TrailFinding(sequence, "deleted", key, "is gone")
        elif entry.digest != digest:
            yield TrailFinding(sequence, "edited", key, "was altered")
        elif not any(entry_mac(digest, secret) == entry.mac for secret in keys):
            yield TrailFinding(
                sequence, "edited", key, "is not signed by one of our keys: forged, or its mac was altered"
            )
        elif entry.action.startswith(INCIDENT_PREFIX):
            yield TrailFinding(sequence, "incident", key, entry.action.removeprefix(INCIDENT_PREFIX))
    for key in entries:
        yield TrailFinding(0, "inserted", key, f"is not among the entries of its block {block.number}")


def _check_unreadable(number: int, error: Exception) -> RangeReport:
    """For a block that the database cannot return: find and name the unreadable row."""
    report = RangeReport(findings=[TrailFinding(0, "block", "", f"block {number} cannot be read: {error}")])
    try:
        block = next(reading.blocks(number, number), None)
        members = [str(key) for key, _ in loads(block.members)] if block else []
    except UNREADABLE:
        return report
    if block is not None:
        report.first_previous_hash, report.first_sequence = block.previous_hash, block.first_sequence
        report.last_hash, report.next_sequence = block.hash, block.first_sequence + block.size
        report.findings = [
            TrailFinding(block.first_sequence + place, "edited", key, "cannot be read")
            for place, key in enumerate(members)
            if not _is_readable(key)
        ] or report.findings
    return report


def _is_readable(key: str) -> bool:
    try:
        return [entry.id for entry in reading.stream(AuditEntry.objects.filter(pk=key))] == [key]
    except UNREADABLE:
        return False
