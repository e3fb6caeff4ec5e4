"""Verifies the whole trail: chain, entries, anchors. Streams rows, and divides the work among processes.

It finds: an entry or block that was edited, deleted, inserted or moved; blocks missing at the end, as far as the
anchors on the chain or Redis know of them; incidents that the sealer recorded. Source: docs/audit.md.
"""

import datetime as dt
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import django
from django.db import connections

from audit import selectors
from audit.models import AuditEntry
from audit.trail import anchors, reading, witness
from audit.trail.canonical import FIRST_PREVIOUS
from audit.trail.ranges import INCIDENT_PREFIX, RangeReport, TrailFinding, check_range, join
from partner_platform.core import clock

BLOCKS_A_TASK = 100
PARALLEL_FROM_BLOCKS = 1_000  # below it, a process takes longer to start than to help
STALE_SECONDS = 60


@dataclass
class Verification:
    """What was checked and what was found; `notes` say what could not be checked, and are no findings."""

    entries: int = 0
    blocks: int = 0
    unsealed: int = 0
    anchors: int = 0
    head: str = FIRST_PREVIOUS
    findings: list[TrailFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify_trail(*, processes: int = 1, with_anchors: bool = True) -> Verification:
    """Check everything that is sealed so far, and entries that wait. Raises `anchors.AnchorsUnreadable`."""
    result = Verification()
    known = anchors.known_anchors() if with_anchors else None  # first: the trail is at least as long as these
    remembered = witness.remembered_head()
    newest = selectors.newest_block()
    if newest is not None:
        result.blocks, result.head = newest.number, newest.hash
        _take_chain(result, _check_blocks(newest.number, processes))
    _check_outside(result)
    _check_anchors(result, known, asked=with_anchors)
    _check_witness(result, remembered)
    result.findings.sort()
    return result


def _take_chain(result: Verification, report: RangeReport) -> None:
    result.entries = report.entries
    result.findings += report.findings
    if report.first_previous_hash and (report.first_previous_hash, report.first_sequence) != (FIRST_PREVIOUS, 1):
        result.findings.append(
            TrailFinding(report.first_sequence, "block", "", "the first block is not the chain's first")
        )


def _check_blocks(last: int, processes: int) -> RangeReport:
    ranges = [(first, min(first + BLOCKS_A_TASK - 1, last)) for first in range(1, last + 1, BLOCKS_A_TASK)]
    if processes < 2 or last < PARALLEL_FROM_BLOCKS:
        return _joined(ranges, (check_range(*bounds) for bounds in ranges))
    connections.close_all()
    context = multiprocessing.get_context("spawn")  # a forked connection would be shared
    with ProcessPoolExecutor(processes, mp_context=context, initializer=django.setup) as pool:
        return _joined(ranges, pool.map(_check_in_process, ranges))


def _check_in_process(bounds: tuple[int, int]) -> RangeReport:
    return check_range(*bounds)


def _joined(ranges: list[tuple[int, int]], reports: Iterator[RangeReport]) -> RangeReport:
    whole = next(reports)
    for (first, _), report in zip(ranges[1:], reports, strict=True):
        whole = join(whole, report, first)
    return whole


def _check_outside(result: Verification) -> None:
    """Entries that wait for their seal, and entries that claim a block which is not there."""
    stale = clock.now() - dt.timedelta(seconds=STALE_SECONDS)
    for entry in reading.all_unsealed():
        result.unsealed += 1
        if not entry.has_valid_mac():
            result.findings.append(
                TrailFinding(0, "edited", entry.id, "was altered, or not written by us, before its seal")
            )
        if entry.action.startswith(INCIDENT_PREFIX):
            result.findings.append(TrailFinding(0, "incident", entry.id, entry.action.removeprefix(INCIDENT_PREFIX)))
    if AuditEntry.objects.filter(block=0, timestamp__lt=stale).exists():
        result.notes.append(f"entries wait for more than {STALE_SECONDS} s: is the sealer running?")
    beyond = list(reading.stream(AuditEntry.objects.filter(block__gt=result.blocks)))
    newest = selectors.newest_block()
    sealed_meanwhile = range(result.blocks + 1, (newest.number if newest else 0) + 1)
    result.findings += [
        TrailFinding(0, "inserted", entry.id, f"there is no block {entry.block}")
        for entry in beyond
        if entry.block not in sealed_meanwhile
    ]


def _check_anchors(result: Verification, known: list[anchors.Anchor] | None, *, asked: bool) -> None:
    if known is None:
        result.notes.append("anchoring is not set up" if asked else "anchors were not checked")
        return
    result.anchors = len(known)
    for anchor in known:
        block = selectors.block_of_sequence(anchor.sequence)
        day = dt.datetime.fromtimestamp(anchor.time, dt.UTC).date()
        if block is None:
            text = f"was anchored on {day} and is gone: the trail was cut short"
            result.findings.append(TrailFinding(anchor.sequence, "anchor", "", text))
        elif block.last_sequence != anchor.sequence or block.hash != anchor.head:
            text = f"the trail up to here is not the one that was anchored on {day}"
            result.findings.append(TrailFinding(anchor.sequence, "anchor", "", text))


def _check_witness(result: Verification, remembered: witness.TrailHead | None) -> None:
    if remembered is None:
        result.notes.append("Redis remembers no block")
    elif not selectors.has_block(number=remembered.number, block_hash=remembered.hash):
        text = f"block {remembered.number} is not the one that Redis remembers: the end of the trail was changed or cut"
        result.findings.append(TrailFinding(0, "witness", "", text))
