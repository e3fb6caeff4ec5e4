"""The reconciliation run: bring the books up to date, compare, repair and freeze what is confirmed, store the run.

A finding is acted on once two runs of different blocks confirm it; each repair and each freeze fails by itself. A run
that saw one for the first time is followed by another as soon as there is a new block (`due_run`), not an hour later.
What is in motion for longer than `CHAIN_OVERDUE_BLOCKS` is reported at ERROR, once. Due times are in the database: a
lost task is found by the next beat.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from django.conf import settings

from chain import reconciling
from chain.events.watcher import read_new_blocks
from chain.reconciling import BlockGone
from chain.rpc.clients import get_client
from loans.models import OaidCredit, ReconciliationRun, SolvencyPosition
from loans.reconciliation import freezing, repairs, sightings, stored_runs
from loans.reconciliation.comparison import Baseline, Comparison, compare_books
from loans.reconciliation.findings import BooksFinding
from loans.reconciliation.sightings import Motion, Sighting
from loans.services import follow
from loans.services.settle import settle_due
from partner_platform.core import clock
from partner_platform.core.database.isolation import alone

logger = logging.getLogger(__name__)

TRIES = 3  # where the block is replaced during the comparison
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Report:
    """What was compared as of a block, and every figure that disagrees."""

    block_number: int
    is_full: bool
    checked: dict[str, int]
    sightings: list[Sighting]
    finding_count: int
    in_motion: list[Motion]
    frozen: list[str]
    repaired: list[str]
    seconds: float

    @property
    def findings(self) -> list[BooksFinding]:
        return [sighting.finding for sighting in self.sightings]

    @property
    def unconfirmed(self) -> int:
        """How many findings no earlier run saw: nothing was done about them."""
        return sum(not sighting.is_confirmed for sighting in self.sightings)

    def as_json(self) -> dict[str, object]:
        return {
            "blockNumber": self.block_number,
            "full": self.is_full,
            "checked": self.checked,
            "findings": [sighting.as_json() for sighting in self.sightings],
            "findingCount": self.finding_count,
            "inMotion": [motion.as_json() for motion in self.in_motion],
            "frozen": self.frozen,
            "repaired": self.repaired,
            "seconds": round(self.seconds, 3),
        }


def reconcile(*, freeze: bool = False, repair: bool = False, quick: bool = False) -> Report:
    """Compare everything, or quickly what moved since the last run; repair and freeze what is confirmed; store the run.

    Raises `ChainUnavailable`.
    """
    started = time.monotonic()
    last = stored_runs.newest_run()
    frozen_before = (freezing.frozen_positions(), freezing.frozen_oaids()) if repair else ([], [])
    seen = _compare(stored_runs.baseline_of(last) if quick else None)
    block = seen.moment.block_number
    found = sightings.sightings_of(seen.findings, before=last.findings if last else [], block_number=block)
    moving = sightings.motions_of(
        _motions(seen),
        before=last.in_motion if last else [],
        block_number=block + seen.behind,
        overdue_blocks=settings.CHAIN_OVERDUE_BLOCKS,
    )
    repaired = [sighting for sighting in found if repair and sighting.is_confirmed and _repair(sighting.finding)]
    left = _without(found, repaired)
    frozen = {name for sighting in left if freeze and sighting.is_confirmed for name in _freeze(sighting.finding)}
    if repair and seen.is_full:
        _thaw(*frozen_before, seen, left, repaired)
    report = Report(
        block_number=block,
        is_full=seen.is_full,
        checked=dict(seen.checked),
        sightings=found,
        finding_count=seen.findings.total,
        in_motion=moving,
        frozen=sorted(frozen),
        repaired=sorted(str(sighting.finding) for sighting in repaired),
        seconds=time.monotonic() - started,
    )
    stored_runs.store_run(_run(report, seen, is_repaired=len(repaired) == report.finding_count > 0), last, seen.days)
    _log(found, moving)
    return report


def wait_for_next_block(after: int, *, seconds: float) -> bool:
    """Wait until there is a later block to compare at; False where there is none for so long."""
    deadline = time.monotonic() + seconds
    while get_client().block_number() - settings.CHAIN_CONFIRMATIONS + 1 <= after:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def due_run() -> str:
    """Which run is due: `full`, `quick`, or none (`""`)."""
    last, full = stored_runs.newest_run(), stored_runs.newest_full_run()
    now = clock.now()
    if last is None or full is None or (now - full.created_at).total_seconds() >= settings.RECONCILE_FULL_SECONDS:
        return "full"
    if last.unconfirmed_count:
        return "full" if reconciling.last_watched_block()[0] > last.block_number else ""
    is_old = (now - last.created_at).total_seconds() >= settings.RECONCILE_SECONDS
    return "quick" if is_old and not last.finding_count else ""


def _compare(last: Baseline | None) -> Comparison:
    """Bring the books up to what the chain shows, and compare; again where a reorg replaced the block meanwhile."""
    for _ in range(TRIES - 1):
        _catch_up()
        try:
            return compare_books(last)
        except BlockGone as error:
            logger.info("the reconciliation begins again: %s", error)
    _catch_up()
    return compare_books(last)


def _catch_up() -> None:
    """Up to the head of now: a chain that is faster than its watcher is no reason not to compare."""
    settle_due()
    read_new_blocks(to_block=get_client().block_number())
    follow.apply_due()


def _repair(finding: BooksFinding) -> bool:
    """Whether it was repaired; where that fails (the database refuses the figure) it is left, and the run goes on."""
    return bool(alone(partial(repairs.repair_sum, finding), f"repairing {finding}"))


def _freeze(finding: BooksFinding) -> list[str]:
    """What is frozen now; nothing where that fails, and the run goes on."""
    frozen: list[str] = []

    def act() -> int:
        frozen.extend(freezing.freeze_subject(finding))
        return len(frozen)

    alone(act, f"freezing for {finding}")
    return frozen


def _thaw(
    positions: Sequence[SolvencyPosition],
    oaids: Sequence[OaidCredit],
    seen: Comparison,
    left: Sequence[Sighting],
    repaired: Sequence[Sighting],
) -> None:
    """Thaw what was frozen before the comparison and agrees by it; nothing where not all that is wrong is listed."""
    wrong = {sighting.finding.subject for sighting in left} | set(seen.motions)
    if seen.findings.are_all_named("position"):
        freezing.thaw_positions(positions, wrong)
        if seen.findings.are_all_named("oaid"):
            freezing.thaw_oaids(oaids, wrong, {sighting.finding.subject for sighting in repaired})


def _without(found: Sequence[Sighting], done: Iterable[Sighting]) -> list[Sighting]:
    gone = set(done)
    return [sighting for sighting in found if sighting not in gone]


def _motions(seen: Comparison) -> dict[str, int | None]:
    """What is in motion, the watcher itself where it has blocks to read."""
    moving = dict(seen.motions)
    if seen.behind:
        moving["watcher:chain"] = seen.moment.block_number + 1
    return moving


def _run(report: Report, seen: Comparison, *, is_repaired: bool) -> ReconciliationRun:
    return ReconciliationRun(
        is_full=report.is_full,
        block_number=report.block_number,
        block_hash=seen.moment.block_hash,
        checked=report.checked,
        findings=[sighting.as_json() for sighting in report.sightings],
        finding_count=report.finding_count,
        found_by_kind={} if is_repaired else dict(seen.findings.by_kind),
        unconfirmed_count=report.unconfirmed,
        in_motion=sightings.motions_to_store(report.in_motion),
        in_motion_count=len(report.in_motion),
        overdue_count=sum(motion.overdue for motion in report.in_motion),
        audit_block=seen.baseline.audit_block,
        flows={account: str(amount) for account, amount in seen.baseline.flows.items()},
        repaired=is_repaired,
        duration_ms=int(report.seconds * 1000),
    )


def _log(found: Sequence[Sighting], moving: Sequence[Motion]) -> None:
    """Everything that disagrees; and what is in motion for too long, once."""
    for sighting in found:
        logger.error("reconciliation: %s", sighting)
    for motion in moving:
        if motion.overdue and not motion.reported:
            logger.error("reconciliation: %s is in motion since block %d", motion.subject, motion.since_block)
