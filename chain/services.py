"""What other apps ask of settlement: enqueue an operation, acknowledge its outcome, put it off, freeze wallets."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F

from chain.lending.encoding import Call, uid_of
from chain.models import ChainEvent, Operation, PlatformWallet
from chain.settlement.waking import wake_driver
from chain.wallet import freezing
from partner_platform.core import backoff, clock
from partner_platform.core.database.batches import batched
from partner_platform.core.database.transactions import on_commit

REASON_LENGTH = 300
NOT_PUT_OFF = {"settle_failures": 0, "settle_after": None, "settle_error": ""}


def enqueue(*, key: str, kind: str, calls: list[Call], effect: list[dict[str, Any]]) -> Operation:
    """Store an operation that is to be done at most once, ever; wakes the driver when the caller's transaction commits.

    It is for the executor and the chain that the settings name now, also if they change before it is done. `key` is the
    idempotency key and decides the uid on the chain; `effect` lists the logs that prove it was done. Raises
    `IntegrityError` for a key that was used before.
    """
    operation = Operation.objects.create(
        key=key,
        uid=uid_of(key),
        kind=kind,
        chain_id=settings.CHAIN_ID,
        executor=settings.PLATFORM_EXECUTOR_ADDRESS,
        calls=[asdict(call) for call in calls],
        effect=effect,
    )
    on_commit(wake_driver)
    return operation


def acknowledge(*, operation: Operation) -> bool:
    """Note that the owner acts on a final state, in the owner's transaction; True for the first caller only.

    False too where the operation changed since the caller read it: a reorg undid its state, or changed its block.
    """
    return acknowledge_all(operations=[operation])


def acknowledge_all(*, operations: Sequence[Operation]) -> bool:
    """`acknowledge` for many at once; False where one changed: the caller must roll its transaction back."""
    blocks: dict[tuple[str, str], list[UUID]] = {}
    for operation in operations:
        blocks.setdefault((operation.state, operation.block_hash), []).append(operation.pk)
    noted = 0
    for (state, block_hash), ids in sorted(blocks.items()):
        as_read = Operation.objects.filter(pk__in=ids, acknowledged=False, state=state, block_hash=block_hash)
        noted += as_read.update(acknowledged=True, **NOT_PUT_OFF)
    return noted == len(operations)


def put_off(*, operation: Operation, why: str) -> dt.datetime:
    """The owner could not act on a final state, or undo one: it is tried again after a pause that grows each time.

    In a transaction of its own, after the one that failed. Returns when it is tried again; `why` is stored and shown.
    """
    until = backoff.next_try(operation.settle_failures + 1)
    as_read = Operation.objects.filter(pk=operation.pk, acknowledged=operation.acknowledged, state=operation.state)
    as_read.update(settle_failures=F("settle_failures") + 1, settle_after=until, settle_error=why[:REASON_LENGTH])
    return until


def put_off_operations(*, operation_ids: Sequence[UUID], until: dt.datetime, why: str, if_due: bool = False) -> None:
    """Put off operations that come after one that was put off; it does not count as a failure of theirs.

    With `if_due` only those whose own pause is over.
    """
    for chosen in batched(operation_ids):
        waiting = Operation.objects.filter(pk__in=chosen, acknowledged=False)
        if if_due:
            waiting = waiting.filter(settle_after__lte=clock.now())
        waiting.update(settle_after=until, settle_error=why[:REASON_LENGTH])


def retry_operations_now(*, operation_ids: Sequence[UUID]) -> None:
    """Try these at once, although they were put off: the cause may be gone."""
    for chosen in batched(operation_ids):
        waiting = Operation.objects.filter(pk__in=chosen, acknowledged=False, settle_after__isnull=False)
        waiting.update(settle_after=None)


def acknowledge_reopened(*, operation_id: UUID) -> bool:
    """Note that the owner undoes what it did about a state that a reorg undid, in the owner's transaction.

    True for the first caller only; the owner has to act on the operation's next final state again.
    """
    reopened = Operation.objects.filter(pk=operation_id, reopened=True)
    return reopened.update(reopened=False, acknowledged=False, **NOT_PUT_OFF) == 1


def unacknowledge(*, operation_id: UUID) -> None:
    """The owner undid what it did about a final state, in its transaction: it has to act on that state again."""
    acted_on = Operation.objects.filter(pk=operation_id, acknowledged=True)
    acted_on.update(acknowledged=False, reopened=False)


def note_applied(*, event_ids: Sequence[UUID]) -> bool:
    """Note that the consumer applied these events, in its transaction.

    False where some are applied already, or a reorg deleted them: the caller must roll its transaction back.
    """
    noted = 0
    for chosen in batched(event_ids):
        waiting = ChainEvent.objects.filter(pk__in=chosen).unapplied()
        noted += waiting.update(applied=True, follow_after=None)
    return noted == len(event_ids)


def put_off_chain_events(*, event_ids: Sequence[UUID], until: dt.datetime) -> None:
    """The consumer cannot apply these events now: they are not tried before `until`."""
    for chosen in batched(event_ids):
        ChainEvent.objects.filter(pk__in=chosen).put_off(until)


def put_off_position_events(*, position_id: int, from_block: int, until: dt.datetime) -> None:
    """The same for all of a position's events since a block, in one statement however many they are."""
    ChainEvent.objects.filter(position_id=position_id, block_number__gte=from_block).put_off(until)


def retry_events_now(*, position_id: int) -> None:
    """Try a position's events at once, although they were put off: the cause may be gone."""
    ChainEvent.objects.filter(position_id=position_id, follow_after__isnull=False).put_off(None)


def unapply_events(*, position_id: int, from_block: int) -> None:
    """The consumer undid what it did about a position's events since `from_block`: they are to be applied again."""
    since = ChainEvent.objects.filter(position_id=position_id, block_number__gte=from_block)
    since.update(applied=False, follow_after=None)


def freeze_wallets(*, reason: str, address: str = "") -> int:
    """Freeze all wallets of the chain, or the one with this address: books and chain disagree about money.

    A wallet that is frozen already gets this reason too. Returns for how many wallets the reason is new.
    """
    wallets = PlatformWallet.objects.filter(chain_id=settings.CHAIN_ID)
    wallets = wallets.filter(address=address) if address else wallets
    chosen = list(wallets.order_by("pk").values_list("pk", flat=True))
    return sum(freezing.freeze_wallet(wallet_id, reason) for wallet_id in chosen)
