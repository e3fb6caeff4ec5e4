"""Following the chain: the watcher's events move positions and loans, each once, in the order of the chain.

What the platform did itself is settled from its own operations (`services.settle`). Events of our own operations are
recognized and only waited for: a position's later events are applied once its earlier operation is settled. How events
are applied to a position is in `services.applying`.

A position that cannot be followed does not stop the others: it is held (`positions.holding`) and its events are put
off, so that a pass neither reads them again nor stops at them. It catches up once the cause is removed.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from chain import selectors as chain_selectors
from chain import services as chain_services
from chain.events import watcher
from chain.events.watcher import WatchReport
from chain.lending import readings
from chain.models import ChainEvent
from chain.rpc.clients import ChainUnavailable
from chain.states import FINAL_OPERATION_STATES
from loans.chain_order import block_of
from loans.ledger.errors import LedgerContended, LedgerGap
from loans.ledger.gaps import find_missing
from loans.models import LoanStatus, PartnerLoan, SolvencyPosition
from loans.positions import holding, overdue
from loans.positions.rows import mirrored, rows_of
from loans.rollback.positions import finish_rollback, pending_rollbacks
from loans.services import applying
from loans.services.applying import Progress
from partner_platform.core import backoff
from partner_platform.core.database.batches import IDS_PER_QUERY, batched
from partner_platform.core.text.wording import reason

logger = logging.getLogger(__name__)

EVENTS_PER_READ = 10_000
EVENTS_TRIED_AGAIN = 200  # of those that were put off before, in one pass
EVENTS_OF_ONE = 2_000  # of a position that was held, in one pass
POSITIONS_PER_TRANSACTION = 50
PATIENCE_BLOCKS = 10  # so long a position that waits for an operation of ours is tried at every pass; then held
UNKNOWN_POSITION_FAILURES = 6  # its pause is as after so many failures: it has no row to count them in
OPEN_STATUSES = (LoanStatus.PENDING, LoanStatus.ACTIVE, LoanStatus.DEFAULTED)


@dataclass
class FollowReport:
    """What a pass did: how many events were applied; positions whose next event waits for an operation, or failed;
    and positions where an event is missing before the next one (position -> the next one's block).
    """

    applied: int = 0
    waiting: set[int] = field(default_factory=set)
    gaps: dict[int, int] = field(default_factory=dict)


class WaitsForOperation(Exception):
    """The event is of an operation of ours, which must be settled first."""


def follow_chain() -> tuple[WatchReport, FollowReport]:
    """Read the chain up to its head and apply what is new; where an event is missing, read and apply once more.

    Raises `ChainUnavailable`.
    """
    watched, report = watcher.read_new_blocks(), apply_due()
    if report.gaps and find_missing(report.gaps):
        watched, report = watcher.read_new_blocks(), apply_due()
    overdue.report_overdue_positions(head=watched.next_block - 1)
    return watched, report


def follow_chain_quietly() -> bool:
    """The same, but returns False where the chain cannot be reached."""
    try:
        follow_chain()
    except ChainUnavailable as error:
        logger.warning("the chain is followed later: %s", error)
        return False
    return True


def apply_due() -> FollowReport:
    """Apply every event that was not applied yet; one that waits is tried in the next pass, one that fails later."""
    one_pass = _Pass()
    for row in pending_rollbacks(IDS_PER_QUERY):
        one_pass.finish_rollback(row)
    after = (-1, -1)
    while events := chain_selectors.unapplied_events(EVENTS_PER_READ, after=after):
        is_last = len(events) < EVENTS_PER_READ
        chosen = events if is_last else _whole_blocks(events)
        after = (chosen[-1].block_number, chosen[-1].log_index)
        one_pass.take(chosen)
        if is_last:
            break
    if again := chain_selectors.events_due_again(EVENTS_TRIED_AGAIN):
        one_pass.take(again)
    return one_pass.report


class _Pass:
    """One pass over the events that are due."""

    def __init__(self) -> None:
        self.report = FollowReport()

    def take(self, events: Sequence[ChainEvent]) -> None:
        """Apply these to their positions; events of positions that fail or are held are put off."""
        readings.forget_block()  # who sees a payment must not see the chain as of a block before it
        self._note_those_of_no_position([event for event in events if event.position_id is None])
        groups = _by_position(events)
        rows = self._rows(groups)
        holding.end_holds_that_are_over(rows.values())
        self._leave_out_what_waits(groups, rows)
        busy = _lent_positions(groups) | {
            key for key, group in groups.items() if any(event.operation_uid for event in group)
        }
        quiet = [key for key in sorted(groups) if key not in busy]
        self._together(quiet, groups, rows, applying.apply_quiet)
        behind = [key for key in sorted(busy) if self._is_behind(rows[key], groups[key])]
        settled: set[int] = set()
        for chosen in batched(behind, POSITIONS_PER_TRANSACTION):
            settled |= self._together(chosen, groups, rows, applying.apply_settled)
        for key in sorted(busy - settled - self.report.waiting):
            self._one_by_one(rows[key], groups[key])

    def finish_rollback(self, row: SolvencyPosition) -> bool:
        """Finish a rollback that failed when the reorg was seen; False where it fails again."""
        try:
            finish_rollback(row)
        except Exception as error:  # noqa: BLE001 - told by `_hold`
            self._hold(row, block_of(row.undo_from or 0), error)
            return False
        return True

    def _note_those_of_no_position(self, events: Sequence[ChainEvent]) -> None:
        chain_services.note_applied(event_ids=[event.pk for event in events])
        self.report.applied += len(events)

    def _rows(self, groups: dict[int, list[ChainEvent]]) -> dict[int, SolvencyPosition]:
        """The positions' rows. One whose row is new takes all its events, those put off before included."""
        known = rows_of(groups)
        applying.open_positions(event for key, group in groups.items() if key not in known for event in group)
        new = mirrored(set(groups) - set(known))
        for key in chain_selectors.positions_put_off(new):
            groups[key] = _first_events(key, 0)
        return known | new

    def _leave_out_what_waits(self, groups: dict[int, list[ChainEvent]], rows: dict[int, SolvencyPosition]) -> None:
        for key, group in sorted(groups.items()):
            row = rows.get(key)
            if row is None:
                self._put_off_unknown(key, groups.pop(key))
            elif holding.must_wait(row, group[0].block_number) or not self.finish_rollback(row):
                holding.postpone_events(row, groups.pop(key))
                self.report.waiting.add(key)
            elif key in self.report.waiting:
                groups.pop(key)  # waiting since an earlier part of this pass
            elif row.follow_failures:
                since = row.waiting_since_block if row.waiting_since_block is not None else group[0].block_number
                groups[key] = _first_events(key, min(group[0].block_number, since))

    def _together(
        self,
        keys: Sequence[int],
        groups: dict[int, list[ChainEvent]],
        rows: dict[int, SolvencyPosition],
        act: Callable[[applying.Groups, applying.Rows], set[int]],
    ) -> set[int]:
        """Act on many positions in one transaction; where one fails, on each half, until the failing one is alone.

        Returns the positions that were followed.
        """
        if not keys:
            return set()
        try:
            followed = act({key: groups[key] for key in keys}, rows)
        except Exception as error:  # noqa: BLE001 - `_fail` logs it once the failing position is alone
            if len(keys) == 1:
                self._fail(rows[keys[0]], groups[keys[0]], error)
                return set()
            middle = len(keys) // 2
            halves = (keys[:middle], keys[middle:])
            return {key for half in halves for key in self._together(half, groups, rows, act)}
        self.report.applied += sum(len(groups[key]) for key in followed)
        holding.end_holds(rows[key] for key in followed)
        return followed

    def _is_behind(self, row: SolvencyPosition, events: Sequence[ChainEvent]) -> bool:
        try:
            return applying.is_behind(row, events)
        except Exception as error:  # noqa: BLE001 - `_fail` logs it
            self._fail(row, events, error)
            return False

    def _one_by_one(self, row: SolvencyPosition, events: Sequence[ChainEvent]) -> None:
        progress, error = Progress(events), None
        try:
            applying.apply_busy(row.position_id, progress)
        except Exception as failure:  # noqa: BLE001 - `_fail` logs it
            error = failure
        self.report.applied += progress.applied
        if progress.applied:
            holding.end_hold(row)
        if error is not None:
            self._fail(row, progress.left, error)
        elif progress.waits_for is not None:
            self._wait(row, progress)

    def _wait(self, row: SolvencyPosition, progress: Progress) -> None:
        """Wait for an operation of ours. Settling it releases the position, so hold it only where that takes long.

        The pause grows only where the operation is put off itself. One that is about to be settled may be settled at
        this moment, by a worker that read the position before it was held: then the hold ends here.
        """
        self.report.waiting.add(row.position_id)
        first, operation = progress.left[0], progress.waits_for
        if operation is None or chain_selectors.watched_until() - first.block_number <= PATIENCE_BLOCKS:
            return
        is_next = operation.state in FINAL_OPERATION_STATES and operation.settle_after is None
        error = WaitsForOperation(f"operation {operation.key} is to be settled first")
        self._hold(row, first.block_number, error, failures=1 if is_next else None)
        if not chain_selectors.unacknowledged_among([operation.pk]) and is_next:
            holding.end_hold(row)

    def _fail(self, row: SolvencyPosition, events: Sequence[ChainEvent], error: Exception) -> None:
        self.report.waiting.add(row.position_id)
        if isinstance(error, LedgerContended):
            logger.info("position %d is followed in the next pass: %s", row.position_id, error)
            return
        self._hold(row, events[0].block_number, error)

    def _hold(self, row: SolvencyPosition, block: int, error: Exception, *, failures: int | None = None) -> None:
        """Hold the position for a pause as after so many `failures`, its own by default."""
        if isinstance(error, LedgerGap):
            self.report.gaps[row.position_id] = block
        if row.follow_failures or isinstance(error, LedgerGap | WaitsForOperation):
            logger.warning("position %d waits: %s", row.position_id, reason(error))
        else:
            logger.error("position %d cannot be followed; it is put off by itself", row.position_id, exc_info=error)
        until = backoff.next_try(failures or row.follow_failures + 1)
        holding.hold_position(row, until=until, block=block, why=error)
        chain_services.put_off_position_events(position_id=row.position_id, from_block=block, until=until)

    def _put_off_unknown(self, position_id: int, events: Sequence[ChainEvent]) -> None:
        """Put off the events of a position that has no row and that the chain does not show at the moment."""
        if any(event.follow_after is None for event in events):
            logger.error("events of position %d wait: the chain does not show such a position", position_id)
        until = backoff.next_try(UNKNOWN_POSITION_FAILURES)
        chain_services.put_off_position_events(position_id=position_id, from_block=events[0].block_number, until=until)
        self.report.waiting.add(position_id)


def _whole_blocks(events: Sequence[ChainEvent]) -> Sequence[ChainEvent]:
    """The events without the last block, which may be incomplete: one transaction's events are applied together."""
    last = events[-1].block_number
    whole = [event for event in events if event.block_number < last]
    return whole or events


def _first_events(position_id: int, from_block: int) -> list[ChainEvent]:
    events = chain_selectors.unapplied_events_of(position_id, from_block=from_block, limit=EVENTS_OF_ONE)
    return list(events if len(events) < EVENTS_OF_ONE else _whole_blocks(events))


def _by_position(events: Iterable[ChainEvent]) -> dict[int, list[ChainEvent]]:
    groups: dict[int, list[ChainEvent]] = {}
    for event in sorted(events, key=lambda event: (event.block_number, event.log_index)):
        if event.position_id is not None:
            groups.setdefault(event.position_id, []).append(event)
    return groups


def _lent_positions(position_ids: Iterable[int]) -> set[int]:
    lent: set[int] = set()
    for chosen in batched(sorted(position_ids)):
        found = PartnerLoan.objects.filter(solvency_position_id__in=chosen, status__in=OPEN_STATUSES)
        lent |= set(found.values_list("solvency_position_id", flat=True))
    return lent
