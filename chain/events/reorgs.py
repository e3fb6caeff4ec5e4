"""How the watcher handles a reorg: events of blocks that are no longer on the chain are rolled back.

`roll_back_replaced` is called before new blocks are read. It compares the blocks whose hashes are kept with the chain,
newest first, to find the fork; `roll_back_events` has the consumers undo first (`signals.rollback_begins`; a crash in
between only repeats that) and then deletes events and blocks in one transaction.

Evidence: a node without the block proves nothing, it may lag; and no endpoint may still have the old block. Where even
the oldest kept block was replaced, a block that was final is gone: then the blocks of the stored events are compared,
newest first, until one is on the chain. How settlement handles a reorg: `chain.settlement.reorgs`.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.conf import settings

from chain import metrics
from chain.events.cursor import move_cursor
from chain.models import SYSTEM_CURSOR, ChainEvent, WatchCursor, WatchedBlock
from chain.rpc.clients import ChainClient, ChainUnavailable
from chain.rpc.evidence import hash_of
from chain.rpc.log_ranges import HEADERS_PER_POST, header_calls
from chain.signals import rollback_begins
from partner_platform.core.database.transactions import run_in_transaction

logger = logging.getLogger(__name__)

Place = tuple[int, str]  # a block's number and hash


@dataclass(frozen=True)
class Fork:
    """The next block to read, and how many blocks were rolled back."""

    next_block: int
    rolled_back: int = 0


def roll_back_replaced(client: ChainClient, next_block: int) -> Fork:
    """Roll back the events of blocks that are no longer on the chain. Raises `ChainUnavailable`."""
    newest = WatchedBlock.objects.order_by("-number").first()
    if newest is None or _shown(client, [(newest.number, newest.hash)])[0] == newest.hash:
        return Fork(next_block)
    common, replaced = _compare(client, _kept_blocks())
    if replaced is None:
        return Fork(next_block)  # the node is behind
    if common is None:
        logger.error(
            "none of the blocks that are kept is on the chain, although some were final: older events are compared too"
        )
        common, _ = _compare(client, _event_blocks(below=replaced[0]))
    _require_gone(client, replaced)
    # From the common block on, not from `replaced`: between the two there may be blocks whose hashes are not kept.
    return roll_back_events(settings.WATCH_FROM_BLOCK if common is None else common[0] + 1, next_block)


def roll_back_events(fork: int, next_block: int) -> Fork:
    """Undo everything from block `fork` on, the consumers first; returns where to read on."""
    logger.warning("blocks %d to %d are read again: their events are undone", fork, next_block - 1)
    metrics.reorgs.inc()
    rollback_begins.send(sender=ChainEvent, block=fork)

    def delete() -> None:
        move_cursor(next_block, fork)
        WatchCursor.objects.filter(name=SYSTEM_CURSOR, verified_block__gte=fork).update(verified_block=max(fork - 1, 0))
        ChainEvent.objects.filter(block_number__gte=fork).delete()
        WatchedBlock.objects.filter(number__gte=fork).delete()

    run_in_transaction(delete)
    return Fork(fork, next_block - fork)


def _compare(client: ChainClient, places: Iterator[list[Place]]) -> tuple[Place | None, Place | None]:
    """From the newest down: the first block that is on the chain (all below it are too), and the lowest block above it
    that the chain has replaced. None where there is none.
    """
    replaced: Place | None = None
    for chosen in places:
        for place, found in zip(chosen, _shown(client, chosen), strict=True):
            if found == place[1]:
                return place, replaced
            replaced = replaced if found is None else place
    return None, replaced


def _kept_blocks() -> Iterator[list[Place]]:
    """The blocks whose hashes are kept, newest first, in lists of what is asked for in one post."""
    below: int | None = None
    while True:
        rows = WatchedBlock.objects.order_by("-number")
        rows = rows if below is None else rows.filter(number__lt=below)
        chosen = list(rows.values_list("number", "hash")[:HEADERS_PER_POST])
        if not chosen:
            return
        yield chosen
        below = chosen[-1][0]


def _event_blocks(*, below: int) -> Iterator[list[Place]]:
    """The blocks of the events that are stored, newest first."""
    while True:
        rows = ChainEvent.objects.filter(block_number__lt=below).order_by("-block_number")
        found = list(rows.values_list("block_number", "block_hash")[: 10 * HEADERS_PER_POST])
        chosen = list(dict.fromkeys(found))[:HEADERS_PER_POST]
        if not chosen:
            return
        yield chosen
        below = chosen[-1][0]


def _shown(client: ChainClient, places: Sequence[Place]) -> list[str | None]:
    """The hashes that a node shows at these heights; None where it has no block."""
    return [hash_of(answer) for answer in client.batch(header_calls([number for number, _ in places]))]


def _require_gone(client: ChainClient, place: Place) -> None:
    """`ChainUnavailable` while one of the endpoints has the block still."""
    number, block_hash = place
    for [answer] in client.everyone(header_calls([number])):
        if hash_of(answer) == block_hash:
            raise ChainUnavailable(f"The endpoints disagree about block {number}: nothing is undone yet")
