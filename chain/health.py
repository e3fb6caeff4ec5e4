"""How the endpoints stand beside each other: who lags, whose head stands still, who does not answer at all.

One that lags is asked last. One that stands still, or has been silent for long, is also left out of conclusions that
every endpoint is heard for, and only then: an endpoint is never passed over before somebody was told. An honest
endpoint advances, so another one that claims a head far ahead cannot have it passed over. Each change is logged once,
at ERROR where something is wrong, and is a figure on `/metrics`.
"""

import logging
import threading
import time
from collections.abc import Sequence
from enum import StrEnum

from chain import metrics

logger = logging.getLogger(__name__)

LAG_BLOCKS = 3  # further behind than this, an endpoint is asked last
CAUGHT_UP_BLOCKS = 1
STALL_BLOCKS = 15  # so far the others went on while its head stood: its word is not waited for any more
SILENT_SECONDS = 20.0  # conclusions wait so long for an endpoint that gives no answer
_comparing = threading.Lock()


class Standing(StrEnum):
    """What an endpoint is good for now."""

    GOOD = "GOOD"
    LAGS = "LAGS"
    STANDS_STILL = "STANDS_STILL"
    SILENT = "SILENT"


class Health:
    """One endpoint's head, and since when it fails."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.head: int | None = None
        self.standing = Standing.GOOD
        self._best_when_it_advanced = 0
        self._failing_since: float | None = None

    @property
    def is_heard(self) -> bool:
        """True while conclusions wait for its word."""
        return self.standing in (Standing.GOOD, Standing.LAGS)

    def answered(self) -> None:
        """It gave a usable answer."""
        self._failing_since = None

    def failed(self) -> None:
        """It gave none."""
        self._failing_since = self._failing_since or time.monotonic()

    def has_head(self, number: int) -> None:
        """Its newest block is this one; a head that fell is news too, it is compared from there."""
        if self.head is None or number != self.head:
            self._best_when_it_advanced = 0
            metrics.endpoint_head.labels(self.name).set(number)
        self.head = number

    def judge(self, best: int | None) -> None:
        """Compare with the highest head of all; None where this is the only endpoint."""
        before, self.standing = self.standing, self._judged(best)
        if self.standing == before:
            return
        metrics.endpoint_lagging.labels(self.name).set(self.standing != Standing.GOOD)
        if self.standing == Standing.GOOD:
            logger.warning("RPC endpoint %s is well again", self.name)
        elif before == Standing.GOOD or not self.is_heard:
            logger.error("RPC endpoint %s: %s", self.name, self._described(best))

    def _judged(self, best: int | None) -> Standing:
        if self._failing_since is not None and time.monotonic() - self._failing_since >= SILENT_SECONDS:
            return Standing.SILENT
        if best is None or self.head is None:
            return Standing.GOOD
        self._best_when_it_advanced = self._best_when_it_advanced or best
        if best - self._best_when_it_advanced > STALL_BLOCKS and best > self.head:
            return Standing.STANDS_STILL
        patience = LAG_BLOCKS if self.standing == Standing.GOOD else CAUGHT_UP_BLOCKS
        return Standing.LAGS if best - self.head > patience else Standing.GOOD

    def _described(self, best: int | None) -> str:
        if self.standing == Standing.SILENT:
            return f"no answer for {SILENT_SECONDS:.0f} s; conclusions are drawn without it"
        behind = f"its head {self.head} is {(best or 0) - (self.head or 0)} blocks behind"
        if self.standing == Standing.STANDS_STILL:
            return f"{behind} and stands still; conclusions are drawn without it until it catches up"
        return f"{behind}; the others are asked first until it catches up"


def compare(endpoints: Sequence[Health]) -> None:
    """Judge each by the heads that are known."""
    with _comparing:
        heads = [endpoint.head for endpoint in endpoints if endpoint.head is not None]
        best = max(heads) if len(endpoints) > 1 and heads else None
        for endpoint in endpoints:
            endpoint.judge(best)
