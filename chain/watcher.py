"""The watcher: every event of the system's contracts becomes a `ChainEvent`, once, in the order of the chain.

It reads ranges of blocks from a cursor to the head, each with the evidence that the node had them (`chain.log_ranges`).
A range's events and the cursor are one commit, so that it can be stopped anywhere. The hashes of the blocks that were
not final when they were read are kept until they are, however long that takes and however long no watcher runs: where
the chain shows another block at one of these heights, what was read from there on is taken back and read anew
(`chain.watch_forks`). Once final, a range is read a second time, from every endpoint (`chain.second_reading`).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError

from chain import events, metrics, second_reading, watch_forks
from chain.clients import ChainClient, ChainUnavailable, RpcError, get_client
from chain.evidence import DEPTH_WITHOUT_FINALITY, number_of
from chain.log_ranges import HEADERS_PER_POST, LogRange, RangeReader, header_calls
from chain.models import ChainEvent, WatchCursor, WatchedBlock
from chain.watch_forks import CURSOR, CursorMoved, move_cursor
from partner_platform.core.database import run_in_transaction

logger = logging.getLogger(__name__)

INSERT_BATCH = 1_000


@dataclass
class WatchReport:
    """What a pass did."""

    first_block: int = 0
    next_block: int = 0
    events: int = 0
    ranges: int = 0
    rolled_back: int = 0


def catch_up(*, client: ChainClient | None = None, to_block: int | None = None) -> WatchReport:
    """Read everything up to the head (or `to_block`); undo first what a reorg took. Raises `ChainUnavailable`."""
    client = client or get_client()
    reader = RangeReader(client, events.filters())
    report = WatchReport(first_block=cursor().next_block)
    while True:
        fork = watch_forks.follow(client, cursor().next_block)
        report.rolled_back += fork.rolled_back
        head, final = _head(client)
        newest = head - settings.CHAIN_CONFIRMATIONS + 1
        last = newest if to_block is None else min(newest, to_block)
        report.next_block = fork.next_block
        metrics.watcher_blocks_behind.set(max(head - fork.next_block + 1, 0))
        if fork.next_block > last:
            if second_reading.read_again(reader, cursor()):
                continue
            return report
        try:
            _read_range(reader, fork.next_block, last, final, report)
        except CursorMoved as moved:
            logger.info("%s", moved)


def read_again(first_block: int, last_block: int) -> bool:
    """Somebody misses an event of these blocks: compare what was read with what every endpoint shows.

    True where something was taken back; the next `catch_up` reads it anew. Blocks that were read a second time already
    are not looked at. Raises `ChainUnavailable`.
    """
    reader, at = RangeReader(get_client(), events.filters()), cursor()
    return second_reading.recheck(reader, at, max(first_block, at.verified_block + 1), last_block)


def cursor() -> WatchCursor:
    """How far the watcher is; made where there is none."""
    found = WatchCursor.objects.filter(name=CURSOR).first()
    if found is not None:
        return found
    try:
        begins_at = settings.WATCH_FROM_BLOCK
        return WatchCursor.objects.create(name=CURSOR, next_block=begins_at, verified_block=max(begins_at - 1, 0))
    except IntegrityError:
        return WatchCursor.objects.get(name=CURSOR)  # another watcher made it at the same moment


def _head(client: ChainClient) -> tuple[int, int]:
    """The newest block's number and the final one's, by one node."""
    client.check_heads()
    newest, final = client.batch([("eth_blockNumber", []), ("eth_getBlockByNumber", ["finalized", False])])
    if isinstance(newest, RpcError):
        raise ChainUnavailable("The node shows no newest block")
    head = int(newest, 16)
    number = number_of(final)
    return head, max(head - DEPTH_WITHOUT_FINALITY, 0) if number is None else number


def _read_range(reader: RangeReader, first: int, last: int, final: int, report: WatchReport) -> None:
    found = reader.read(first, last, headers_from=final + 1)
    _require_follows(found)
    headers = {header["hash"]: header for header in found.headers.values()}
    headers |= _headers_without_time(reader.client, found)
    for log in found.logs:
        number = int(log["blockNumber"], 16)
        header = found.headers.get(number) or headers.get(log["blockHash"])
        if header is not None and header["hash"] != log["blockHash"]:
            raise CursorMoved(f"block {number} changed while it was read")
    times = {log["blockHash"]: int(log["blockTimestamp"], 16) for log in found.logs if log.get("blockTimestamp")}
    times |= {block_hash: int(header["timestamp"], 16) for block_hash, header in headers.items()}
    rows = events.rows(found.logs, times)
    blocks = [WatchedBlock(number=number, hash=header["hash"]) for number, header in sorted(found.headers.items())]
    run_in_transaction(lambda: _store(rows, blocks, first=first, until=found.last))
    report.events += len(rows)
    report.ranges += 1


def _require_follows(found: LogRange) -> None:
    """The range continues the chain that was read before it, by its first block's parent where both are known."""
    header = found.headers.get(found.first)
    before = WatchedBlock.objects.filter(number=found.first - 1).first()
    if header is not None and before is not None and header["parentHash"] != before.hash:
        raise CursorMoved(f"block {found.first} does not follow the one that was read before it")


def _store(rows: Sequence[ChainEvent], blocks: Sequence[WatchedBlock], *, first: int, until: int) -> None:
    move_cursor(first, until + 1)
    ChainEvent.objects.bulk_create(rows, batch_size=INSERT_BATCH)
    WatchedBlock.objects.bulk_create(blocks)


def _headers_without_time(client: ChainClient, found: LogRange) -> dict[str, Any]:
    """Headers, by hash, of blocks whose logs do not tell when they were made."""
    numbers = {int(log["blockNumber"], 16) for log in found.logs if not log.get("blockTimestamp")}
    wanted = sorted(numbers - set(found.headers))
    headers: dict[str, Any] = {}
    for start in range(0, len(wanted), HEADERS_PER_POST):
        for header in client.batch(header_calls(wanted[start : start + HEADERS_PER_POST])):
            if header is None or isinstance(header, RpcError):
                raise ChainUnavailable("The node lags behind")
            headers[header["hash"]] = header
    return headers
