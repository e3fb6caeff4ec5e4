"""Reads of the settlement engine's records."""

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Sequence

from django.conf import settings
from django.db.models import Count, Q, QuerySet

from chain.models import (
    ChainEvent,
    ChainTransaction,
    Executor,
    Operation,
    OperationState,
    PlatformWallet,
    WalletStatus,
    WatchCursor,
    WatchedBlock,
)
from chain.states import FINAL_OPERATION_STATES, LIVE_TRANSACTION_STATES
from chain.wallet.signer import signing_address
from partner_platform.core import clock
from partner_platform.core.database.batches import batched

OPEN_OPERATION_STATES = tuple(state for state in OperationState if state not in FINAL_OPERATION_STATES)

SYSTEM_CURSOR = "system"  # of chain.events.watcher


def unacknowledged(kinds: str | Sequence[str], limit: int) -> list[Operation]:
    """Final operations of these kinds whose owner has not tried to act on them yet, oldest first, at most `limit`."""
    return list(unacknowledged_query(kinds)[:limit])


def unacknowledged_query(kinds: str | Sequence[str]) -> QuerySet[Operation]:
    """The query of `unacknowledged`, for the index tests too."""
    final = _final_and_unacknowledged(kinds).filter(settle_after__isnull=True)
    return final.order_by("created_at", "id")


def due_again(kinds: str | Sequence[str], limit: int) -> list[Operation]:
    """The same where the owner could not act and the pause after that is over; whose was over first comes first."""
    return list(due_again_query(kinds, clock.now())[:limit])


def due_again_query(kinds: str | Sequence[str], now: dt.datetime) -> QuerySet[Operation]:
    """The query of `due_again`, for the index tests too."""
    return _final_and_unacknowledged(kinds).filter(settle_after__lte=now).order_by("settle_after")


def unacknowledged_among(operation_ids: Iterable[uuid.UUID]) -> list[tuple[int, uuid.UUID]]:
    """Which of these are final and not acted on, put off or not: block and key of each, in the order of blocks."""
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
    """Operations of these kinds whose owner acted on a state that a reorg undid since, and may take that back now.

    Newest first; those that could not be taken back only once their pause is over.
    """
    fresh = list(reopened_query(kinds)[:limit])
    return [*fresh, *reopened_again_query(kinds, clock.now())[: limit - len(fresh)]] if len(fresh) < limit else fresh


def reopened_query(kinds: str | Sequence[str]) -> QuerySet[Operation]:
    """The query of `reopened` for those that nothing was tried with yet, for the index tests too."""
    return _reopened(kinds).filter(settle_after__isnull=True).order_by("-created_at", "id")


def reopened_again_query(kinds: str | Sequence[str], now: dt.datetime) -> QuerySet[Operation]:
    """The query of `reopened` for those that were put off, for the index tests too."""
    return _reopened(kinds).filter(settle_after__lte=now).order_by("settle_after")


def _reopened(kinds: str | Sequence[str]) -> QuerySet[Operation]:
    wanted = [kinds] if isinstance(kinds, str) else list(kinds)
    # __in, for `reopened=True` becomes the bare column on SQLite, which no index serves.
    return Operation.objects.filter(reopened__in=[True], kind__in=wanted)


def executors() -> list[str]:
    """Every executor that operations of this chain were made for, the configured one among them."""
    known = Executor.objects.filter(chain_id=settings.CHAIN_ID).order_by("created_at", "id")
    addresses = [*known.values_list("address", flat=True), settings.PLATFORM_EXECUTOR_ADDRESS]
    return list(dict.fromkeys(address for address in addresses if address))


def has_live_work(wallet: PlatformWallet) -> bool:
    """True while a driver has something to do: transactions to follow, or operations that may be bundled."""
    if ChainTransaction.objects.filter(wallet=wallet, state__in=LIVE_TRANSACTION_STATES).exists():
        return True
    if is_retired(wallet):
        return False
    is_active = PlatformWallet.objects.filter(pk=wallet.pk, status=WalletStatus.ACTIVE).exists()
    return is_active and queued_query().exists()


def is_retired(wallet: PlatformWallet) -> bool:
    """True where its key was rotated away: new transactions are signed with another one."""
    return signing_address() not in ("", wallet.address)


def wallets_of_the_chain() -> list[PlatformWallet]:
    """Every wallet of this chain, the oldest first."""
    return list(PlatformWallet.objects.filter(chain_id=settings.CHAIN_ID).order_by("created_at", "id"))


def wallets_to_look_at() -> list[PlatformWallet]:
    """Wallets of this chain, rotated away or not, that are not ACTIVE, have an incident or transactions under way."""
    return [
        wallet
        for wallet in wallets_of_the_chain()
        if wallet.status != WalletStatus.ACTIVE or wallet.incident or live_transactions_query(wallet.pk).exists()
    ]


def signing_wallet() -> PlatformWallet | None:
    """The wallet of the configured key; without a key the chain's only one. None where there is no such row."""
    current = signing_address()
    wallets = wallets_of_the_chain()
    if not current and len(wallets) == 1:
        return wallets[0]
    return next((wallet for wallet in wallets if wallet.address == current), None)


def retired_wallets() -> list[PlatformWallet]:
    """Wallets whose key was rotated away and that have something to follow still: live transactions, a comparison after
    a restore, or what was settled under them in a block that is not final.

    Without any key none of several wallets is the platform's: then all of them are only followed.
    """
    current = signing_address()
    wallets = wallets_of_the_chain()
    if not current and len(wallets) == 1:
        return []
    return [wallet for wallet in wallets if wallet.address != current and _has_unfinished(wallet)]


def _has_unfinished(wallet: PlatformWallet) -> bool:
    mine = ChainTransaction.objects.filter(wallet=wallet.pk)
    if wallet.scan_pending or mine.filter(state__in=LIVE_TRANSACTION_STATES).exists():
        return True
    final, verified = wallet.final_block or 0, wallet.verified_block or 0
    if mine.filter(block_number__gt=final).exists():
        return True
    adopted = Operation.objects.filter(transaction__isnull=True, state=OperationState.CONFIRMED)
    return adopted.filter(block_number__gt=final, block_number__lte=verified).exists()


def live_transactions(wallet: PlatformWallet) -> list[ChainTransaction]:
    """The transactions the driver follows, in nonce order, their attempts prefetched."""
    # Sorted here: they are few, and for an ORDER BY nonce SQLite walks all the wallet ever sent.
    live = live_transactions_query(wallet.pk).prefetch_related("attempts")
    return sorted(live, key=lambda transaction: transaction.nonce)


def live_transactions_query(wallet_id: uuid.UUID) -> QuerySet[ChainTransaction]:
    """The query of `live_transactions`, for the index tests too."""
    return ChainTransaction.objects.filter(wallet_id=wallet_id, state__in=LIVE_TRANSACTION_STATES)


def queued_operations(limit: int, *, without: Collection[uuid.UUID] = ()) -> list[Operation]:
    """Operations of this chain that wait for a transaction, oldest first, but those of `without`."""
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


def unapplied_events(limit: int, *, after: tuple[int, int] = (-1, -1)) -> list[ChainEvent]:
    """Events nobody tried to act on yet, in the order of the chain, from behind `after` (block, log)."""
    return list(unapplied_events_query(after)[:limit])


def unapplied_events_query(after: tuple[int, int]) -> QuerySet[ChainEvent]:
    """The query of `unapplied_events`, for the index tests too."""
    block, log = after
    due = ChainEvent.objects.filter(applied__in=[False], follow_after__isnull=True)
    due = due.order_by("follow_after", "block_number", "log_index")  # all null: named for PostgreSQL's planner
    if block < 0:
        return due
    return due.filter(block_number__gte=block).exclude(block_number=block, log_index__lte=log)


def events_due_again(limit: int) -> list[ChainEvent]:
    """Events that could not be acted on and whose pause is over, at most `limit`; whose was over first come first."""
    return list(events_due_again_query(clock.now())[:limit])


def events_due_again_query(now: dt.datetime) -> QuerySet[ChainEvent]:
    """The query of `events_due_again`, for the index tests too."""
    return ChainEvent.objects.filter(applied__in=[False], follow_after__lte=now).order_by("follow_after")


def unapplied_events_of(position_id: int, *, from_block: int, limit: int) -> list[ChainEvent]:
    """A position's first events since a block that nobody acted on, put off or not, in the order of the chain."""
    found = ChainEvent.objects.filter(position_id=position_id, block_number__gte=from_block, applied__in=[False])
    return list(found.order_by("block_number", "log_index")[:limit])


def positions_put_off(position_ids: Iterable[int]) -> set[int]:
    """Which of these positions have events that nobody acted on and that were put off."""
    found: set[int] = set()
    for chosen in batched(sorted(position_ids)):
        waiting = ChainEvent.objects.filter(position_id__in=chosen, applied__in=[False], follow_after__isnull=False)
        found |= {
            position_id for position_id in waiting.values_list("position_id", flat=True) if position_id is not None
        }
    return found


def positions_since(block_number: int) -> set[int]:
    """The positions that have events from this block on."""
    since = ChainEvent.objects.filter(block_number__gte=block_number).values_list("position_id", flat=True)
    return {position_id for position_id in since if position_id is not None}


def position_events(position_id: int, *, events: Iterable[str], contracts: Iterable[str]) -> list[ChainEvent]:
    """A position's events of these kinds, of any of these contracts, in the order of the chain."""
    kinds = set(events)
    names = [f"{contract}.{kind}" for contract in contracts for kind in sorted(kinds)]
    found = ChainEvent.objects.filter(position_id=position_id, name__in=names)
    return list(found.order_by("block_number", "log_index"))


def last_event_before(position_id: int, *, block_number: int, log_index: int, name: str = "") -> ChainEvent | None:
    """A position's newest event before a place on the chain; the newest of this name where one is given."""
    found = ChainEvent.objects.filter(position_id=position_id, block_number__lte=block_number)
    found = found.exclude(block_number=block_number, log_index__gte=log_index)
    if name:
        found = found.filter(name=name)
    return found.order_by("-block_number", "-log_index").first()


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
    """Final operations that their owner could not act on, or that wait behind one of these. For metrics."""
    waiting = Operation.objects.filter(acknowledged__in=[False], settle_after__isnull=False)
    return waiting.filter(state__in=FINAL_OPERATION_STATES).count()


def open_operations_count() -> int:
    """Operations that were accepted and are not final (M7)."""
    return Operation.objects.filter(~Q(state__in=FINAL_OPERATION_STATES)).count()


def open_operations_by_state() -> dict[str, int]:
    """How many operations are in each state that is not final, 0 included; the settled ones are not looked at."""
    rows = open_operations_query().values_list("state").annotate(count=Count("pk"))
    return {**{str(state): 0 for state in OPEN_OPERATION_STATES}, **dict(rows)}


def open_operations_query() -> QuerySet[Operation]:
    """The operations that are not final, by their states, for which there is an index; for the index tests too."""
    return Operation.objects.filter(state__in=OPEN_OPERATION_STATES)


def frozen_wallets_count() -> int:
    """Wallets that send nothing new until a person looks."""
    return PlatformWallet.objects.filter(status=WalletStatus.FROZEN).count()


def watched_block() -> WatchedBlock | None:
    """The newest block that the watcher has read; None where it has read none, or is further behind than it keeps."""
    newest = WatchedBlock.objects.order_by("-number").first()
    return newest if newest is not None and newest.number == watched_until() else None


def watched_until() -> int:
    """The number of the newest block whose events the watcher has read; -1 before it began."""
    cursor = WatchCursor.objects.filter(name=SYSTEM_CURSOR).first()
    return -1 if cursor is None else cursor.next_block - 1


def verified_until() -> int:
    """The number of the newest block whose events were read again when it was final, alike; -1 where there is none."""
    cursor = WatchCursor.objects.filter(name=SYSTEM_CURSOR).first()
    return -1 if cursor is None else cursor.verified_block


def transfers_between(first: int, last: int) -> list[tuple[str, str, int]]:
    """`(sender, recipient, base units)` of the USDC transfers in these blocks that no operation of ours made."""
    found = transfers_query(first, last).values_list("args", flat=True)
    return [(args["from"], args["to"], int(args["value"])) for args in found]


def transfers_query(first: int, last: int) -> QuerySet[ChainEvent]:
    """The query of `transfers_between`, for the index tests too."""
    return _events_between(first, last).filter(name="MockUSDC.Transfer", operation_uid="")


def last_block_of(events: int, *, first: int, until: int) -> int:
    """The block up to which there are at most so many events from `first` on, `until` at most; at least `first`."""
    numbers = _events_between(first, until).order_by("block_number", "log_index").values_list("block_number", flat=True)
    beyond = list(numbers[events : events + 1])
    return max(beyond[0] - 1, first) if beyond else until


def _events_between(first: int, last: int) -> QuerySet[ChainEvent]:
    return ChainEvent.objects.filter(block_number__gte=first, block_number__lte=last)
