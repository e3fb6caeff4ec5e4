"""What must be seen before something is concluded: the same receipt, the same final block, from every endpoint.

Where there is only one endpoint, its answer is enough: its receipt is in a block that is an ancestor of the head, by
the same node in the same post (`chain.settlement.tracking`). Where there are several, one may be forked, behind, or
wrong. Source:
docs/settlement.md, "Which evidence each conclusion needs".
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain import metrics
from chain.rpc.clients import ChainClient, ChainUnavailable, RpcError

logger = logging.getLogger(__name__)

Receipt = Mapping[str, Any]
DEPTH_WITHOUT_FINALITY = 7_200  # blocks, where a node does not name a final one: four hours of 2 s


@dataclass(frozen=True)
class Checkpoint:
    """A block by its number and hash."""

    number: int
    hash: str


def final_block(client: ChainClient, *, head: Checkpoint | None = None) -> Checkpoint | None:
    """The newest block that every endpoint calls final; with `head`, on the chain that ends there. None where they
    disagree about it, which is logged at ERROR.

    One post per endpoint, or two. Raises `ChainUnavailable` where one of them does not answer.
    """
    newest = ("eth_getBlockByNumber", ["latest" if head is None else hex(head.number), False])
    shown = client.everyone([("eth_getBlockByNumber", ["finalized", False]), newest])
    number = min(_final_height(final, block, head) for final, block in shown)
    if any(number_of(final) != number for final, _ in shown):
        shown = client.everyone([("eth_getBlockByNumber", [hex(number), False]), newest])
    finals = {_checkpoint(final) for final, _ in shown}
    if len(finals) > 1:
        metrics.endpoints_disagree.labels("final block").inc()
        logger.error("the endpoints disagree about block %d, which they call final", number)
        return None
    if head is not None:
        # An endpoint that is behind has no such head; one that shows another block there is on another branch.
        heads = {hash_of(block) for _, block in shown}
        if head.hash not in heads or heads - {head.hash, None}:
            return None
    return finals.pop()


def hash_of(block: Any) -> str | None:
    """The hash of a block as a node answered it; None where it has none, or refused."""
    return None if block is None or isinstance(block, RpcError) else str(block["hash"])


def number_of(block: Any) -> int | None:
    """Its number, likewise."""
    return None if hash_of(block) is None else int(block["number"], 16)


def _final_height(final: object, newest: object, head: Checkpoint | None) -> int:
    highest = head.number if head is not None else number_of(newest) or 0
    number = number_of(final)
    return max(highest - DEPTH_WITHOUT_FINALITY, 0) if number is None else min(number, highest)


def _checkpoint(block: Any) -> Checkpoint | None:
    block_hash = hash_of(block)
    return None if block_hash is None else Checkpoint(int(block["number"], 16), block_hash)


def corroborated(client: ChainClient, receipts: Sequence[Receipt]) -> set[str]:
    """The transaction hashes of those receipts that every endpoint gives alike, in a block that it has on its chain.

    One post per endpoint. An endpoint that is behind, or does not answer now, confirms nothing: its receipts are left
    out.
    """
    hashes = [str(receipt["transactionHash"]) for receipt in receipts]
    if not client.has_several_endpoints or not receipts:
        return set(hashes)
    calls: list[tuple[str, list[Any]]] = [("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes]
    calls += [("eth_getBlockByNumber", [receipt["blockNumber"], False]) for receipt in receipts]
    try:
        answers = client.everyone(calls)
    except ChainUnavailable as error:
        logger.warning("%d receipts wait for a second word: %s", len(receipts), error)
        return set()
    agreed = set(hashes)
    for results in answers:
        pairs = zip(receipts, results[: len(hashes)], results[len(hashes) :], strict=True)
        agreed -= {
            str(receipt["transactionHash"]) for receipt, other, block in pairs if not _is_same(receipt, other, block)
        }
    return agreed


def _is_same(receipt: Receipt, other: Any, block: Any) -> bool:
    """True where the other endpoint shows the same; one that differs, not one that is missing, is logged at ERROR."""
    if other is None or block is None or isinstance(other, RpcError) or isinstance(block, RpcError):
        return False
    is_same = block["hash"] == receipt["blockHash"] and _essence(other) == _essence(receipt)
    if not is_same:
        metrics.endpoints_disagree.labels("receipt").inc()
        logger.error("the endpoints disagree about transaction %s", receipt["transactionHash"])
    return is_same


def _essence(receipt: Receipt) -> tuple[Any, ...]:
    logs = [(log["address"].lower(), tuple(log["topics"]), log["data"]) for log in receipt["logs"]]
    return receipt["blockHash"], int(receipt["status"], 16), logs
