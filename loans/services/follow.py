"""Following the chain: the watcher's events move positions and loans, each once, in the order of the chain.

What the platform did itself is settled from its own operations (`services.settle`); its events are recognized by the
operation they happened in and only waited for: a position's later events are applied once its earlier operation is
settled. Positions no partner lent against need no ledger of loans; they take the pool's last word.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import Any

from chain import selectors as chain_selectors
from chain import services as chain_services
from chain import system, watcher
from chain.clients import ChainUnavailable
from chain.models import ChainEvent, Operation
from chain.watcher import WatchReport
from loans.models import LoanStatus, PartnerLoan, SolvencyPosition
from loans.services import mirror, onchain
from loans.services.gaps import find_missing
from loans.services.ledger import LedgerContended, LedgerGap, Movement, order_of
from loans.services.positions import ensure_mirrored
from loans.services.steps import Step, steps_of
from partner_platform.core.database import run_in_transaction

logger = logging.getLogger(__name__)

BATCH = 10_000
IDS_PER_QUERY = 500
POSITIONS_PER_TRANSACTION = 50
LENT = (LoanStatus.PENDING, LoanStatus.ACTIVE, LoanStatus.DEFAULTED)


@dataclass
class FollowReport:
    """What a pass did: events applied, positions whose next event waits for an operation's settlement, and those whose
    next movement does not follow the last one (position -> its block).
    """

    applied: int = 0
    waiting: set[int] = field(default_factory=set)
    gaps: dict[int, int] = field(default_factory=dict)


def follow_chain() -> tuple[WatchReport, FollowReport]:
    """Read the chain up to its head and apply what is new; where an event is missing, read again and look once more.

    Raises `ChainUnavailable`.
    """
    watched, report = watcher.catch_up(), apply_due()
    if report.gaps and find_missing(report.gaps):
        watched, report = watcher.catch_up(), apply_due()
    return watched, report


def follow_chain_quietly() -> bool:
    """The same for who can wait: False where the chain does not answer."""
    try:
        follow_chain()
    except ChainUnavailable as error:
        logger.warning("the chain is followed later: %s", error)
        return False
    return True


def apply_due() -> FollowReport:
    """Apply every event nobody acted on yet; what waits stays for the next pass."""
    report = FollowReport()
    after = (-1, -1)
    while events := chain_selectors.unapplied_events(BATCH, after=after):
        after = (events[-1].block_number, events[-1].log_index)
        system.forget_block()  # whoever is told of a payment must not be shown the chain as it was before it
        _apply_batch(events, report)
        if len(events) < BATCH:
            break
    return report


def _apply_batch(events: Sequence[ChainEvent], report: FollowReport) -> None:
    groups: dict[int, list[ChainEvent]] = {}
    done = [event for event in events if event.position_id is None]
    for event in events:
        if event.position_id is not None:
            groups.setdefault(event.position_id, []).append(event)
    rows = _rows(groups)
    lent = _lent_positions(groups)
    busy = {key for key, group in groups.items() if key in lent or any(event.operation_uid for event in group)}
    quiet = {key: group for key, group in groups.items() if key not in busy and key in rows}
    run_in_transaction(lambda: _apply_quiet(quiet, rows, done))
    report.applied += len(done) + sum(len(group) for group in quiet.values())
    settled = _apply_settled({key: groups[key] for key in busy if key in rows}, rows, report)
    for key in sorted(busy - settled):
        _apply_busy(key, groups[key], report)


def _rows(groups: dict[int, list[ChainEvent]]) -> dict[int, SolvencyPosition]:
    """The mirrored positions, made from their opening, or from a reading where that was before the watcher's time."""
    found = _mirrored(groups)
    news = [
        mirror.opened(event)
        for key, group in groups.items()
        if key not in found
        for event in group
        if event.name.endswith(".PositionOpened")
    ]
    run_in_transaction(lambda: SolvencyPosition.objects.bulk_create(news, batch_size=IDS_PER_QUERY))
    ensure_mirrored(set(groups) - set(found) - {row.position_id for row in news})
    return _mirrored(groups)


def _mirrored(position_ids: Iterable[int]) -> dict[int, SolvencyPosition]:
    rows: dict[int, SolvencyPosition] = {}
    for chosen in _chunks(position_ids):
        rows |= {row.position_id: row for row in SolvencyPosition.objects.filter(position_id__in=chosen)}
    return rows


def _lent_positions(position_ids: Iterable[int]) -> set[int]:
    lent: set[int] = set()
    for chosen in _chunks(position_ids):
        found = PartnerLoan.objects.filter(solvency_position_id__in=chosen, status__in=LENT)
        lent |= set(found.values_list("solvency_position_id", flat=True))
    return lent


def _chunks(ids: Iterable[int], size: int = IDS_PER_QUERY) -> list[list[int]]:
    every = sorted(ids)
    return [every[start : start + size] for start in range(0, len(every), size)]


def _apply_quiet(
    groups: dict[int, list[ChainEvent]], rows: dict[int, SolvencyPosition], done: list[ChainEvent]
) -> None:
    """Positions without partner loans: the mirror and the pool's last word, one guarded update each."""
    applied = list(done)
    for key in sorted(groups):
        row = rows[key]
        before = row.ledger_order
        for event in groups[key]:
            mirror.follow(row, event)
            if event.name == "SeniorPool.DebtUpdated" and order_of(event.block_number, event.log_index) > before:
                mirror.take_pools_word(row, event)
        mine = SolvencyPosition.objects.filter(pk=row.pk, ledger_order=before, loans_principal=0)
        if mine.update(**mirror.mirrored_fields(row), **mirror.pools_word(row)) == 1:
            applied += groups[key]
    chain_services.note_applied(event_ids=[event.pk for event in applied])


def _apply_settled(
    groups: dict[int, list[ChainEvent]], rows: dict[int, SolvencyPosition], report: FollowReport
) -> set[int]:
    """The usual case: positions whose ledger is past all these events, for the platform settled them itself.

    Only the mirror learns from them, many positions in one transaction; answers which it did. A position that moved
    meanwhile is not among them.
    """
    behind = [key for key, group in groups.items() if _is_behind(rows[key], group)]
    followed: set[int] = set()
    for chosen in _chunks(behind, POSITIONS_PER_TRANSACTION):
        followed |= run_in_transaction(partial(_mirror_settled, chosen, groups, rows))
    report.applied += sum(len(groups[key]) for key in followed)
    return followed


def _mirror_settled(
    keys: Sequence[int], groups: dict[int, list[ChainEvent]], rows: dict[int, SolvencyPosition]
) -> set[int]:
    written = {key for key in keys if _write_unmoved(rows[key], groups[key])}
    chain_services.note_applied(event_ids=[event.pk for key in sorted(written) for event in groups[key]])
    return written


def _is_behind(row: SolvencyPosition, events: Sequence[ChainEvent]) -> bool:
    steps, _ = steps_of(row.position_id, events)
    return all(step.movement.order <= row.ledger_order for step in steps)


def _mirrored_after(row: SolvencyPosition, events: Sequence[ChainEvent]) -> dict[str, Any]:
    for event in events:
        mirror.follow(row, event)
    return mirror.mirrored_fields(row)


def _write_unmoved(row: SolvencyPosition, events: Sequence[ChainEvent]) -> bool:
    mine = SolvencyPosition.objects.filter(pk=row.pk, ledger_order=row.ledger_order)
    return mine.update(**_mirrored_after(row, events)) == 1


def _apply_busy(position_id: int, events: list[ChainEvent], report: FollowReport) -> None:
    """A position with partner loans: event by event, as far as nothing has to be waited for."""
    operations = chain_selectors.operations_by_uid(event.operation_uid for event in events if event.operation_uid)
    steps, loose = steps_of(position_id, events)
    try:
        past = _behind_the_ledger(position_id, steps)
        if past:
            run_in_transaction(lambda: _apply_past(position_id, past))
            report.applied += sum(len(step.events) for step in past)
        for step in steps[len(past) :]:
            if not run_in_transaction(lambda step=step: _apply_step(step, operations)):  # type: ignore[misc]
                report.waiting.add(position_id)
                break
            report.applied += len(step.events)
        else:
            if loose:
                run_in_transaction(lambda: _apply_loose(position_id, loose))
            report.applied += len(loose)
    except (LedgerGap, LedgerContended) as error:
        logger.warning("position %d waits: %s", position_id, error)
        report.waiting.add(position_id)
        if isinstance(error, LedgerGap):
            report.gaps[position_id] = events[-1].block_number


def _behind_the_ledger(position_id: int, steps: Sequence[Step]) -> Sequence[Step]:
    """The first steps, as far as the ledger has them already: what the platform did and settled itself."""
    order = SolvencyPosition.objects.values_list("ledger_order", flat=True).get(position_id=position_id)
    return list(takewhile(lambda step: step.movement.order <= order, steps))


def _apply_past(position_id: int, steps: Sequence[Step]) -> None:
    """Only the mirror learns from them, all in one update."""
    _apply_loose(position_id, [event for step in steps for event in step.events])


def _apply_step(step: Step, operations: dict[str, Operation]) -> bool:
    """Apply one movement; False where it is an operation of ours that is not settled yet."""
    movement, event = step.movement, step.event
    row = SolvencyPosition.objects.get(position_id=movement.position_id)
    operation = operations.get(event.operation_uid)
    if movement.order > row.ledger_order:
        if operation is not None and (row.ledger_order or not operation.acknowledged):
            return False  # settling it moves the ledger past this
        if operation is None:
            _act(movement, event)
            row.refresh_from_db()
    mirror.follow(row, event)
    SolvencyPosition.objects.filter(pk=row.pk).update(**mirror.mirrored_fields(row))
    chain_services.note_applied(event_ids=[part.pk for part in step.events])
    return True


def _act(movement: Movement, event: ChainEvent) -> None:
    kind = event.name.partition(".")[2]
    if kind == "USDCBorrowed":
        onchain.user_drew(movement, event)
    elif kind == "LoanRepaid":
        onchain.user_repaid(movement, event)
    else:
        onchain.liquidated(movement, event)


def _apply_loose(position_id: int, events: Sequence[ChainEvent]) -> None:
    row = SolvencyPosition.objects.get(position_id=position_id)
    SolvencyPosition.objects.filter(pk=row.pk).update(**_mirrored_after(row, events))
    chain_services.note_applied(event_ids=[event.pk for event in events])
