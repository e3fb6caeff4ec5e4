"""Refused calls that have no row in the call log: how many, of which address, in which minute.

`note` counts in this process; once a second what was counted goes into one hash in Redis, for all processes together.
Once a minute `move_counts_into_rows` moves that hash into rows of `RefusedCalls`. It is bounded: a process counts
`MAX_ADDRESSES` addresses a second, Redis `MAX_FIELDS` until they are recorded, and the table gets `RECORDED_ADDRESSES`
a minute, those with the most calls. The calls of all other addresses are counted under `OTHERS`.

Nothing is counted twice: the hash is renamed before it is read, and the rows get their keys from it, so that a run that
was killed is repeated with the same keys.
"""

import datetime as dt
import logging
import threading
import time
import uuid
from collections import Counter, defaultdict
from typing import Any

from django.db import IntegrityError
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from audit.models import RefusedCalls
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.redis import lock

logger = logging.getLogger(__name__)

OTHERS = ""
PUSH_SECONDS = 1.0
RETRY_SECONDS = 5.0  # after Redis failed
MAX_ADDRESSES = 256
MAX_FIELDS = 20_000
RECORDED_ADDRESSES = 100
LOCK_SECONDS = 60
OPEN, CLOSED = "refused-calls:open", "refused-calls:closed"
BATCH = "batch"

# KEYS: the hash. ARGV: the most fields, then minute, address, calls again and again.
_ADD = """
for i = 2, #ARGV, 3 do
  local field = ARGV[i] .. '|' .. ARGV[i + 1]
  if redis.call('HEXISTS', KEYS[1], field) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1]) then
    field = ARGV[i] .. '|'
  end
  redis.call('HINCRBY', KEYS[1], field, ARGV[i + 2])
end
"""


class Pending:
    """Counts of this process that are not in Redis yet: calls by minute (seconds since the epoch) and address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._push_lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._calls: Counter[tuple[int, str]] = Counter()
        self._due = 0.0

    def note(self, address: str) -> None:
        """Count one call of `address`."""
        with self._lock:
            self._add((_this_minute(), address), 1)

    @property
    def is_due(self) -> bool:
        """Whether there are counts that should be sent to Redis now."""
        return bool(self._calls) and time.monotonic() >= self._due

    def push_due(self) -> None:
        """Send the counts to Redis, once a second at most and in one round trip; on failure they are kept and sent
        later.
        """
        if not self.is_due or not self._push_lock.acquire(blocking=False):
            return
        try:
            self._due = time.monotonic() + PUSH_SECONDS
            self._push()
        finally:
            self._push_lock.release()

    def _push(self) -> None:
        with self._lock:
            calls, self._calls = self._calls, Counter()
        arguments = [part for (minute, address), count in calls.items() for part in (minute, address, count)]
        try:
            get_redis_connection("default").eval(_ADD, 1, OPEN, MAX_FIELDS, *arguments)
        except RedisError as error:
            logger.warning("counts of refused calls wait for Redis: %s", error)
            self._due = time.monotonic() + RETRY_SECONDS
            with self._lock:
                for place, count in calls.items():
                    self._add(place, count)

    def _add(self, place: tuple[int, str], count: int) -> None:
        is_named = place in self._calls or len(self._calls) < MAX_ADDRESSES
        self._calls[place if is_named else (place[0], OTHERS)] += count


pending = Pending()


def move_counts_into_rows() -> int:
    """Move the counts from Redis into the table; returns how many rows that made, 0 where another run is in
    progress.
    """
    with lock.held("refused-calls", seconds=LOCK_SECONDS, without_redis=True) as is_ours:
        if not is_ours:
            return 0
        redis: Any = get_redis_connection("default")
        # What a killed run left comes first.
        return _record_closed(redis) + (_record_closed(redis) if _close(redis) else 0)


def _close(redis: Any) -> bool:
    """Rename the hash of counts, so that no process adds to it any more."""
    return bool(redis.exists(OPEN)) and bool(redis.renamenx(OPEN, CLOSED))


def _record_closed(redis: Any) -> int:
    redis_hash = {field.decode(): value.decode() for field, value in redis.hgetall(CLOSED).items()}
    if not redis_hash:
        return 0
    batch = redis_hash.pop(BATCH, "")
    if not batch:
        batch = uuid.uuid4().hex
        redis.hset(CLOSED, BATCH, batch)
    rows = _rows(uuid.UUID(batch), {field: int(value) for field, value in redis_hash.items()})
    try:
        run_in_transaction(lambda: RefusedCalls.objects.bulk_create(rows))
    except IntegrityError:
        rows = []  # a run that was killed had recorded them
    redis.delete(CLOSED)
    return len(rows)


def _rows(batch: uuid.UUID, calls: dict[str, int]) -> list[RefusedCalls]:
    by_minute: dict[str, Counter[str]] = defaultdict(Counter)
    for field, count in calls.items():
        minute, _, address = field.partition("|")
        by_minute[minute][address] += count
    return [
        RefusedCalls(
            id=uuid.uuid5(batch, f"{minute}|{address}"),
            timestamp=dt.datetime.fromtimestamp(int(minute), dt.UTC),
            address=address,
            calls=count,
        )
        for minute, addresses in sorted(by_minute.items())
        for address, count in sorted(_most(addresses).items())
    ]


def _most(addresses: Counter[str]) -> Counter[str]:
    others = addresses.pop(OTHERS, 0)
    kept = Counter(dict(addresses.most_common(RECORDED_ADDRESSES)))
    others += addresses.total() - kept.total()
    if others:
        kept[OTHERS] = others
    return kept


def _this_minute() -> int:
    return int(clock.now().timestamp()) // 60 * 60
