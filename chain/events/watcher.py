"""The watcher: every event of the system's contracts becomes a `ChainEvent`, once, in the order of the chain.

It reads ranges of blocks from a cursor to the head, each with the evidence that the node had them
(`chain.rpc.log_ranges`). A range's events and the cursor are one commit, so it can be stopped anywhere. The hashes of
blocks that were not final when they were read are kept until they are. Where the chain has another block at one of
these heights, everything from there on is rolled back and read again (`chain.events.reorgs`). Once final, a range is
read a second time, from every endpoint (`chain.events.second_reading`).
"""

import logging
from dataclasses import dataclass

from django.conf import settings

from chain import metrics, selectors
from chain.events import decoding as events
from chain.events import reorgs, second_reading
from chain.events.cursor import CursorMoved, cursor, move_cursor
from chain.events.new_executors import follow_executor
from chain.models import ChainEvent, WatchedBlock
from chain.rpc.block_times import block_times
from chain.rpc.clients import ChainClient, ChainUnavailable, RpcError, get_client
from chain.rpc.evidence import DEPTH_WITHOUT_FINALITY, number_of
from chain.rpc.log_ranges import LogRange, RangeReader
from partner_platform.core.database.transactions import run_in_transaction

logger = logging.getLogger(__name__)

INSERT_BATCH = 1_000


@dataclass
class WatchReport:
    """What a pass did: blocks and ranges read, events stored, blocks rolled back."""

    first_block: int = 0
    next_block: int = 0
    events: int = 0
    ranges: int = 0
    rolled_back: int = 0


def read_new_blocks(*, client: ChainClient | None = None, to_block: int | None = None) -> WatchReport:
    """Read everything up to the head (or `to_block`), after rolling back what a reorg replaced. Raises
    `ChainUnavailable`.
    """
    client = client or get_client()
    reader = RangeReader(client, events.filters())
    report = WatchReport(first_block=cursor().next_block)
    while True:
        fork = reorgs.roll_back_replaced(client, cursor().next_block)
        report.rolled_back += fork.rolled_back
        _follow_configured(client)
        head, final = _head(client)
        newest = head - settings.CHAIN_CONFIRMATIONS + 1
        last = newest if to_block is None else min(newest, to_block)
        report.next_block = fork.next_block
        metrics.watcher_blocks_behind.set(max(head - fork.next_block + 1, 0))
        if fork.next_block > last:
            if second_reading.verify_final_range(reader, cursor()):
                continue
            return report
        try:
            _read_range(reader, fork.next_block, last, final, report)
        except CursorMoved as moved:
            logger.info("%s", moved)


def _follow_configured(client: ChainClient) -> None:
    if not settings.PLATFORM_EXECUTOR_ADDRESS:
        return
    try:
        follow_executor(settings.PLATFORM_EXECUTOR_ADDRESS, client=client)
    except CursorMoved as moved:
        raise ChainUnavailable(str(moved)) from moved  # another reorg since the rollback above: tried again later


def recheck_blocks(first_block: int, last_block: int) -> bool:
    """An event of these blocks seems to be missing: compare what was read with what every endpoint shows.

    True where something was rolled back; the next `read_new_blocks` reads it again. Blocks that were compared when they
    were final are left out. Raises `ChainUnavailable`.
    """
    reader, at = RangeReader(get_client(), events.filters()), cursor()
    return second_reading.verify_range(reader, at, max(first_block, at.verified_block + 1), last_block)


def _head(client: ChainClient) -> tuple[int, int]:
    """The numbers of the newest and of the final block, from one node."""
    client.check_heads()
    newest, final = client.batch([("eth_blockNumber", []), ("eth_getBlockByNumber", ["finalized", False])])
    if isinstance(newest, RpcError):
        raise ChainUnavailable("The node shows no newest block")
    head = int(newest, 16)
    number = number_of(final)
    return head, max(head - DEPTH_WITHOUT_FINALITY, 0) if number is None else number


def _read_range(reader: RangeReader, first: int, last: int, final: int, report: WatchReport) -> None:
    known = selectors.executor_addresses()
    reader.filters = events.filters()
    found = reader.read(first, last, headers_from=final + 1)
    _require_follows(found)
    for log in found.logs:
        number = int(log["blockNumber"], 16)
        if number in found.headers and found.headers[number]["hash"] != log["blockHash"]:
            raise CursorMoved(f"block {number} changed while it was read")
    rows = events.rows(found.logs, block_times(reader.client, found))
    blocks = [WatchedBlock(number=number, hash=header["hash"]) for number, header in sorted(found.headers.items())]

    def store() -> None:
        move_cursor(first, found.last + 1)
        if selectors.executor_addresses() != known:
            raise CursorMoved("another executor is followed now")
        ChainEvent.objects.bulk_create(rows, batch_size=INSERT_BATCH)
        WatchedBlock.objects.bulk_create(blocks)

    run_in_transaction(store)
    report.events += len(rows)
    report.ranges += 1


def _require_follows(found: LogRange) -> None:
    """Raise `CursorMoved` unless the range continues the block that was read before it, where both are known."""
    header = found.headers.get(found.first)
    before = WatchedBlock.objects.filter(number=found.first - 1).first()
    if header is not None and before is not None and header["parentHash"] != before.hash:
        raise CursorMoved(f"block {found.first} does not follow the one that was read before it")
