"""An executor's events are followed from its first transfer on, for as long as the platform lives.

USDC may reach an executor before the platform knows its address. When it becomes known, its events in the blocks that
the watcher has read already are read first; they and its row are one commit. A watcher that read a range meanwhile
without knowing the executor reads that range again.
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
    """Follow the executor's events from now on, also when the settings name another one. No-op where it is followed.

    To be called outside a transaction. Raises `ChainUnavailable` where its past cannot be read now, `CursorMoved` where
    the watcher must first check whether a reorg replaced what it read.
    """
    if _is_followed(address) or _was_written_otherwise(address):
        return
    try:
        _follow(client or get_client(), address)
    except IntegrityError:
        if not _is_followed(address):  # otherwise another process created it at the same moment
            raise


def _is_followed(address: str) -> bool:
    return Executor.objects.filter(address=address, chain_id=settings.CHAIN_ID).exists()


def _was_written_otherwise(address: str) -> bool:
    """True where its row has the address in another case, as before settings were checksummed; it is corrected."""
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
    """Its events up to block `last`; none of them is stored yet."""
    reader = RangeReader(client, decoding.filters_of(address))
    first, found = settings.WATCH_FROM_BLOCK, []
    while first <= last:
        read = reader.read(first, last, headers_from=last + 1)
        _require_same_blocks(read)
        found += decoding.rows(read.logs, block_times(client, read), executor=address)
        first = read.last + 1
    return found


def _require_same_blocks(read: LogRange) -> None:
    """Raise `CursorMoved` where a block whose hash is kept has been replaced."""
    kept = dict(
        WatchedBlock.objects.filter(number__gte=read.first, number__lte=read.last).values_list("number", "hash")
    )
    shown = {int(log["blockNumber"], 16): log["blockHash"] for log in read.logs}
    shown |= {number: header["hash"] for number, header in read.headers.items()}
    if any(kept.get(number, block_hash) != block_hash for number, block_hash in shown.items()):
        raise CursorMoved(f"blocks {read.first} to {read.last} are not those that were read before")
