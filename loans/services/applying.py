"""Applying the watcher's events to positions and their loans. `services.follow` isolates the positions that fail.

Two workers may follow at once, one with fewer events than the other. Its older values must not replace the newer ones:

1. A position's row is written only where it is as it was read: `ledger_order` guards its debt, `synced_block` the rest.
2. The same transaction marks every event as applied, each for the first time (`_note_applied`). Where one was marked
   already, another worker was faster and the transaction is rolled back.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from itertools import takewhile
from uuid import UUID

from django.db import IntegrityError
from django.db.models import QuerySet

from chain import selectors as chain_selectors
from chain import services as chain_services
from chain.models import ChainEvent, Operation
from loans.chain_order import order_of
from loans.ledger.errors import LedgerContended
from loans.ledger.movement import Movement, Step, steps_of
from loans.models import SolvencyPosition
from loans.positions import mirror
from loans.services import onchain
from partner_platform.core.database.batches import IDS_PER_QUERY
from partner_platform.core.database.transactions import run_in_transaction

logger = logging.getLogger(__name__)

Groups = Mapping[int, Sequence[ChainEvent]]  # events by position, each list in the order of the chain
Rows = Mapping[int, SolvencyPosition]


@dataclass
class Progress:
    """How far a position's events were applied; `waits_for` is the operation of ours that must be settled first, where
    that stopped it.
    """

    events: Sequence[ChainEvent]
    waits_for: Operation | None = None
    _applied: set[UUID] = field(default_factory=set)

    @property
    def applied(self) -> int:
        return len(self._applied)

    @property
    def left(self) -> list[ChainEvent]:
        return [event for event in self.events if event.pk not in self._applied]

    def note(self, events: Iterable[ChainEvent]) -> None:
        self._applied |= {event.pk for event in events}


def open_positions(events: Iterable[ChainEvent]) -> None:
    """Create the rows of the positions that these events open; one that cannot be read is logged and left out."""
    opened: dict[int, SolvencyPosition] = {}
    for event in events:
        if event.name.endswith(".PositionOpened"):
            try:
                row = mirror.opened_position(event)
            except Exception:
                logger.exception("the opening of position %s cannot be read", event.position_id)
            else:
                opened[row.position_id] = row
    if not opened:
        return
    try:
        run_in_transaction(lambda: SolvencyPosition.objects.bulk_create(opened.values(), batch_size=IDS_PER_QUERY))
    except Exception as error:  # noqa: BLE001 - opening them one by one logs it
        logger.info("%d positions are opened one by one: %s", len(opened), error)
        for row in opened.values():
            _open_one(row)


def _open_one(row: SolvencyPosition) -> None:
    try:
        with suppress(IntegrityError):  # another worker created it at the same moment
            row.save(force_insert=True)
    except Exception:
        logger.exception("position %d cannot be mirrored", row.position_id)


def apply_quiet(groups: Groups, rows: Rows) -> set[int]:
    """Positions without partner loans: the mirror and the pool's last debt, one guarded update each, one transaction.

    Returns the positions that were followed, without those that moved meanwhile. Raises `LedgerContended`.
    """

    def apply() -> set[int]:
        followed = {key for key in sorted(groups) if _set_last_pool_debt(copy(rows[key]), groups[key])}
        _note_followed(groups, followed)
        return followed

    return run_in_transaction(apply)


def apply_settled(groups: Groups, rows: Rows) -> set[int]:
    """The usual case: positions whose ledger is past all these events, for the platform settled them itself.

    Only the mirror is updated, in one transaction. Returns the positions that were followed, without those that moved
    meanwhile. Raises `LedgerContended`.
    """

    def apply() -> set[int]:
        followed = {key for key in sorted(groups) if _write_unmoved(copy(rows[key]), groups[key])}
        _note_followed(groups, followed)
        return followed

    return run_in_transaction(apply)


def is_behind(row: SolvencyPosition, events: Sequence[ChainEvent]) -> bool:
    """True where the ledger already has every movement of debt in these events."""
    steps, _ = steps_of(row.position_id, events)
    return all(step.movement.order <= row.ledger_order for step in steps)


def apply_busy(position_id: int, progress: Progress) -> None:
    """A position with partner loans: each event in a transaction of its own, until one waits for an operation."""
    events = progress.events
    operations = chain_selectors.operations_by_uid(event.operation_uid for event in events if event.operation_uid)
    steps, _ = steps_of(position_id, events)
    past = _behind_the_ledger(position_id, steps)
    for part in _parts(events, steps[len(past) :]):
        if isinstance(part, Step):
            if not run_in_transaction(lambda step=part: _apply_step(step, operations)):  # type: ignore[misc]
                progress.waits_for = operations[part.event.operation_uid]
                return
            progress.note(part.events)
        else:
            run_in_transaction(lambda events=part: _apply_to_mirror(position_id, events))  # type: ignore[misc]
            progress.note(part)


def _parts(events: Sequence[ChainEvent], steps: Sequence[Step]) -> Iterator[Step | list[ChainEvent]]:
    """The steps, and between them the events that only change the mirror: those that move no debt, or debt that the
    ledger has already.

    All in the order of the chain, so that where one stops, everything before it was applied.
    """
    first = {step.events[0].pk: step for step in steps}
    of_steps = {event.pk for step in steps for event in step.events}
    others: list[ChainEvent] = []
    for event in events:
        if event.pk in first:
            if others:
                yield others
            others = []
            yield first[event.pk]
        elif event.pk not in of_steps:
            others.append(event)
    if others:
        yield others


def _set_last_pool_debt(row: SolvencyPosition, events: Sequence[ChainEvent]) -> bool:
    before, as_read = row.ledger_order, _as_read(row)
    for event in events:
        mirror.set_collateral(row, event)
        if event.name == "SeniorPool.DebtUpdated" and order_of(event.block_number, event.log_index) > before:
            mirror.set_pool_debt(row, event)
    mine = as_read.filter(loans_principal=0)
    return mine.update(**mirror.mirrored_fields(row), **mirror.pool_debt_fields(row)) == 1


def _write_unmoved(row: SolvencyPosition, events: Sequence[ChainEvent]) -> bool:
    as_read = _as_read(row)
    return as_read.update(**_mirrored_after(row, events)) == 1


def _as_read(row: SolvencyPosition) -> QuerySet[SolvencyPosition]:
    """The row, unless another worker moved its debt or followed its collateral since it was read."""
    return SolvencyPosition.objects.as_read(row, "ledger_order", "synced_block")


def _note_followed(groups: Groups, followed: Iterable[int]) -> None:
    _note_applied([event for key in sorted(followed) for event in groups[key]])


def _note_applied(events: Sequence[ChainEvent]) -> None:
    if not chain_services.note_applied(event_ids=[event.pk for event in events]):
        raise LedgerContended("another worker applied some of these events meanwhile")


def _mirrored_after(row: SolvencyPosition, events: Iterable[ChainEvent]) -> dict[str, object]:
    for event in events:
        mirror.set_collateral(row, event)
    return mirror.mirrored_fields(row)


def _behind_the_ledger(position_id: int, steps: Sequence[Step]) -> Sequence[Step]:
    """The first steps, as far as the ledger has them already: the platform's own, settled before."""
    order = SolvencyPosition.objects.values_list("ledger_order", flat=True).get(position_id=position_id)
    return list(takewhile(lambda step: step.movement.order <= order, steps))


def _apply_step(step: Step, operations: Mapping[str, Operation]) -> bool:
    """Apply one movement; False where it is an operation of ours that is not settled yet."""
    movement, event = step.movement, step.event
    row = SolvencyPosition.objects.get(position_id=movement.position_id)
    operation = operations.get(event.operation_uid)
    if movement.order > row.ledger_order:
        if operation is not None and (row.ledger_order or not operation.acknowledged):
            return False  # settling it will move the ledger past this
        if operation is None:
            _act(movement, event)
            row.refresh_from_db()
    _write(row, [event])
    _note_applied(step.events)
    return True


def _act(movement: Movement, event: ChainEvent) -> None:
    kind = event.name.partition(".")[2]
    if kind == "USDCBorrowed":
        onchain.user_drew(movement, event)
    elif kind == "LoanRepaid":
        onchain.user_repaid(movement, event)
    else:
        onchain.liquidated(movement, event)


def _apply_to_mirror(position_id: int, events: Sequence[ChainEvent]) -> None:
    """Update only the mirror, by all of them in one update."""
    _write(SolvencyPosition.objects.get(position_id=position_id), events)
    _note_applied(events)


def _write(row: SolvencyPosition, events: Sequence[ChainEvent]) -> None:
    if not _write_unmoved(row, events):
        raise LedgerContended(f"position {row.position_id} moved meanwhile")
