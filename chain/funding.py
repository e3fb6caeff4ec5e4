"""Money that came in: a USDC transfer to the platform account funds repayments of at most its value, once (M3).

A transaction funds what its logs say that USDC itself moved from the sender to the platform account, all of them
together: one row per transaction and sender, for a reorg may give the same transfer another place and other log
indexes. What was claimed is paid out only on a chain that still has the transfer: `guard` is the first call of such a
repayment's operation, and makes it revert where another block stands in the place of the one that was proven.
"""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.db.models import F

from chain import selectors
from chain.clients import get_client
from chain.encoding import (
    OPERATION_TOPICS,
    TRANSFER_TOPIC,
    Call,
    Undecodable,
    address_topic,
    decode_uint,
    encode_call,
    to_bytes,
)
from chain.models import FundingTransfer
from chain.reading import read, read_everywhere
from partner_platform.core.errors import BadRequest, ErrorCode
from partner_platform.core.money import MAX_BASE_UNITS, format_dollars

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2  # a block


@dataclass(frozen=True)
class ProvenTransfer:
    """USDC that a transaction in a canonical block, deep enough, brought from `sender`; `value` in base units."""

    tx_hash: str
    sender: str
    value: int
    block_number: int
    block_hash: str


def prove_transfer(*, tx_hash: str, sender: str) -> ProvenTransfer:
    """What a mined, successful, k-deep transaction brought from `sender` to the platform account.

    Raises 400 with a code of its own for each way in which the hash proves nothing, `ChainUnavailable` where the chain
    cannot tell.
    """
    receipt, transaction, head = read(
        ("eth_getTransactionReceipt", [tx_hash]), ("eth_getTransactionByHash", [tx_hash]), ("eth_blockNumber", [])
    )
    if receipt is None or receipt.get("blockNumber") is None:
        raise _not_mined(tx_hash, is_pending=transaction is not None)
    _require_canonical(receipt, int(head, 16))
    if int(receipt["status"], 16) != 1:
        raise _refusal(ErrorCode.TRANSFER_REVERTED, "the transaction reverted")
    value = 0 if _is_our_own(receipt) else _value_from(receipt, sender)
    if not value:
        raise _refusal(
            ErrorCode.TRANSFER_NOT_TO_PLATFORM,
            "no USDC transfer from the settlement address to the platform account",
        )
    return ProvenTransfer(
        tx_hash=tx_hash.lower(),
        sender=sender,
        value=min(value, MAX_BASE_UNITS),
        block_number=int(receipt["blockNumber"], 16),
        block_hash=receipt["blockHash"],
    )


def record(transfer: ProvenTransfer) -> FundingTransfer:
    """The transfer's row: made where it is new, moved where a reorg moved it; to be called outside a transaction."""
    known = FundingTransfer.objects.filter(tx_hash=transfer.tx_hash, sender=transfer.sender)
    row = known.first() or _create(transfer)
    if row is not None and row.block_hash == transfer.block_hash:
        return row
    place = {"block_number": transfer.block_number, "block_hash": transfer.block_hash, "value": transfer.value}
    known.update(**place)
    return known.get()


def claim(transfer: FundingTransfer, *amounts: int) -> int:
    """Use the first of `amounts` that is left of the transfer, inside the caller's transaction; 400 where none is."""
    for amount in amounts:
        mine = FundingTransfer.objects.filter(
            pk=transfer.pk, block_hash=transfer.block_hash, used__lte=F("value") - amount
        )
        if amount <= transfer.value and mine.update(used=F("used") + amount) == 1:
            return amount
    left = max(sum(row.value - row.used for row in FundingTransfer.objects.filter(pk=transfer.pk)), 0)
    if left == 0:
        raise _refusal(ErrorCode.TRANSFER_ALREADY_USED, "all of the transfer is used", unused="0")
    raise _refusal(
        ErrorCode.TRANSFER_INSUFFICIENT, f"{format_dollars(left)} of the transfer is not yet used", unused=str(left)
    )


def give_back(*, transfer_id: UUID, amount: int) -> bool:
    """Return `amount` to a transfer that it was claimed from; False where so much was never claimed."""
    claimed = FundingTransfer.objects.filter(pk=transfer_id, used__gte=amount)
    return claimed.update(used=F("used") - amount) == 1


def guard(transfer: FundingTransfer) -> Call:
    """The call that lets the operation it begins run only on a chain which has the block of the transfer."""
    data = encode_call("requireBlock(uint256,bytes32)", [transfer.block_number, to_bytes(transfer.block_hash)])
    return Call(settings.PLATFORM_EXECUTOR_ADDRESS, 0, data)


def _not_mined(tx_hash: str, *, is_pending: bool) -> BadRequest:
    """Pending somewhere, known to be mined by another node, known to us from a block that is gone, or never seen."""
    elsewhere = get_client().everywhere("eth_getTransactionReceipt", [tx_hash])
    if is_pending or any(receipt is not None for receipt in elsewhere):
        return _unconfirmed()
    if FundingTransfer.objects.filter(tx_hash=tx_hash.lower()).exists():
        return _reorged()
    return _refusal(ErrorCode.TRANSFER_NOT_FOUND, "no such transaction is mined")


def _require_canonical(receipt: dict[str, Any], head: int) -> None:
    """Deep enough, and in the block that every node shows at its height; nodes that lag behind say nothing."""
    blocks = read_everywhere("eth_getBlockByNumber", [receipt["blockNumber"], False])
    same = [block["hash"] == receipt["blockHash"] for block in blocks]
    if not any(same):
        raise _reorged()
    if not all(same) or head - int(receipt["blockNumber"], 16) + 1 < settings.CHAIN_CONFIRMATIONS:
        raise _unconfirmed()


def _is_our_own(receipt: dict[str, Any]) -> bool:
    """A carrier of ours moves pulled funds the same way, but those have funded their repayment already."""
    executors = {executor.lower() for executor in selectors.executors()}
    return any(
        log["address"].lower() in executors and log["topics"] and log["topics"][0] in OPERATION_TOPICS
        for log in receipt["logs"]
    )


def _value_from(receipt: dict[str, Any], sender: str) -> int:
    """By the logs of USDC itself, whatever other tokens say; one that is no transfer's is worth nothing."""
    wanted = [TRANSFER_TOPIC, address_topic(sender), address_topic(settings.PLATFORM_EXECUTOR_ADDRESS)]
    usdc = settings.USDC_ADDRESS.lower()
    logs = [
        log
        for log in receipt["logs"]
        if log["address"].lower() == usdc and [topic.lower() for topic in log["topics"]] == wanted
    ]
    return sum(_amount(log) for log in logs)


def _amount(log: dict[str, Any]) -> int:
    try:
        return decode_uint(log["data"])
    except Undecodable as error:
        logger.error("USDC: %s says no amount (%s)", log.get("transactionHash"), error)  # noqa: TRY400 - whose is told
        return 0


def _create(transfer: ProvenTransfer) -> FundingTransfer | None:
    try:
        return FundingTransfer.objects.create(
            tx_hash=transfer.tx_hash,
            sender=transfer.sender,
            recipient=settings.PLATFORM_EXECUTOR_ADDRESS,
            value=transfer.value,
            block_number=transfer.block_number,
            block_hash=transfer.block_hash,
        )
    except IntegrityError:
        return FundingTransfer.objects.filter(tx_hash=transfer.tx_hash, sender=transfer.sender).first()


def _unconfirmed() -> BadRequest:
    return _refusal(ErrorCode.TRANSFER_UNCONFIRMED, "the transaction is not confirmed yet", retry_after=RETRY_SECONDS)


def _reorged() -> BadRequest:
    message = "a reorganization of the chain took the transaction out of its block"
    return _refusal(ErrorCode.TRANSFER_REORGED, message, retry_after=RETRY_SECONDS)


def _refusal(code: ErrorCode, problem: str, *, retry_after: int | None = None, **details: str) -> BadRequest:
    return BadRequest(
        code,
        f"repaymentTxHash: {problem}",
        details={"repaymentTxHash": [problem], **details},
        retry_after=retry_after,
    )
