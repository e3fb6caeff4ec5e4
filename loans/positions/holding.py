"""A position whose next event or operation cannot be applied is held: it waits by itself, and the others go on.

A position's ledger takes its events in the order of the chain, so where one of them fails all later ones wait behind
it, operations of ours included. A held position is not tried before `follow_after`, a pause that grows with each
failure; what waits is postponed with it (`chain.services.put_off_operations`, `put_off_chain_events`), so that
thousands of such rows cost the sweeps nothing. It is tried at once where what it waits for may have happened: something
of it was applied, or an event or operation from an earlier block than the one that waits came in.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import F

from chain import selectors as chain_selectors
from chain import services as chain_services
from chain.lending import operations
from chain.models import ChainEvent, Operation
from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus, SolvencyPosition
from partner_platform.core import clock
from partner_platform.core.database.batches import batched
from partner_platform.core.text.wording import reason

NOT_HELD = {
    "follow_failures": 0,
    "follow_after": None,
    "follow_error": "",
    "held_for": None,
    "waiting_since_block": None,
    "waiting_told": False,
}


def is_due(row: SolvencyPosition) -> bool:
    """True where the position was held and its pause is over."""
    return row.follow_after is not None and row.follow_after <= clock.now()


def must_wait(row: SolvencyPosition, block: int) -> bool:
    """True where the position is held and what happened in this block comes after what it waits for."""
    if row.follow_after is None or is_due(row):
        return False
    return row.waiting_since_block is None or block > row.waiting_since_block


def hold_position(
    row: SolvencyPosition, *, until: dt.datetime, block: int, why: BaseException, operation: Operation | None = None
) -> None:
    """An event of the position in this block, or this operation, cannot be applied: do not try the position before
    `until`. `row` is altered too.
    """
    row.held_for = None if operation is None else operation.pk
    if row.waiting_since_block is None or block < row.waiting_since_block:
        row.waiting_since_block = block
    row.follow_failures, row.follow_after, row.follow_error = row.follow_failures + 1, until, reason(why)
    SolvencyPosition.objects.filter(pk=row.pk).update(
        follow_failures=F("follow_failures") + 1,
        follow_after=until,
        follow_error=row.follow_error,
        held_for=row.held_for,
        waiting_since_block=row.waiting_since_block,
    )


def end_hold(row: SolvencyPosition) -> None:
    """Something of it was applied: where it is held, all that waited for that is tried at once. `row` is altered too.

    Killed in the middle, what is still postponed is tried when its pause is over.
    """
    end_holds([row])


def end_holds(rows: Iterable[SolvencyPosition]) -> None:
    """The same for many positions. Which of them are held is asked of the database: another worker may have held one
    after its row was read, for the very thing that was applied since.
    """
    by_key = {row.pk: row for row in rows}
    for chosen in batched(sorted(by_key)):
        held = SolvencyPosition.objects.filter(pk__in=chosen, follow_failures__gt=0)
        for key in held.order_by("pk").values_list("pk", flat=True):
            _end_hold(by_key[key])


def _end_hold(row: SolvencyPosition) -> None:
    chain_services.retry_events_now(position_id=row.position_id)
    chain_services.retry_operations_now(operation_ids=_operation_ids(row.position_id))
    SolvencyPosition.objects.filter(pk=row.pk).update(**NOT_HELD)
    for name, value in NOT_HELD.items():
        setattr(row, name, value)


def end_holds_that_are_over(rows: Iterable[SolvencyPosition]) -> None:
    """End the hold of those held for an operation that is settled by now, or that a reorg or a person moved."""
    held = {row.held_for: row for row in rows if row.held_for is not None}
    if not held:
        return
    waiting = {pk for _, pk in chain_selectors.unacknowledged_among(held)}
    for operation_id, row in held.items():
        if operation_id not in waiting:
            end_hold(row)


def postpone_operations(row: SolvencyPosition, operations: Sequence[Operation]) -> int:
    """These operations of a held position are not tried before it is tried again; returns how many were postponed."""
    if row.follow_after is None:
        return 0  # its hold ended meanwhile
    chain_services.put_off_operations(
        operation_ids=[operation.pk for operation in operations],
        until=row.follow_after,
        why=_behind(row),
    )
    return len(operations)


def postpone_all_operations(row: SolvencyPosition) -> None:
    """The same for all its operations whose pause is over, so that they are not tried one by one."""
    if row.follow_after is not None:
        ids = _operation_ids(row.position_id)
        chain_services.put_off_operations(operation_ids=ids, until=row.follow_after, why=_behind(row), if_due=True)


def postpone_events(row: SolvencyPosition, events: Sequence[ChainEvent]) -> None:
    """These events of a held position are not read before it is tried again."""
    if row.follow_after is not None:
        chain_services.put_off_chain_events(event_ids=[event.pk for event in events], until=row.follow_after)


def first_waiting(position_id: int, limit: int) -> list[Operation]:
    """The position's first operations on the chain that are final and not settled, postponed or not."""
    found = chain_selectors.unacknowledged_among(_operation_ids(position_id))
    on_chain = [(block, pk) for block, pk in found if block]
    last_block = on_chain[min(limit, len(on_chain)) - 1][0] if on_chain else 0
    chosen = [pk for block, pk in on_chain if block <= last_block]
    rows = [row for ids in batched(chosen) for row in Operation.objects.filter(pk__in=ids)]
    return sorted(rows, key=place_of)[:limit]


def has_work_left(row: SolvencyPosition) -> bool:
    """True where anything of a held position is left to apply."""
    if row.undo_from is not None or chain_selectors.unapplied_events_of(row.position_id, from_block=0, limit=1):
        return True
    return bool(chain_selectors.unacknowledged_among(_operation_ids(row.position_id)))


def place_of(operation: Operation) -> tuple[int, int]:
    """Where on the chain an operation of ours took effect: block and log; log 0 where its logs cannot be read."""
    try:
        log_index = operations.movement_index(operation.outcome_logs or [])
    except (LookupError, TypeError, ValueError):
        log_index = 0  # settling it raises what is wrong with them
    return operation.block_number or 0, log_index


def _behind(row: SolvencyPosition) -> str:
    return f"it waits behind block {row.waiting_since_block} of its position: {row.follow_error}"


def _operation_ids(position_id: int) -> list[UUID]:
    """Of the operations that a position's loans and repayments wait for."""
    loans = PartnerLoan.objects.filter(solvency_position_id=position_id)
    drawn = loans.filter(status=LoanStatus.PENDING).values_list("borrow_operation_id", flat=True)
    paid = loans.filter(repayment_in_flight=True).exclude(status=LoanStatus.PENDING).values_list("pk", flat=True)
    found = list(drawn)
    for ids in batched(paid):
        repayments = Repayment.objects.filter(loan__in=ids, status=RepaymentStatus.PENDING, operation__isnull=False)
        found += [pk for pk in repayments.values_list("operation_id", flat=True) if pk is not None]
    return found
