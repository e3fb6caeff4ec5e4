"""Which requests may wait for their settlement: each that waits occupies a thread, which reads need too.

`WAITING_THREADS` of a web process's threads may wait: up to two thirds of them for one partner alone, fewer the more
partners wait (`core.fair_share`). A request beyond that gets its 202 at once; what it asked for is accepted all the
same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.conf import settings

from partner_platform.core import metrics
from partner_platform.core.fair_share import FairShare

waiting = FairShare(settings.WAITING_THREADS, max(settings.WAITING_THREADS * 2 // 3, 1))

declined = metrics.counter(
    "settlement_waits_declined_total",
    "Borrows and repayments that were answered 202 at once because too many waited",
)


@contextmanager
def place(partner: UUID) -> Iterator[bool]:
    """True where a request of this partner may wait within the block."""
    may_wait = waiting.take(partner)
    if not may_wait:
        declined.inc()
    try:
        yield may_wait
    finally:
        if may_wait:
            waiting.give_back(partner)
