"""Counts refused calls by client address, and remembers which addresses are over the limit.

The count is in Redis, exact over all processes (`partners.access.rate_limit`), and costs one round trip for each
refusal, none for a call that is served. The result is remembered here until the address may try again: an address over
its limit costs no round trip. Without Redis each process counts for itself. Memory is bounded: of more than
`MAX_ADDRESSES` addresses at once, further ones are not limited one by one. The rows in the call log are bounded in any
case: `REFUSED_CALL_ROWS` a minute and process for all unknown callers together, and as many for callers with a valid
key.
"""

import logging
import math
import threading
import time
from dataclasses import dataclass

from django.conf import settings
from redis.exceptions import RedisError

from partners.access import rate_limit
from partners.access.rate_limit import WINDOW_SECONDS, Quota

logger = logging.getLogger(__name__)

MAX_ADDRESSES = 10_000
WITHOUT_REDIS_SECONDS = 5.0  # how long a Redis that failed is not asked again: it may be one that times out


@dataclass(frozen=True)
class CountedRefusal:
    """`seconds` until the address may try again, 0 where it is within its limit; `has_row`: it gets a row in the call
    log.
    """

    seconds: int
    has_row: bool


class Refusals:
    """What one process knows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._over: dict[str, _Minute] = {}  # the addresses over their limit, until they may try again
        self._own: dict[str, _Minute] = {}  # counted here, without Redis
        self._rows, self._rows_of_partners = _Minute(), _Minute()
        self._ask_redis_at = self._make_room_at = 0.0

    def seconds_left(self, subject: str) -> int:
        """Seconds until the address may be refused again; 0 where it may now. No round trip."""
        over = self._over.get(subject)
        return 0 if over is None or over.is_past else over.seconds_left

    def seconds_of_all(self) -> int:
        """Seconds until this process has rows for refused calls again; 0 where it has some. No round trip."""
        is_used_up = self._rows.count >= settings.REFUSED_CALL_ROWS and not self._rows.is_past
        return self._rows.seconds_left if is_used_up else 0

    def count(self, subject: str, *, is_partners: bool = False) -> CountedRefusal:
        """Count one refusal; an address that is over the limit is remembered as such.

        Callers with a valid key have rows of their own: a flood of unknown callers must not hide that a stolen key was
        tried.
        """
        seconds = self._count(subject)
        rows = self._rows_of_partners if is_partners else self._rows
        with self._lock:
            if not seconds:
                return CountedRefusal(0, has_row=rows.take(settings.REFUSED_CALL_ROWS))
            if self._has_room(self._over, subject):
                self._over[subject] = _Minute(time.monotonic() + seconds)
        return CountedRefusal(seconds, has_row=False)

    def _count(self, subject: str) -> int:
        if time.monotonic() >= self._ask_redis_at:
            quota = Quota("refused", settings.RATE_LIMIT_REFUSED)
            try:
                decision = rate_limit.count_call(quota=quota, subject=f"refused:{subject}")
            except RedisError as error:
                self._ask_redis_at = time.monotonic() + WITHOUT_REDIS_SECONDS
                logger.warning("refusals are counted by each process for itself: %s", error)
            else:
                return 0 if decision.is_admitted else max(decision.seconds, 1)
        with self._lock:
            if not self._has_room(self._own, subject):
                return 0
            minute = self._own.setdefault(subject, _Minute())
            return 0 if minute.take(settings.RATE_LIMIT_REFUSED) else minute.seconds_left

    def _has_room(self, minutes: dict[str, "_Minute"], subject: str) -> bool:
        """Whether `subject` is or may be among them; those that are past are dropped once a second at most."""
        if subject in minutes or len(minutes) < MAX_ADDRESSES:
            return True
        if time.monotonic() >= self._make_room_at:
            self._make_room_at = time.monotonic() + 1.0
            for name in [name for name, minute in minutes.items() if minute.is_past]:
                del minutes[name]
        return len(minutes) < MAX_ADDRESSES


@dataclass
class _Minute:
    """A count that begins anew a minute after its first."""

    ends: float = 0.0  # on the monotonic clock
    count: int = 0

    @property
    def is_past(self) -> bool:
        return time.monotonic() >= self.ends

    @property
    def seconds_left(self) -> int:
        return max(math.ceil(self.ends - time.monotonic()), 1)

    def take(self, limit: int) -> bool:
        """Count one, unless there were `limit` in this minute."""
        if self.is_past:
            self.ends, self.count = time.monotonic() + WINDOW_SECONDS, 0
        if self.count >= limit:
            return False
        self.count += 1
        return True


refusals = Refusals()


def counted_subject(address: str | None) -> str:
    """The subject that refusals are counted for: an IPv4 address, an IPv6 /64, or all unknown addresses together."""
    return rate_limit.public_subject(address).removeprefix("address:")
