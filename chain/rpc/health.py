"""How the endpoints stand beside each other: who lags, who is far behind, who does not answer what.

One that lags is asked last. Conclusions that every endpoint is heard for leave one out only in three cases, and only
after an ERROR said so:

- its head stands still: over STALL_SECONDS it named the same block, while the best head went on by STALL_BLOCKS;
- it is far behind, though it may advance: its head is more than STALL_BLOCKS behind the best, and its own newest block
  is older than STALL_SECONDS by our clock;
- it is silent: it gave no usable answer to one kind of question for SILENT_SECONDS. It is not waited for; what it does
  answer counts.

What another endpoint says is not enough for any of them. An honest endpoint of a living chain has a young block, and
names a new one within seconds, so one that claims a head far ahead, or ahead ever faster, cannot have it passed over.
What breaks if that is relaxed: the liar alone is "every endpoint". An answer ends the silence about its own kind of
question only, or an endpoint that answers nothing but cheap questions would be waited for for ever. Each change is
logged once, at ERROR where something is wrong, and is a figure on `/metrics`.
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
STALL_BLOCKS = 15  # further behind than this, an endpoint may be left out
STALL_SECONDS = 30.0  # and only where its head has not moved, or its newest block is old, for so long
SILENT_SECONDS = 20.0  # conclusions wait so long for an endpoint that gives no answer
FORGET_SECONDS = 300.0  # a failure that has not come again for so long counts no more
_comparing = threading.Lock()

Question = frozenset[str]  # a kind of post: its methods


class Standing(StrEnum):
    """What an endpoint is good for now."""

    GOOD = "GOOD"
    LAGS = "LAGS"
    SILENT = "SILENT"
    FAR_BEHIND = "FAR_BEHIND"
    STANDS_STILL = "STANDS_STILL"


_LEFT_OUT = (Standing.FAR_BEHIND, Standing.STANDS_STILL)
_GRAVITY = {Standing.GOOD: 0, Standing.LAGS: 1, Standing.SILENT: 2, **dict.fromkeys(_LEFT_OUT, 3)}


class EndpointHealth:
    """One endpoint's head, and what it fails to answer since when. Moments are `time.monotonic()`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.head: int | None = None
        self.standing = Standing.GOOD
        self._age: float | None = None
        self._head_since = 0.0
        self._head_seen = 0.0
        self._best_when_it_advanced = 0
        self._failing: dict[Question, tuple[float, float]] = {}  # the first and the last failure since an answer

    @property
    def is_heard(self) -> bool:
        """True while what it answers counts in conclusions."""
        return self.standing not in _LEFT_OUT

    @property
    def is_waited_for(self) -> bool:
        """True while conclusions wait for an answer that it does not give now."""
        return self.standing in (Standing.GOOD, Standing.LAGS)

    def answered(self, question: Question) -> None:
        """It gave a usable answer."""
        self._failing.pop(question, None)

    def failed(self, question: Question) -> None:
        """It gave none."""
        now = time.monotonic()
        first, last = self._failing.get(question, (now, now))
        self._failing[question] = (first if now - last < FORGET_SECONDS else now, now)

    def has_head(self, number: int, *, age: float | None = None) -> None:
        """Its newest block is this one, made `age` seconds ago by our clock where that was asked; a head that fell is
        news too, it is compared from there.
        """
        now = time.monotonic()
        if number != self.head:
            self._best_when_it_advanced = 0
            self._head_since = now
            metrics.endpoint_head.labels(self.name).set(number)
        self.head, self._age, self._head_seen = number, age, now

    def judge(self, best: int | None) -> None:
        """Compare with the highest head of all; None where this is the only endpoint."""
        before, self.standing = self.standing, self._judged(best)
        if self.standing == before:
            return
        metrics.endpoint_lagging.labels(self.name).set(self.standing != Standing.GOOD)
        if self.standing == Standing.GOOD:
            logger.warning("RPC endpoint %s is well again", self.name)
        elif _GRAVITY[self.standing] > _GRAVITY[before]:
            logger.error("RPC endpoint %s: %s", self.name, self._described(best))

    def _judged(self, best: int | None) -> Standing:
        behind = self._compared(best)
        if behind in _LEFT_OUT:
            return behind
        return Standing.SILENT if self._unanswered() else behind

    def _compared(self, best: int | None) -> Standing:
        """By its head alone."""
        if best is None or self.head is None:
            return Standing.GOOD
        self._best_when_it_advanced = self._best_when_it_advanced or best
        if best > self.head and self._stands_still(best):
            return Standing.STANDS_STILL
        if best - self.head > (STALL_BLOCKS if self.is_heard else CAUGHT_UP_BLOCKS) and self._is_old:
            return Standing.FAR_BEHIND
        patience = LAG_BLOCKS if self.standing == Standing.GOOD else CAUGHT_UP_BLOCKS
        return Standing.LAGS if best - self.head > patience else Standing.GOOD

    def _stands_still(self, best: int) -> bool:
        seconds = self._head_seen - self._head_since
        return best - self._best_when_it_advanced > STALL_BLOCKS and seconds >= STALL_SECONDS

    @property
    def _is_old(self) -> bool:
        return self._age is not None and self._age >= STALL_SECONDS

    def _unanswered(self) -> list[Question]:
        """The kinds of questions that it has not answered for long, though it was asked again."""
        now = time.monotonic()
        return [
            question
            for question, (first, last) in list(self._failing.items())
            if last - first >= SILENT_SECONDS and now - last < FORGET_SECONDS
        ]

    def _described(self, best: int | None) -> str:
        if self.standing == Standing.SILENT:
            methods = ", ".join(sorted({method for question in self._unanswered() for method in question}))
            return (
                f"no answer for {SILENT_SECONDS:.0f} s to {methods}; conclusions are drawn without it until it answers"
            )
        behind = f"its head {self.head} is {(best or 0) - (self.head or 0)} blocks behind"
        without = "conclusions are drawn without it until it catches up"
        if self.standing == Standing.STANDS_STILL:
            return f"{behind} and stands still; {without}"
        if self.standing == Standing.FAR_BEHIND:
            return f"{behind}, made {self._age:.0f} s ago; {without}"
        return f"{behind}; the others are asked first until it catches up"


def compare(endpoints: Sequence[EndpointHealth]) -> None:
    """Judge each by the heads that are known."""
    with _comparing:
        heads = [endpoint.head for endpoint in endpoints if endpoint.head is not None]
        best = max(heads) if len(endpoints) > 1 and heads else None
        for endpoint in endpoints:
            endpoint.judge(best)
