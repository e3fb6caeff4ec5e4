"""Once a range of blocks is final it is read a second time, from every endpoint: this finds logs that a node left out.

Until then the blocks' hashes are kept. Where the endpoints agree with each other and differ from what is stored, the
range is rolled back and read again; where they disagree, nothing is concluded and an ERROR is logged.
"""

import logging
from collections import defaultdict
from typing import Any

from django.conf import settings

from chain import metrics
from chain.events import decoding
from chain.events.reorgs import roll_back_events
from chain.models import SYSTEM_CURSOR, ChainEvent, WatchCursor, WatchedBlock
from chain.rpc.clients import ChainUnavailable, RpcError
from chain.rpc.evidence import final_block
from chain.rpc.log_ranges import RangeReader, header_calls, in_order, log_calls
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction

logger = logging.getLogger(__name__)

EVERY_BLOCKS = 32
Found = frozenset[tuple[int, str, int]]  # block number, block hash, log index
_reported: set[int] = set()  # first blocks of ranges whose disagreement this process has logged


def verify_final_range(reader: RangeReader, cursor: WatchCursor, *, every: int = EVERY_BLOCKS) -> bool:
    """Compare one range that has become final since the last time; True where something was rolled back.

    Costs nothing while fewer than `every` blocks may have become final.
    """
    first = max(cursor.verified_block + 1, settings.WATCH_FROM_BLOCK)  # older blocks were never read
    if cursor.next_block - first < every:
        return False
    try:
        final = final_block(reader.client)
    except ChainUnavailable as error:
        logger.warning("what became final is compared later: %s", error)
        return False
    last = min(final.number if final else 0, cursor.next_block - 1, first + reader.width - 1)
    if last - first + 1 < every:
        return False
    try:
        last, replaced = _compare_what_fits(reader, first, last)
    except ChainUnavailable as error:  # an endpoint lacks blocks: what was read is applied meanwhile
        logger.warning("what became final is compared again later: %s", error)
        return False
    if replaced is not None:
        roll_back_events(replaced, cursor.next_block)
        return True
    _note_verified(cursor, last)
    return False


def verify_range(reader: RangeReader, cursor: WatchCursor, first: int, last: int) -> bool:
    """Compare these blocks now, final or not, because an event seems to be missing in them; True where something was
    rolled back, to be read again. Raises `ChainUnavailable`.
    """
    first, last = max(first, settings.WATCH_FROM_BLOCK), min(last, cursor.next_block - 1)
    while first <= last:
        until, replaced = _compare_what_fits(reader, first, last)
        if replaced is not None:
            roll_back_events(replaced, cursor.next_block)
            return True
        first = until + 1
    return False


def _compare_what_fits(reader: RangeReader, first: int, last: int) -> tuple[int, int | None]:
    """The last block that was compared, and the lowest that differs; fewer blocks where a node refuses so many."""
    while True:
        try:
            return last, differing_block(reader, first, last)
        except RpcError as refusal:
            if last == first:
                raise ChainUnavailable(f"No logs of block {first}: {refusal}") from refusal
            last = first + (last - first) // 2


def differing_block(reader: RangeReader, first: int, last: int) -> int | None:
    """The lowest block whose stored events differ from what every endpoint shows; None where none does.

    Raises `ChainUnavailable` where an endpoint does not have the range, or the endpoints disagree; `RpcError` where one
    refuses.
    """
    stored = ChainEvent.objects.filter(block_number__gte=first, block_number__lte=last)
    ours: Found = frozenset(stored.values_list("block_number", "block_hash", "log_index"))
    shown = _shown_by_all(reader, first, last)
    if len(shown) > 1:
        metrics.endpoints_disagree.labels("events").inc()
        if first not in _reported:
            _reported.add(first)
            logger.error("the endpoints disagree about the events of blocks %d to %d", first, last)
        raise ChainUnavailable(f"The endpoints disagree about the events of blocks {first} to {last}")
    [theirs] = shown
    if theirs == ours:
        return None
    lowest = min(number for number, _, _ in theirs ^ ours)
    logger.error(
        "blocks %d to %d: %d events were missed and %d are not on the chain; they are read again from %d",
        *(first, last, len(theirs - ours), len(ours - theirs), lowest),
    )
    return lowest


def _shown_by_all(reader: RangeReader, first: int, last: int) -> set[Found]:
    """What each endpoint shows, in a post in which it also shows the range's last block."""
    calls = [*log_calls(reader.filters, first, last), *header_calls([last])]
    shown: set[Found] = set()
    for answers in reader.client.everyone(calls):
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        _require_end(answers[-1], last)
        rows = decoding.rows(in_order(answers[:-1]), defaultdict(int))
        shown.add(frozenset((row.block_number, row.block_hash, row.log_index) for row in rows))
    return shown


def _require_end(header: Any, last: int) -> None:
    """Raise `ChainUnavailable` unless the range's last block is there, and is the one that was read the first time."""
    kept = WatchedBlock.objects.filter(number=last).first()
    if header is None or (kept is not None and kept.hash != header["hash"]):
        raise ChainUnavailable(f"An endpoint does not show the blocks up to {last} that were read")


def _note_verified(cursor: WatchCursor, last: int) -> None:
    def note() -> None:
        mine = WatchCursor.objects.filter(name=SYSTEM_CURSOR, verified_block=cursor.verified_block, next_block__gt=last)
        if mine.update(verified_block=last, updated_at=clock.now()) == 1:
            WatchedBlock.objects.filter(number__lt=last).delete()

    run_in_transaction(note)
