"""Reads of the watcher's rows: the events of the system's contracts, and how far the chain has been read."""

import datetime as dt
from collections.abc import Collection, Iterable
from typing import NamedTuple

from django.conf import settings
from django.db.models import QuerySet

from chain.models import SYSTEM_CURSOR, ChainEvent, WatchCursor, WatchedBlock
from partner_platform.core import clock
from partner_platform.core.database.batches import batched

Place = tuple[int, str]  # a block's number and hash


class IncomingTransfer(NamedTuple):
    """A USDC transfer that others made; `value` in base units, `block_time` in seconds since the epoch."""

    tx_hash: str
    sender: str
    value: int
    block_number: int
    block_hash: str
    block_time: int


def unapplied_events(limit: int, *, after: tuple[int, int] = (-1, -1)) -> list[ChainEvent]:
    """Events that their consumer has not tried to apply, in the order of the chain, after the place `after` (block,
    log).
    """
    return list(unapplied_events_query(after)[:limit])


def unapplied_events_query(after: tuple[int, int]) -> QuerySet[ChainEvent]:
    """The query of `unapplied_events`, for the index tests too."""
    block, log = after
    due = ChainEvent.objects.unapplied().filter(follow_after__isnull=True)
    due = due.order_by("follow_after", "block_number", "log_index")  # all null: named for PostgreSQL's planner
    if block < 0:
        return due
    return due.filter(block_number__gte=block).exclude(block_number=block, log_index__lte=log)


def events_due_again(limit: int) -> list[ChainEvent]:
    """Events that could not be applied and whose pause is over, at most `limit`; the longest overdue first."""
    return list(events_due_again_query(clock.now())[:limit])


def events_due_again_query(now: dt.datetime) -> QuerySet[ChainEvent]:
    """The query of `events_due_again`, for the index tests too."""
    return ChainEvent.objects.unapplied().filter(follow_after__lte=now).order_by("follow_after")


def unapplied_events_of(position_id: int, *, from_block: int, limit: int) -> list[ChainEvent]:
    """A position's first unapplied events since a block, put off or not, in the order of the chain."""
    found = ChainEvent.objects.filter(position_id=position_id, block_number__gte=from_block).unapplied()
    return list(found.order_by("block_number", "log_index")[:limit])


def positions_put_off(position_ids: Iterable[int]) -> set[int]:
    """Those of these positions that have unapplied events which were put off."""
    found: set[int] = set()
    for chosen in batched(sorted(position_ids)):
        waiting = ChainEvent.objects.unapplied().filter(position_id__in=chosen, follow_after__isnull=False)
        found |= {
            position_id for position_id in waiting.values_list("position_id", flat=True) if position_id is not None
        }
    return found


def positions_unapplied_before(moment: int) -> set[int]:
    """The positions that have unapplied events, put off or not, of blocks before this time (seconds)."""
    waiting = ChainEvent.objects.unapplied().filter(block_time__lt=moment).values_list("position_id", flat=True)
    return {position_id for position_id in waiting if position_id is not None}


def positions_since(block_number: int) -> set[int]:
    """The positions that have events from this block on."""
    since = ChainEvent.objects.filter(block_number__gte=block_number).values_list("position_id", flat=True)
    return {position_id for position_id in since if position_id is not None}


def position_events(position_id: int, *, events: Iterable[str], contracts: Iterable[str]) -> list[ChainEvent]:
    """A position's events of these kinds, of any of these contracts, in the order of the chain."""
    kinds = set(events)
    names = [f"{contract}.{kind}" for contract in contracts for kind in sorted(kinds)]
    found = ChainEvent.objects.filter(position_id=position_id, name__in=names)
    return list(found.order_by("block_number", "log_index"))


def last_event_before(position_id: int, *, block_number: int, log_index: int, name: str = "") -> ChainEvent | None:
    """A position's newest event before a place on the chain; the newest of this name where one is given."""
    found = ChainEvent.objects.filter(position_id=position_id, block_number__lte=block_number)
    found = found.exclude(block_number=block_number, log_index__gte=log_index)
    if name:
        found = found.filter(name=name)
    return found.order_by("-block_number", "-log_index").first()


def replaced_blocks(places: Collection[Place]) -> set[Place]:
    """Those of these blocks with events (number, hash) that are known to be no longer on the chain.

    The watcher keeps another hash of that height. Where it keeps none, because it read a final block there, it has no
    event of this block: should a node have left one out, the second reading finds it.
    """
    numbers = [number for number, _ in places]
    kept = dict(WatchedBlock.objects.filter(number__in=numbers).values_list("number", "hash"))
    older = {place for place in places if place[0] not in kept and place[0] >= settings.WATCH_FROM_BLOCK}
    found = {place for place in places if kept.get(place[0], place[1]) != place[1]}
    if older:
        events = ChainEvent.objects.filter(block_number__in=[number for number, _ in older])
        last = watched_until()
        found |= {place for place in older if place[0] <= last} - set(events.values_list("block_number", "block_hash"))
    return found


def watched_block() -> WatchedBlock | None:
    """The newest block that the watcher has read; None where it has read none, or its hash is no longer kept."""
    newest = WatchedBlock.objects.order_by("-number").first()
    return newest if newest is not None and newest.number == watched_until() else None


def watched_until() -> int:
    """The number of the newest block whose events the watcher has read; -1 before it began."""
    cursor = WatchCursor.objects.filter(name=SYSTEM_CURSOR).first()
    return -1 if cursor is None else cursor.next_block - 1


def verified_until() -> int:
    """The number of the newest block that was compared when it was final (`second_reading`); -1 where there is none."""
    cursor = WatchCursor.objects.filter(name=SYSTEM_CURSOR).first()
    return -1 if cursor is None else cursor.verified_block


def transfers_between(first: int, last: int) -> list[tuple[str, str, int]]:
    """`(sender, recipient, base units)` of the USDC transfers in these blocks that no operation of ours made."""
    found = transfers_query(first, last).values_list("args", flat=True)
    return [(args["from"], args["to"], int(args["value"])) for args in found]


def incoming_transfers(first: int, last: int, recipient: str) -> list[IncomingTransfer]:
    """The USDC transfers to an account in these blocks that no operation of ours made, in the order of the chain."""
    return [
        IncomingTransfer(
            tx_hash=event.tx_hash,
            sender=event.args["from"],
            value=int(event.args["value"]),
            block_number=event.block_number,
            block_hash=event.block_hash,
            block_time=event.block_time,
        )
        for event in transfers_query(first, last).order_by("block_number", "log_index")
        if event.args["to"] == recipient
    ]


def transfers_query(first: int, last: int) -> QuerySet[ChainEvent]:
    """The query of `transfers_between`, for the index tests too."""
    return _events_between(first, last).filter(name="MockUSDC.Transfer", operation_uid="")


def last_block_of(events: int, *, first: int, until: int) -> int:
    """The last block (from `first` to `until`) up to which there are at most `events` events from `first` on."""
    numbers = _events_between(first, until).order_by("block_number", "log_index").values_list("block_number", flat=True)
    beyond = list(numbers[events : events + 1])
    return max(beyond[0] - 1, first) if beyond else until


def _events_between(first: int, last: int) -> QuerySet[ChainEvent]:
    return ChainEvent.objects.filter(block_number__gte=first, block_number__lte=last)
