"""Reads of the settlement engine's records."""

import uuid

from django.db.models import Q, QuerySet

from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet, WalletStatus
from chain.states import FINAL_OPERATION_STATES, LIVE_TRANSACTION_STATES


def unacknowledged(kind: str, limit: int) -> list[Operation]:
    """Final operations of `kind` whose owner has not acted yet, oldest first, at most `limit`."""
    return list(unacknowledged_query(kind)[:limit])


def unacknowledged_query(kind: str) -> QuerySet[Operation]:
    """The query of `unacknowledged`, for the index tests too."""
    # __in, for `acknowledged=False` becomes NOT acknowledged on SQLite, which no index serves.
    final = Operation.objects.filter(acknowledged__in=[False], state__in=FINAL_OPERATION_STATES, kind=kind)
    return final.order_by("created_at", "id")


def reopened(kind: str, limit: int) -> list[Operation]:
    """Operations of `kind` whose owner acted on a state that a reorg undid since; newest first, to be taken back."""
    return list(reopened_query(kind)[:limit])


def reopened_query(kind: str) -> QuerySet[Operation]:
    """The query of `reopened`, for the index tests too."""
    # __in, for `reopened=True` becomes the bare column on SQLite, which no index serves.
    return Operation.objects.filter(reopened__in=[True], kind=kind).order_by("-created_at", "id")


def has_live_work(wallet: PlatformWallet) -> bool:
    """True while a driver has something to do: transactions to follow, or operations that may be bundled."""
    if ChainTransaction.objects.filter(wallet=wallet, state__in=LIVE_TRANSACTION_STATES).exists():
        return True
    is_active = PlatformWallet.objects.filter(pk=wallet.pk, status=WalletStatus.ACTIVE).exists()
    return is_active and Operation.objects.filter(state=OperationState.QUEUED).exists()


def live_transactions(wallet: PlatformWallet) -> list[ChainTransaction]:
    """The transactions the driver follows, in nonce order, their attempts prefetched."""
    # Sorted here: they are few, and for an ORDER BY nonce SQLite walks all the wallet ever sent.
    live = live_transactions_query(wallet.pk).prefetch_related("attempts")
    return sorted(live, key=lambda transaction: transaction.nonce)


def live_transactions_query(wallet_id: uuid.UUID) -> QuerySet[ChainTransaction]:
    """The query of `live_transactions`, for the index tests too."""
    return ChainTransaction.objects.filter(wallet_id=wallet_id, state__in=LIVE_TRANSACTION_STATES)


def queued_operations(limit: int) -> list[Operation]:
    """Operations that wait for a carrier, oldest first."""
    return list(Operation.objects.filter(state=OperationState.QUEUED).order_by("created_at", "id")[:limit])


def operations_of(transactions: list[ChainTransaction]) -> dict[object, list[Operation]]:
    """The operations of each transaction (by its key), in the order in which they stand in the carrier; one query."""
    found: dict[object, list[Operation]] = {transaction.pk: [] for transaction in transactions}
    operations = Operation.objects.filter(carrier__in=[transaction.pk for transaction in transactions])
    for operation in operations.order_by("carrier", "position_in_carrier"):
        found[operation.carrier_id].append(operation)
    return found


def open_operations_count() -> int:
    """Operations that were accepted and are not final (M7)."""
    return Operation.objects.filter(~Q(state__in=FINAL_OPERATION_STATES)).count()
