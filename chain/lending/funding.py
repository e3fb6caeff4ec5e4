"""Money that came in: a USDC transfer to the platform account funds repayments of at most its value, once (M3).

A transaction funds what its logs say that USDC itself moved from the sender to the platform account, all of them
together: one row per transaction and sender, for a reorg may give the same transfer another place and other log
indexes. What was claimed is paid out only on a chain that still has the transfer: `guard` is the first call of such a
repayment's operation, and makes it revert where another block stands in the place of the one that was proven.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.db.models import F

from chain import selectors
from chain.lending.bundles import is_mark
from chain.lending.encoding import TRANSFER_TOPIC, Call, address_topic, to_bytes
from chain.lending.fast_codec import Undecodable, decode_uint, function
from chain.lending.views import view
from chain.models import FundingTransfer
from chain.rpc.clients import ChainUnavailable, get_client
from chain.rpc.evidence import corroborated
from chain.rpc.reading import read_everywhere, read_from_chain
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


def prove_transfers(*, tx_hash: str, senders: Sequence[str]) -> list[ProvenTransfer]:
    """What a mined, successful, k-deep transaction brought to the platform account, for each of `senders` that did.

    Raises 400 with a code of its own for each way in which the hash proves nothing, `ChainUnavailable` where the chain
    cannot answer.
    """
    receipt, transaction, head = read_from_chain(
        ("eth_getTransactionReceipt", [tx_hash]), ("eth_getTransactionByHash", [tx_hash]), ("eth_blockNumber", [])
    )
    if receipt is None or receipt.get("blockNumber") is None:
        raise _not_mined(tx_hash, is_pending=transaction is not None)
    _require_canonical(receipt, int(head, 16))
    if not corroborated(get_client(), [receipt]):
        raise _unconfirmed()
    if int(receipt["status"], 16) != 1:
        raise _refusal(ErrorCode.TRANSFER_REVERTED, "the transaction reverted")
    found = {} if _is_our_own(receipt) else {sender: _value_from(receipt, sender) for sender in senders}
    if not any(found.values()):
        raise _refusal(
            ErrorCode.TRANSFER_NOT_TO_PLATFORM,
            "no USDC transfer from the settlement address to the platform account",
        )
    return [
        ProvenTransfer(
            tx_hash=tx_hash.lower(),
            sender=sender,
            value=min(value, MAX_BASE_UNITS),
            block_number=int(receipt["blockNumber"], 16),
            block_hash=receipt["blockHash"],
        )
        for sender, value in found.items()
        if value
    ]


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
    raise _insufficient(max(sum(row.value - row.used for row in FundingTransfer.objects.filter(pk=transfer.pk)), 0))


def spent_already(left: int) -> BadRequest:
    """400: the transfer's value was spent on trust, without naming it; `left` base units of it are not."""
    return _insufficient(max(left, 0))


def give_back(*, transfer_id: UUID, amount: int) -> bool:
    """Return `amount` to a transfer that it was claimed from; False where so much was never claimed."""
    claimed = FundingTransfer.objects.filter(pk=transfer_id, used__gte=amount)
    return claimed.update(used=F("used") - amount) == 1


def guard(block_number: int, block_hash: str) -> Call:
    """The call that lets the operation it begins run only on a chain which has this block."""
    data = function("PlatformExecutor", "requireBlock").encode(block_number, to_bytes(block_hash))
    return Call(settings.PLATFORM_EXECUTOR_ADDRESS, 0, data)


def balance_at(account: str, *, block_number: int, block_hash: str) -> int:
    """The account's USDC at the end of this very block, by a node that has it; `ChainUnavailable`."""
    balance = view("MockUSDC", settings.USDC_ADDRESS, "balanceOf", account)
    block, held = read_from_chain(
        ("eth_getBlockByNumber", [hex(block_number), False]), balance.request(hex(block_number))
    )
    if block is None or block["hash"] != block_hash:
        raise ChainUnavailable("The node has another block in the place of the one to judge by")
    try:
        return decode_uint(held)
    except Undecodable as error:
        raise ChainUnavailable(f"USDC tells no balance: {error}") from error


def _not_mined(tx_hash: str, *, is_pending: bool) -> BadRequest:
    """Pending somewhere, known to be mined by another node, known to us from a block that is gone, or never seen."""
    elsewhere = get_client().everywhere("eth_getTransactionReceipt", [tx_hash])
    if is_pending or any(receipt is not None for receipt in elsewhere):
        return _unconfirmed()
    if FundingTransfer.objects.filter(tx_hash=tx_hash.lower()).exists():
        return _reorged()
    return _refusal(ErrorCode.TRANSFER_NOT_FOUND, "no such transaction is mined")


def _require_canonical(receipt: dict[str, Any], head: int) -> None:
    """Deep enough, and in the block that every node shows at its height; a node without that height is left out."""
    blocks = read_everywhere("eth_getBlockByNumber", [receipt["blockNumber"], False])
    same = [block["hash"] == receipt["blockHash"] for block in blocks]
    if not any(same):
        raise _reorged()
    if not all(same) or head - int(receipt["blockNumber"], 16) + 1 < settings.CHAIN_CONFIRMATIONS:
        raise _unconfirmed()


def _is_our_own(receipt: dict[str, Any]) -> bool:
    """A bundle of ours moves pulled funds the same way, but those have funded their repayment already."""
    executors = {executor.lower() for executor in selectors.executor_addresses()}
    return any(is_mark(log, executors) for log in receipt["logs"])


def _value_from(receipt: dict[str, Any], sender: str) -> int:
    """By the logs of the USDC contract alone; one that holds no amount counts as nothing."""
    wanted = [TRANSFER_TOPIC, address_topic(sender), address_topic(settings.PLATFORM_EXECUTOR_ADDRESS)]
    usdc = settings.USDC_ADDRESS.lower()
    logs = [
        log
        for log in receipt["logs"]
        if log["address"].lower() == usdc and [topic.lower() for topic in log["topics"]] == wanted
    ]
    return sum(_amount(log) for log in logs)


def _amount(log: dict[str, object]) -> int:
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


def _insufficient(left: int) -> BadRequest:
    if left == 0:
        return _refusal(ErrorCode.TRANSFER_ALREADY_USED, "all of the transfer is used", unused="0")
    message = f"{format_dollars(left)} of the transfer is not yet used"
    return _refusal(ErrorCode.TRANSFER_INSUFFICIENT, message, unused=str(left))


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
