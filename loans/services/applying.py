"""Applying the watcher's events to positions and their loans. What fails here is isolated by `services.follow`.

Two workers may follow at once, of which one read fewer events. Its older values must not replace the newer ones:

1. A position's row is written only as it was read: `ledger_order` for what moved its debt, `synced_block` for the rest.
2. The same transaction marks every event as applied, each for the first time (`_note_applied`); else another worker
   was faster, and it is given up.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from chain import selectors as chain_selectors
from chain import services as chain_services
from chain.models import ChainEvent, Operation
from loans.ledger.errors import LedgerContended
from loans.ledger.movement import Movement, Step, order_of, steps_of
from loans.models import SolvencyPosition
from loans.positions import mirror
from loans.services import onchain
from partner_platform.core.database.transactions import run_in_transaction

Groups = Mapping[int, Sequence[ChainEvent]]  # events by position, each list in the order of the chain
Rows = Mapping[int, SolvencyPosition]


@dataclass
class Progress:
    """How far a position's events were applied, whatever stopped it; `waits_for` is the key of an operation of ours
    that is to be settled first.
    """

    events: Sequence[ChainEvent]
    waits_for: str = ""
    _applied: set[UUID] = field(default_factory=set)

    @property
    def applied(self) -> int:
        return len(self._applied)

    @property
    def left(self) -> list[ChainEvent]:
        return [event for event in self.events if event.pk not in self._applied]

    def note(self, events: Iterable[ChainEvent]) -> None:
        self._applied |= {event.pk for event in events}


def apply_quiet(groups: Groups, rows: Rows) -> set[int]:
    """Positions without partner loans: the mirror and the pool's last debt, one guarded update each, in one
    transaction. Answers which were followed; one that moved meanwhile is not among them. Raises `LedgerContended`.
    """

    def apply() -> set[int]:
        followed = {key for key in sorted(groups) if _set_last_pool_debt(copy(rows[key]), groups[key])}
        _note_followed(groups, followed)
        return followed

    return run_in_transaction(apply)


def apply_settled(groups: Groups, rows: Rows) -> set[int]:
    """The usual case: positions whose ledger is past all these events, for the platform settled them itself.

    Only the mirror learns from them, in one transaction. Answers which were followed; one that moved meanwhile is not
    among them. Raises `LedgerContended`.
    """

    def apply() -> set[int]:
        followed = {key for key in sorted(groups) if _write_unmoved(copy(rows[key]), groups[key])}
        _note_followed(groups, followed)
        return followed

    return run_in_transaction(apply)


def is_behind(row: SolvencyPosition, events: Sequence[ChainEvent]) -> bool:
    """True where the ledger has all that these events did to the debt already."""
    steps, _ = steps_of(row.position_id, events)
    return all(step.movement.order <= row.ledger_order for step in steps)


def apply_busy(position_id: int, progress: Progress) -> None:
    """A position with partner loans: event by event, as far as nothing has to be waited for, each in a transaction."""
    events = progress.events
    operations = chain_selectors.operations_by_uid(event.operation_uid for event in events if event.operation_uid)
    steps, _ = steps_of(position_id, events)
    past = _behind_the_ledger(position_id, steps)
    for part in _parts(events, steps[len(past) :]):
        if isinstance(part, Step):
            if not run_in_transaction(lambda step=part: _apply_step(step, operations)):  # type: ignore[misc]
                progress.waits_for = operations[part.event.operation_uid].key
                return
            progress.note(part.events)
        else:
            run_in_transaction(lambda loose=part: _apply_loose(position_id, loose))  # type: ignore[misc]
            progress.note(part)


def _parts(events: Sequence[ChainEvent], steps: Sequence[Step]) -> Iterator[Step | list[ChainEvent]]:
    """The steps, and between them what only the mirror learns from: it moves no debt, or the ledger has that already.

    All in the order of the chain, so that where one stops nothing from before it is left.
    """
    first = {step.events[0].pk: step for step in steps}
    of_steps = {event.pk for step in steps for event in step.events}
    loose: list[ChainEvent] = []
    for event in events:
        if event.pk in first:
            if loose:
                yield loose
            loose = []
            yield first[event.pk]
        elif event.pk not in of_steps:
            loose.append(event)
    if loose:
        yield loose


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
    return SolvencyPosition.objects.filter(pk=row.pk, ledger_order=row.ledger_order, synced_block=row.synced_block)


def _note_followed(groups: Groups, followed: Iterable[int]) -> None:
    _note_applied([event for key in sorted(followed) for event in groups[key]])


def _note_applied(events: Sequence[ChainEvent]) -> None:
    if not chain_services.note_applied(event_ids=[event.pk for event in events]):
        raise LedgerContended("another worker followed some of these events meanwhile")


def _mirrored_after(row: SolvencyPosition, events: Iterable[ChainEvent]) -> dict[str, Any]:
    for event in events:
        mirror.set_collateral(row, event)
    return mirror.mirrored_fields(row)


def _behind_the_ledger(position_id: int, steps: Sequence[Step]) -> Sequence[Step]:
    """The first steps, as far as the ledger has them already: what the platform did and settled itself."""
    order = SolvencyPosition.objects.values_list("ledger_order", flat=True).get(position_id=position_id)
    return list(takewhile(lambda step: step.movement.order <= order, steps))


def _apply_step(step: Step, operations: Mapping[str, Operation]) -> bool:
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


def _apply_loose(position_id: int, events: Sequence[ChainEvent]) -> None:
    """Only the mirror learns from them, all in one update."""
    _write(SolvencyPosition.objects.get(position_id=position_id), events)
    _note_applied(events)


def _write(row: SolvencyPosition, events: Sequence[ChainEvent]) -> None:
    if not _write_unmoved(row, events):
        raise LedgerContended(f"position {row.position_id} moved meanwhile")
