"""Reads the chain at one block, for a reconciliation: debts, collateral, nonces, balances.

The block is the last that the watcher has read. Every read names it by its hash, so that a node on another fork, or one
that does not have it yet, refuses. Whatever would be a finding, or freeze a wallet, is read from every endpoint. All in
batches; amounts are USDC base units.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from chain import metrics, selectors
from chain.lending.dialects import DIALECTS
from chain.lending.fast_codec import Undecodable
from chain.lending.positions import VaultPosition, decode_position, position_view
from chain.lending.views import View, requests, view
from chain.models import ChainTransaction, PlatformWallet, WatchedBlock
from chain.rpc.clients import ChainUnavailable, RpcError, get_client
from chain.rpc.evidence import hash_of, number_of
from chain.rpc.log_ranges import header_calls
from partner_platform.core.database.batches import batched

logger = logging.getLogger(__name__)

EVERYWHERE_SECONDS = 10.0  # for the slower endpoints to get a block that the first one has
POLL_SECONDS = 0.5
CALLS_PER_POST = 200
ROWS_AT_ONCE = 200
VAULTS = tuple(dict.fromkeys(each.vault for each in DIALECTS.values()))


class BlockGone(ChainUnavailable):
    """The block that the books were read at is no longer on the chain: read both again."""


@dataclass(frozen=True)
class ReferenceBlock:
    """The block at which books and chain are compared.

    `timestamp` in seconds since the epoch; `watched` the hashes that the watcher keeps, of this block and those before;
    `older` the hashes of final blocks that settlement has not compared since, as every endpoint shows them.
    """

    block_number: int
    block_hash: str
    timestamp: int
    watched: dict[int, str] = field(default_factory=dict, repr=False)
    older: dict[int, str] = field(default_factory=dict, repr=False)

    @property
    def as_parameter(self) -> dict[str, object]:
        """The block as a parameter of a call (EIP-1898): of this very hash."""
        return {"blockHash": self.block_hash, "requireCanonical": True}

    @property
    def final_block(self) -> int:
        """The last block that was verified when it was final: the newest one whose hash is not kept."""
        return min(self.watched, default=self.block_number + 1) - 1

    def is_orphan(self, block_number: int, block_hash: str) -> bool:
        """True where another block is on the chain at this height, as far as that is known."""
        known = self.watched.get(block_number) or self.older.get(block_number)
        return known is not None and known != block_hash


@dataclass(frozen=True)
class Nonces:
    """How many transactions of a wallet the database expects to be mined at a block: `fewest` to `most`."""

    fewest: int
    most: int
    open_since: int | None  # the block since which the oldest of the open ones is under way


def last_watched_block() -> tuple[int, str, dict[int, str]]:
    """The last block that the watcher read (-1: none), its hash (`""`: not kept), and all kept hashes by number."""
    number = selectors.watched_until()
    watched = dict(WatchedBlock.objects.values_list("number", "hash"))
    return number, watched.get(number, ""), watched


def reference_block(number: int, block_hash: str, watched: dict[int, str]) -> ReferenceBlock:
    """The block as every endpoint has it. Raises `BlockGone` where one of them has another block, or none."""
    if number < 0:
        raise ChainUnavailable("The chain was not followed yet: there is no block to compare with")
    calls: list[tuple[str, list[Any]]] = [("eth_getBlockByNumber", [hex(number), False])]
    if block_hash:  # it is not kept for final blocks
        calls = [("eth_getBlockByHash", [block_hash, False])]
    blocks = _shown_by_all(calls, number)
    if len({hash_of(block) for block in blocks}) > 1:
        raise BlockGone(f"The endpoints disagree about block {number}, which the watcher read last")
    older = _hashes_of(selectors.blocks_to_compare(below=min(watched, default=number + 1)))
    return ReferenceBlock(number, blocks[0]["hash"], int(blocks[0]["timestamp"], 16), watched, older)


def _hashes_of(numbers: Sequence[int]) -> dict[int, str]:
    """The hashes of final blocks, which must be the same on every endpoint.

    A reorg that became final while no driver ran has changed nothing in the settlement's rows yet, and the watcher
    keeps no hash of a final block: only the chain can tell that a transaction's block was replaced.
    """
    found: dict[int, str] = {}
    for chosen in batched(numbers, CALLS_PER_POST):
        heard = get_client().everyone(header_calls(chosen))
        shown = {tuple(hash_of(block) for block in blocks) for blocks in heard}
        [hashes] = shown if len(shown) == 1 else [(None,)]
        if None in hashes:
            raise ChainUnavailable("The endpoints do not show the same final blocks")
        found |= {number: str(name) for number, name in zip(chosen, hashes, strict=True)}
    return found


def _shown_by_all(calls: Sequence[tuple[str, list[object]]], number: int) -> list[Any]:
    """The block of this number from each endpoint; waits `EVERYWHERE_SECONDS` for the slower ones."""
    until = time.monotonic() + EVERYWHERE_SECONDS
    while True:
        blocks = [block for [block] in get_client().everyone(calls)]
        shown = [number_of(block) == number for block in blocks]
        if all(shown):
            return blocks
        if not any(shown) or time.monotonic() > until:
            raise BlockGone(f"Block {number}, which the watcher read last, is not on every endpoint's chain")
        time.sleep(POLL_SECONDS)


def is_on_chain(block_number: int, block_hash: str, reference: ReferenceBlock) -> bool:
    """True where this block is on the chain of the reference block: by the kept hashes, else by a node's."""
    if block_number in reference.watched:
        return not reference.is_orphan(block_number, block_hash)
    return hash_of(get_client().call("eth_getBlockByNumber", [hex(block_number), False])) == block_hash


def read_positions(
    position_ids: Sequence[int], reference: ReferenceBlock, *, by_all: bool = False
) -> dict[int, VaultPosition]:
    """The positions there are among these; `by_all`: as every endpoint has them."""
    found: dict[int, VaultPosition] = {}
    for start in range(0, len(position_ids), CALLS_PER_POST):
        chosen = position_ids[start : start + CALLS_PER_POST]
        views = [position_view(position_id) for position_id in chosen]
        answers = _views(views, reference, by_all=by_all)
        try:
            decoded = [decode_position(answer) for answer in answers]
        except Undecodable as error:
            _views(views, reference, by_all=True)  # one endpoint alone may return anything: raises where they disagree
            raise ChainUnavailable("The vault's answer is not a position") from error
        pairs = zip(chosen, decoded, strict=True)
        found |= {position_id: position for position_id, position in pairs if position is not None}
    return found


def read_balances(accounts: Sequence[str], reference: ReferenceBlock) -> dict[str, int]:
    """The USDC of each account, by every endpoint."""
    views = [view("MockUSDC", settings.USDC_ADDRESS, "balanceOf", account) for account in accounts]
    answers = _views(views, reference, by_all=True)
    try:
        return {account: each.value(held) for account, each, held in zip(accounts, views, answers, strict=True)}
    except Undecodable as error:
        raise ChainUnavailable("USDC's answer is not a balance") from error


def read_nonces(addresses: Sequence[str], reference: ReferenceBlock) -> dict[str, int]:
    """How many transactions of each account are mined up to the block, by every endpoint."""
    calls = [("eth_getTransactionCount", [address, reference.as_parameter]) for address in addresses]
    counts = _read(calls, by_all=True)
    return {address: int(count, 16) for address, count in zip(addresses, counts, strict=True)}


def final_nonce(address: str, reference: ReferenceBlock) -> int:
    """How many transactions of the account are final: the lowest count of any endpoint at the final block; 0 where one
    of them does not answer.
    """
    if reference.final_block < 0:
        return 0
    counts = get_client().everyone([("eth_getTransactionCount", [address, hex(reference.final_block)])])
    return min(int(count, 16) if isinstance(count, str) else 0 for [count] in counts)


def head_distance(reference: ReferenceBlock) -> int:
    """How many blocks the chain is ahead of the reference block."""
    return max(get_client().block_number() - reference.block_number, 0)


def expected_nonces(wallet: PlatformWallet, reference: ReferenceBlock) -> Nonces:
    """From the wallet's transactions, newest first, until one in a block up to the reference block.

    Nonces are mined in their order, so everything below that one is mined too.
    """
    later = still_open = 0
    since: list[int] = []
    for transaction in _newest_first(wallet):
        block = transaction.block_number
        if block is None or reference.is_orphan(block, transaction.block_hash):
            still_open += 1
            since.append(transaction.open_since_block or reference.block_number)
        elif block > reference.block_number:
            later += 1
        else:
            break
    most = wallet.next_nonce - later
    return Nonces(fewest=most - still_open, most=most, open_since=min(since, default=None))


def _newest_first(wallet: PlatformWallet) -> Iterable[ChainTransaction]:
    below: int | None = None
    while True:
        query = ChainTransaction.objects.filter(wallet=wallet.pk)
        query = query if below is None else query.filter(nonce__lt=below)
        found = list(query.order_by("-nonce")[:ROWS_AT_ONCE])
        yield from found
        if len(found) < ROWS_AT_ONCE:
            return
        below = found[-1].nonce


def _views(views: Sequence[View], reference: ReferenceBlock, *, by_all: bool) -> list[str]:
    return _read(requests(views, reference.as_parameter), by_all=by_all)


def _read(calls: Sequence[tuple[str, list[Any]]], *, by_all: bool) -> list[Any]:
    client = get_client()
    heard = client.everyone(calls) if by_all and calls else [client.batch(calls)]
    for answers in heard:
        for answer in answers:
            if isinstance(answer, RpcError):
                raise BlockGone(f"The chain refused a reading at the block: {answer.message[:200]}") from answer
    if any(answers != heard[0] for answers in heard):
        metrics.endpoints_disagree.labels("state").inc()
        logger.error("the endpoints disagree about the state at one block: nothing is compared with it")
        raise ChainUnavailable("The endpoints disagree about the state at one block")
    return heard[0]
