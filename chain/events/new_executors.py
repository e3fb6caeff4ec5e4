"""An executor's events are followed from its first transfer on, for as long as the platform lives.

USDC may reach an executor before the platform is told of it. So when one becomes known, what it sent and got in the
blocks that the watcher has read already is read first, and stands from then on beside the other events; its row and
those events are one commit. A watcher that read a range without knowing of it reads that range again.
"""

import logging

from django.conf import settings
from django.db import IntegrityError

from chain.events import decoding
from chain.events.cursor import CursorMoved, cursor, move_cursor
from chain.models import ChainEvent, Executor, WatchedBlock
from chain.rpc.block_times import block_times
from chain.rpc.clients import ChainClient, get_client
from chain.rpc.log_ranges import LogRange, RangeReader
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.ethereum import parse_address

logger = logging.getLogger(__name__)

INSERT_BATCH = 1_000


def follow_executor(address: str, *, client: ChainClient | None = None) -> None:
    """Follow the executor from now on, also when the settings name another one; nothing where it is followed.

    To be called outside a transaction. Raises `ChainUnavailable` where its past cannot be read now, `CursorMoved` where
    the watcher has to look first whether a reorg replaced what it read.
    """
    if _is_followed(address) or _was_written_otherwise(address):
        return
    try:
        _follow(client or get_client(), address)
    except IntegrityError:
        if not _is_followed(address):  # else another process was faster
            raise


def _is_followed(address: str) -> bool:
    return Executor.objects.filter(address=address, chain_id=settings.CHAIN_ID).exists()


def _was_written_otherwise(address: str) -> bool:
    """It is followed under another spelling, of before settings were checksummed: its row takes the checksummed one."""
    known = Executor.objects.filter(chain_id=settings.CHAIN_ID)
    same = [row.pk for row in known if row.address.lower() == address.lower()]
    return bool(same) and Executor.objects.filter(pk__in=same[:1]).update(address=parse_address(address)) == 1


def _follow(client: ChainClient, address: str) -> None:
    until = cursor().next_block
    past = _read_past(client, address, until - 1)

    def store() -> None:
        move_cursor(until, until)
        Executor.objects.create(address=address, chain_id=settings.CHAIN_ID)
        ChainEvent.objects.bulk_create(past, batch_size=INSERT_BATCH)

    run_in_transaction(store)
    if past:
        logger.warning("executor %s is followed: %d events of its past were read", address, len(past))


def _read_past(client: ChainClient, address: str, last: int) -> list[ChainEvent]:
    """Its events up to a block, none of which is stored."""
    reader = RangeReader(client, decoding.filters_of(address))
    first, found = settings.WATCH_FROM_BLOCK, []
    while first <= last:
        read = reader.read(first, last, headers_from=last + 1)
        _require_same_blocks(read)
        found += decoding.rows(read.logs, block_times(client, read), executor=address)
        first = read.last + 1
    return found


def _require_same_blocks(read: LogRange) -> None:
    """Of the blocks whose hashes are kept, none is another one now."""
    kept = dict(
        WatchedBlock.objects.filter(number__gte=read.first, number__lte=read.last).values_list("number", "hash")
    )
    shown = {int(log["blockNumber"], 16): log["blockHash"] for log in read.logs}
    shown |= {number: header["hash"] for number, header in read.headers.items()}
    if any(kept.get(number, block_hash) != block_hash for number, block_hash in shown.items()):
        raise CursorMoved(f"blocks {read.first} to {read.last} are not those that were read before")
