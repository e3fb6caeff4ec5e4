"""Reads of operations: what their owners have to act on, what is queued, what a transaction carries."""

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Sequence

from django.conf import settings
from django.db.models import Count, QuerySet

from chain.models import ChainTransaction, Operation, OperationState
from chain.states import FINAL_OPERATION_STATES, LIVE_TRANSACTION_STATES
from partner_platform.core import clock
from partner_platform.core.database.batches import batched

OPEN_OPERATION_STATES = tuple(state for state in OperationState if state not in FINAL_OPERATION_STATES)


def unacknowledged(kinds: str | Sequence[str], limit: int) -> list[Operation]:
    """Final operations of these kinds whose owner has not tried to act on them yet, oldest first, at most `limit`."""
    return list(unacknowledged_query(kinds)[:limit])


def unacknowledged_query(kinds: str | Sequence[str]) -> QuerySet[Operation]:
    """The query of `unacknowledged`, for the index tests too."""
    final = _final_and_unacknowledged(kinds).filter(settle_after__isnull=True)
    return final.order_by("created_at", "id")


def due_again(kinds: str | Sequence[str], limit: int) -> list[Operation]:
    """Final operations that their owner could not act on and whose pause is over; the longest overdue first."""
    return list(due_again_query(kinds, clock.now())[:limit])


def due_again_query(kinds: str | Sequence[str], now: dt.datetime) -> QuerySet[Operation]:
    """The query of `due_again`, for the index tests too."""
    return _final_and_unacknowledged(kinds).filter(settle_after__lte=now).order_by("settle_after")


def unacknowledged_among(operation_ids: Iterable[uuid.UUID]) -> list[tuple[int, uuid.UUID]]:
    """Those that are final and not acted on, put off or not: block and key of each, by block."""
    found: list[tuple[int, uuid.UUID]] = []
    for chosen in batched(operation_ids):
        final = Operation.objects.filter(pk__in=chosen, acknowledged=False, state__in=FINAL_OPERATION_STATES)
        found += [(block or 0, pk) for block, pk in final.values_list("block_number", "pk")]
    return sorted(found)


def _final_and_unacknowledged(kinds: str | Sequence[str]) -> QuerySet[Operation]:
    wanted = [kinds] if isinstance(kinds, str) else list(kinds)
    # __in, for `acknowledged=False` becomes NOT acknowledged on SQLite, which no index serves.
    return Operation.objects.filter(acknowledged__in=[False], state__in=FINAL_OPERATION_STATES, kind__in=wanted)


def reopened(kinds: str | Sequence[str], limit: int) -> list[Operation]:
    """Operations of these kinds whose owner acted on a state that a reorg undid since, and may undo that now.

    Newest first; those that could not be undone before follow once their pause is over.
    """
    fresh = list(reopened_query(kinds)[:limit])
    return [*fresh, *reopened_again_query(kinds, clock.now())[: limit - len(fresh)]] if len(fresh) < limit else fresh


def reopened_query(kinds: str | Sequence[str]) -> QuerySet[Operation]:
    """The query of `reopened` for those that were not tried yet. For the index tests too."""
    return _reopened(kinds).filter(settle_after__isnull=True).order_by("-created_at", "id")


def reopened_again_query(kinds: str | Sequence[str], now: dt.datetime) -> QuerySet[Operation]:
    """The query of `reopened` for those that were put off, for the index tests too."""
    return _reopened(kinds).filter(settle_after__lte=now).order_by("settle_after")


def _reopened(kinds: str | Sequence[str]) -> QuerySet[Operation]:
    wanted = [kinds] if isinstance(kinds, str) else list(kinds)
    # __in, for `reopened=True` becomes the bare column on SQLite, which no index serves.
    return Operation.objects.filter(reopened__in=[True], kind__in=wanted)


def queued_operations(limit: int, *, without: Collection[uuid.UUID] = ()) -> list[Operation]:
    """The queued operations of this chain, oldest first, except those of `without`."""
    queued = queued_query().exclude(pk__in=list(without)) if without else queued_query()
    return list(queued.order_by("created_at", "id")[:limit])


def former_transactions_that_may_run(operation: Operation) -> list[ChainTransaction]:
    """Transactions that the operation was in before it was queued again, and that may still run it: they are under way,
    or in a block that a reorg may replace.
    """
    if not operation.former_transactions:
        return []
    rows = (
        ChainTransaction.objects.filter(pk__in=operation.former_transactions).select_related("wallet").order_by("nonce")
    )
    return [row for row in rows if not _is_over(row)]


def _is_over(transaction: ChainTransaction) -> bool:
    if transaction.state in LIVE_TRANSACTION_STATES:
        return False
    if transaction.block_number is None:
        return True  # final state showed that its nonce is another transaction's
    final = transaction.wallet.final_block
    return final is not None and transaction.block_number <= final


def queued_query() -> QuerySet[Operation]:
    """The query of `queued_operations`, for the index tests too."""
    return Operation.objects.filter(state=OperationState.QUEUED, chain_id=settings.CHAIN_ID)


def operations_of(transactions: list[ChainTransaction]) -> dict[object, list[Operation]]:
    """The operations of each transaction (by its key), in the order of the bundle; one query."""
    found: dict[object, list[Operation]] = {transaction.pk: [] for transaction in transactions}
    operations = Operation.objects.filter(transaction__in=[transaction.pk for transaction in transactions])
    for operation in operations.order_by("transaction", "position_in_bundle"):
        found[operation.transaction_id].append(operation)
    return found


def operations_by_uid(uids: Iterable[str]) -> dict[str, Operation]:
    """The operations of ours among these uids."""
    found: dict[str, Operation] = {}
    for chosen in batched(sorted(set(uids))):
        found |= {operation.uid: operation for operation in Operation.objects.filter(uid__in=chosen)}
    return found


def count_by_state(operations: QuerySet[Operation]) -> dict[str, int]:
    """How many of them are in each state, without the states that none is in."""
    counted = operations.order_by().values("state").annotate(count=Count("pk"))
    return {row["state"]: row["count"] for row in counted}


def put_off_count() -> int:
    """How many final operations are put off: their owner could not act on them, or on one before them. For metrics."""
    waiting = Operation.objects.filter(acknowledged__in=[False], settle_after__isnull=False)
    return waiting.filter(state__in=FINAL_OPERATION_STATES).count()


def open_operations_by_state() -> dict[str, int]:
    """How many operations are in each state that is not final, zeros included."""
    rows = open_operations_query().values_list("state").annotate(count=Count("pk"))
    return {**{str(state): 0 for state in OPEN_OPERATION_STATES}, **dict(rows)}


def open_operations_query() -> QuerySet[Operation]:
    """Operations that are not final, by state, for which there is an index. For the index tests too."""
    return Operation.objects.filter(state__in=OPEN_OPERATION_STATES)
