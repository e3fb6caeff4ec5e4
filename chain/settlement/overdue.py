"""Logs once, at ERROR and with its reason, what is open for more than `CHAIN_OVERDUE_BLOCKS`, and counts it.

An operation is open until its owner acted on its final state; NEEDS_REVIEW is logged when it happens. A transaction is
open while the driver follows it, a noop too. Age is counted in blocks since a driver first saw it (where no blocks
come, `chain.settlement.silence` logs that), and anew from a final state on, when the owner has to act. The reason is
found in `chain.settlement.reasons`.
"""

import logging
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from chain import selectors
from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet
from chain.settlement.engine import Engine
from chain.settlement.reasons import Circumstances
from chain.states import LIVE_TRANSACTION_STATES

logger = logging.getLogger(__name__)

EVERY_BLOCKS = 10
AT_ONCE = 500  # reported in one pass; the others in the next
KEYS_PER_LINE = 20
OPEN_STATES = [state for state in OperationState if state != OperationState.NEEDS_REVIEW]
_reported_at: dict[UUID, int] = {}  # the block at which this process reported last, by wallet


def report_overdue_if_due(engine: Engine) -> None:
    """Report what is overdue, once in `EVERY_BLOCKS`; called at each block.

    Only the driver of the current wallet does: that of a wallet whose key was rotated away does not know why the queue
    waits.
    """
    head = engine.require_head().number
    if not engine.is_current or 0 <= head - _reported_at.get(engine.wallet.pk, -EVERY_BLOCKS) < EVERY_BLOCKS:
        return
    _reported_at[engine.wallet.pk] = head
    try:
        report_overdue(engine)
    except Exception:  # the driver's work does not depend on it
        logger.exception("what is open for long could not be reported")


def report_overdue(engine: Engine) -> None:
    """Report now: date what has no date yet, log what is overdue."""
    head = engine.require_head().number
    if undated_operations_query().exists():
        undated_operations_query().update(open_since_block=head)
    operations = [*overdue_operations_query(head)[:AT_ONCE], *_overdue_reopened(head)]
    transactions = _overdue_transactions(engine.wallet, head)
    if not operations and not transactions:
        return
    why = Circumstances.of_engine(engine)
    lines = {operation.pk: f"{operation.state}: {why.of_operation(operation)}" for operation in operations}
    for reason in sorted(set(lines.values())):
        _log_operations([operation for operation in operations if lines[operation.pk] == reason], reason, head)
    for transaction in transactions:
        age = head - (transaction.open_since_block or 0)
        logger.error("a transaction is open for %d blocks, %s", age, why.of_transaction(transaction))
    Operation.objects.filter(pk__in=list(lines)).update(overdue_told=True)
    ChainTransaction.objects.filter(pk__in=[row.pk for row in transactions]).update(overdue_told=True)


def undated_operations_query() -> QuerySet[Operation]:
    """Open operations without a date. For the index tests too."""
    return _open_operations(told=[False]).filter(open_since_block__isnull=True)


def overdue_operations_query(head: int, *, told: Iterable[bool] = (False,)) -> QuerySet[Operation]:
    """Operations that are overdue at block `head`; by default those not reported yet. For the index tests too."""
    found = _open_operations(told=list(told)).filter(open_since_block__lt=head - settings.CHAIN_OVERDUE_BLOCKS)
    return (
        found.order_by("open_since_block")
        .select_related("transaction__wallet")
        .prefetch_related("transaction__attempts")
    )


def reported_operations_query() -> QuerySet[Operation]:
    """Overdue operations that were reported."""
    told = _open_operations(told=[True]).order_by("open_since_block")
    return told.select_related("transaction__wallet").prefetch_related("transaction__attempts")


def _open_operations(*, told: list[bool]) -> QuerySet[Operation]:
    return Operation.objects.filter(acknowledged__in=[False], overdue_told__in=told, state__in=OPEN_STATES)


def _overdue_reopened(head: int) -> list[Operation]:
    """Operations whose owner acted on a state that a reorg undid, and has not undone that for as long."""
    rows = list(Operation.objects.filter(reopened__in=[True], overdue_told=False)[:AT_ONCE])
    undated = [row.pk for row in rows if row.open_since_block is None]
    if undated:
        Operation.objects.filter(pk__in=undated).update(open_since_block=head)
    return [row for row in rows if _is_overdue(row, head)]


def _overdue_transactions(wallet: PlatformWallet, head: int) -> list[ChainTransaction]:
    """Overdue transactions of any wallet on the chain: another one may have no driver."""
    wallets = list(PlatformWallet.objects.filter(chain_id=wallet.chain_id).values_list("pk", flat=True))
    live = ChainTransaction.objects.filter(wallet__in=wallets, state__in=LIVE_TRANSACTION_STATES)
    rows = list(live.select_related("wallet").prefetch_related("attempts"))
    undated = [row.pk for row in rows if row.open_since_block is None]
    if undated:
        ChainTransaction.objects.filter(pk__in=undated).update(open_since_block=head)
    return sorted((row for row in rows if not row.overdue_told and _is_overdue(row, head)), key=lambda row: row.nonce)


def _is_overdue(row: Operation | ChainTransaction, head: int) -> bool:
    since = row.open_since_block
    return since is not None and since < head - settings.CHAIN_OVERDUE_BLOCKS


def _log_operations(operations: Sequence[Operation], reason: str, head: int) -> None:
    """One line for all operations with the same reason; it names those that were accepted first."""
    oldest = min(operation.open_since_block or 0 for operation in operations)
    first = sorted(operations, key=lambda operation: operation.created_at)[:KEYS_PER_LINE]
    keys = ", ".join(operation.key for operation in first)
    more = f" and {len(operations) - KEYS_PER_LINE} more" if len(operations) > KEYS_PER_LINE else ""
    what = "operation is" if len(operations) == 1 else "operations are"
    logger.error("%d %s open for up to %d blocks, %s (%s%s)", len(operations), what, head - oldest, reason, keys, more)


def count_overdue() -> dict[str, int]:
    """What was reported and is still open: operations by state, and `TRANSACTION`. For metrics."""
    found: dict[str, int] = dict.fromkeys((*(state.value for state in OPEN_STATES), "TRANSACTION"), 0)
    found |= selectors.count_by_state(_open_operations(told=[True]))
    wallets = list(PlatformWallet.objects.values_list("pk", flat=True))
    live = ChainTransaction.objects.filter(wallet__in=wallets, state__in=LIVE_TRANSACTION_STATES)
    return found | {"TRANSACTION": live.filter(overdue_told=True).count()}
