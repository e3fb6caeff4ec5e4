"""Money that came in: a USDC transfer to the platform account funds repayments of at most its value, once (M3)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.db.models import F

from chain.clients import get_client
from chain.encoding import OPERATION_TOPICS, TRANSFER_TOPIC, address_topic
from chain.models import FundingTransfer
from partner_platform.core.errors import BadRequest, ErrorCode
from partner_platform.core.money import MAX_BASE_UNITS, format_dollars


@dataclass(frozen=True)
class ProvenTransfer:
    """A USDC transfer in a canonical block, deep enough; `value` in base units."""

    tx_hash: str
    log_index: int
    sender: str
    value: int
    block_number: int
    block_hash: str


def prove_transfers(*, tx_hash: str, sender: str) -> list[ProvenTransfer]:
    """The USDC transfers from `sender` to the platform account in a mined, successful, k-deep transaction.

    Raises 400 with a code of its own for each way in which the hash proves nothing.
    """
    receipt, head = _receipt_and_head(tx_hash)
    if receipt is None:
        raise _refusal(ErrorCode.TRANSFER_NOT_FOUND, "repaymentTxHash: no such transaction is mined")
    if int(receipt["status"], 16) != 1:
        raise _refusal(ErrorCode.TRANSFER_REVERTED, "repaymentTxHash: the transaction reverted")
    block_number = int(receipt["blockNumber"], 16)
    depth = head - block_number + 1
    if depth < settings.CHAIN_CONFIRMATIONS or not _is_canonical(receipt):
        raise _refusal(
            ErrorCode.TRANSFER_UNCONFIRMED,
            "repaymentTxHash: the transaction is not confirmed yet",
            retry_after=2,
        )
    transfers = [] if _is_our_own(receipt) else _transfers(receipt, sender)
    if not transfers:
        raise _refusal(
            ErrorCode.TRANSFER_NOT_TO_PLATFORM,
            "repaymentTxHash: no USDC transfer from the settlement address to the platform account",
        )
    return transfers


def record_transfers(transfers: list[ProvenTransfer]) -> list[FundingTransfer]:
    """The rows of these transfers, made where they are new; to be called outside a transaction."""
    return [_record(transfer) for transfer in transfers]


def claim(transfers: list[FundingTransfer], amount: int) -> FundingTransfer:
    """Use `amount` of the first transfer with enough left, inside the caller's transaction; 400 where none has."""
    for transfer in transfers:
        mine = FundingTransfer.objects.filter(pk=transfer.pk, used__lte=F("value") - amount)
        if amount <= transfer.value and mine.update(used=F("used") + amount) == 1:
            return transfer
    left = sum(row.value - row.used for row in FundingTransfer.objects.filter(pk__in=[t.pk for t in transfers]))
    raise BadRequest(
        ErrorCode.TRANSFER_INSUFFICIENT,
        f"repaymentTxHash: {format_dollars(left)} of the transfer is not yet used",
        details={"repaymentTxHash": ["Not enough of its value is left."], "unused": str(left)},
    )


def give_back(*, transfer_id: UUID, amount: int) -> bool:
    """Return `amount` to a transfer that it was claimed from; False where so much was never claimed."""
    claimed = FundingTransfer.objects.filter(pk=transfer_id, used__gte=amount)
    return claimed.update(used=F("used") - amount) == 1


def _receipt_and_head(tx_hash: str) -> tuple[dict[str, Any] | None, int]:
    receipt, head = get_client().batch([("eth_getTransactionReceipt", [tx_hash]), ("eth_blockNumber", [])])
    for answer in (receipt, head):
        if isinstance(answer, Exception):
            raise answer
    return receipt, int(head, 16)


def _is_canonical(receipt: dict[str, Any]) -> bool:
    block = get_client().call("eth_getBlockByNumber", [receipt["blockNumber"], False])
    return block is not None and block["hash"] == receipt["blockHash"]


def _is_our_own(receipt: dict[str, Any]) -> bool:
    """A carrier of ours moves pulled funds the same way, but those have funded their repayment already."""
    executor = settings.PLATFORM_EXECUTOR_ADDRESS.lower()
    return any(
        log["address"].lower() == executor and log["topics"] and log["topics"][0] in OPERATION_TOPICS
        for log in receipt["logs"]
    )


def _transfers(receipt: dict[str, Any], sender: str) -> list[ProvenTransfer]:
    wanted = [TRANSFER_TOPIC, address_topic(sender), address_topic(settings.PLATFORM_EXECUTOR_ADDRESS)]
    return [
        ProvenTransfer(
            tx_hash=receipt["transactionHash"].lower(),
            log_index=int(log["logIndex"], 16),
            sender=sender,
            value=int(log["data"], 16),
            block_number=int(receipt["blockNumber"], 16),
            block_hash=receipt["blockHash"],
        )
        for log in receipt["logs"]
        if log["address"].lower() == settings.USDC_ADDRESS.lower() and log["topics"] == wanted and int(log["data"], 16)
    ]


def _record(transfer: ProvenTransfer) -> FundingTransfer:
    known = FundingTransfer.objects.filter(tx_hash=transfer.tx_hash, log_index=transfer.log_index)
    if (row := known.first()) is not None:
        return row
    try:
        return FundingTransfer.objects.create(
            tx_hash=transfer.tx_hash,
            log_index=transfer.log_index,
            sender=transfer.sender,
            recipient=settings.PLATFORM_EXECUTOR_ADDRESS,
            value=min(transfer.value, MAX_BASE_UNITS),
            block_number=transfer.block_number,
            block_hash=transfer.block_hash,
        )
    except IntegrityError:
        return known.get()  # another request recorded it at the same moment


def _refusal(code: ErrorCode, message: str, *, retry_after: int | None = None) -> BadRequest:
    problem = message.partition(": ")[2]
    return BadRequest(code, message, details={"repaymentTxHash": [problem]}, retry_after=retry_after)
