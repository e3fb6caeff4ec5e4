"""The watcher: every event of the system's contracts becomes a `ChainEvent`, once, in the order of the chain.

It reads ranges of blocks from a cursor to the head. A range's events and the cursor are one commit, so that it can be
stopped anywhere. The hashes of the blocks it read last are kept: where the chain shows another block at one of these
heights, what was read from there on is taken back (the consumers first, `hooks.announce_rollback`, so that a crash in
between only repeats it) and read anew. A node without the block proves nothing: it may be behind. Reorgs deeper than
`KEPT_BLOCKS` are below what the chain calls final.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError

from chain import events, hooks
from chain.clients import ChainClient, RpcError, get_client
from chain.log_ranges import RangeReader
from chain.models import ChainEvent, WatchCursor, WatchedBlock
from partner_platform.core import clock
from partner_platform.core.database import run_in_transaction

logger = logging.getLogger(__name__)

CURSOR = "system"
KEPT_BLOCKS = 256
HEADERS_PER_POST = 200
INSERT_BATCH = 1_000


@dataclass
class WatchReport:
    """What a pass did."""

    first_block: int = 0
    next_block: int = 0
    events: int = 0
    ranges: int = 0
    rolled_back: int = 0


class _Moved(Exception):
    """The chain, or another watcher, moved while a range was read: look again."""


def catch_up(*, client: ChainClient | None = None, to_block: int | None = None) -> WatchReport:
    """Read everything up to the head (or `to_block`); undo first what a reorg took. Raises `ChainUnavailable`."""
    client = client or get_client()
    reader = RangeReader(client, events.filters())
    report = WatchReport(first_block=_cursor().next_block)
    while True:
        next_block = _follow_fork(client, report)
        head = client.block_number() - settings.CHAIN_CONFIRMATIONS + 1
        last = head if to_block is None else min(head, to_block)
        report.next_block = next_block
        if next_block > last:
            return report
        try:
            _read_range(reader, next_block, last, head, report)
        except _Moved as moved:
            logger.info("%s", moved)


def _read_range(reader: RangeReader, first: int, last: int, head: int, report: WatchReport) -> None:
    until, logs, _ = reader.read(first, last)
    recent = range(max(first, head - KEPT_BLOCKS + 1), until + 1)
    headers = _headers(reader.client, [*recent, *_without_time(logs, recent)])
    hashes = {number: header["hash"] for number, header in headers.items()}
    for log in logs:
        if hashes.get(number := int(log["blockNumber"], 16), log["blockHash"]) != log["blockHash"]:
            raise _Moved(f"block {number} changed while it was read")
    times = {log["blockHash"]: int(log["blockTimestamp"], 16) for log in logs if log.get("blockTimestamp")}
    times |= {header["hash"]: int(header["timestamp"], 16) for header in headers.values()}
    found = events.rows(logs, times)
    blocks = [WatchedBlock(number=number, hash=hashes[number]) for number in recent]
    run_in_transaction(lambda: _store(found, blocks, first=first, until=until, head=head))
    report.events += len(found)
    report.ranges += 1


def _store(found: Sequence[ChainEvent], blocks: Sequence[WatchedBlock], *, first: int, until: int, head: int) -> None:
    _move_cursor(first, until + 1)
    ChainEvent.objects.bulk_create(found, batch_size=INSERT_BATCH)
    WatchedBlock.objects.filter(number__lte=head - KEPT_BLOCKS).delete()
    WatchedBlock.objects.bulk_create(blocks)


def _move_cursor(before: int, after: int) -> None:
    mine = WatchCursor.objects.filter(name=CURSOR, next_block=before)
    if mine.update(next_block=after, updated_at=clock.now()) != 1:
        raise _Moved("another watcher reads too")


def _cursor() -> WatchCursor:
    cursor = WatchCursor.objects.filter(name=CURSOR).first()
    if cursor is not None:
        return cursor
    try:
        return WatchCursor.objects.create(name=CURSOR, next_block=settings.WATCH_FROM_BLOCK)
    except IntegrityError:
        return WatchCursor.objects.get(name=CURSOR)  # another watcher made it at the same moment


def _follow_fork(client: ChainClient, report: WatchReport) -> int:
    """Undo what was read from blocks that are not the chain's any more; answers the next block to read."""
    next_block = _cursor().next_block
    last = WatchedBlock.objects.order_by("-number").first()
    if last is None or _is_canonical(client, [last]):
        return next_block
    kept = list(WatchedBlock.objects.order_by("-number"))
    shown = _headers(client, [block.number for block in kept])
    orphans = [block for block in kept if block.number in shown and shown[block.number]["hash"] != block.hash]
    if not orphans:
        return next_block  # the node is behind
    fork = min(block.number for block in orphans)
    if fork == kept[-1].number:
        logger.error("a reorg deeper than the %d blocks that are kept: reading again from %d", len(kept), fork)
    report.rolled_back += _roll_back(fork, next_block)
    return fork


def _roll_back(fork: int, next_block: int) -> int:
    """Forget everything from block `fork` on; consumers first."""
    logger.warning("a reorg replaced blocks %d to %d: their events are undone", fork, next_block - 1)
    hooks.announce_rollback(fork)

    def forget() -> None:
        _move_cursor(next_block, fork)
        ChainEvent.objects.filter(block_number__gte=fork).delete()
        WatchedBlock.objects.filter(number__gte=fork).delete()

    run_in_transaction(forget)
    return next_block - fork


def _is_canonical(client: ChainClient, blocks: Sequence[WatchedBlock]) -> bool:
    shown = _headers(client, [block.number for block in blocks])
    return all(shown.get(block.number, {}).get("hash") == block.hash for block in blocks)


def _without_time(logs: Sequence[Any], known: range) -> list[int]:
    numbers = {int(log["blockNumber"], 16) for log in logs if not log.get("blockTimestamp")}
    return sorted(number for number in numbers if number not in known)


def _headers(client: ChainClient, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The blocks at these heights, as far as the node has them."""
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(numbers), HEADERS_PER_POST):
        chosen = numbers[start : start + HEADERS_PER_POST]
        answers = client.batch([("eth_getBlockByNumber", [hex(number), False]) for number in chosen])
        for number, answer in zip(chosen, answers, strict=True):
            if isinstance(answer, RpcError):
                raise answer
            if answer is not None:
                found[number] = answer
    return found
