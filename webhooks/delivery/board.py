"""The board: the lanes of a sender, and which thread posts what next. Thread-safe; it reads no database.

Lanes are served in turn. Endpoints that fail or are slow keep at most half of the threads, so that those that hang
never stop the others; so an endpoint is sent to from one thread until it has answered well. One partner's endpoints
together have a part of them.
"""

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from uuid import UUID

from webhooks.delivery.lanes import Job, Lane, TryOutcome
from webhooks.models import Endpoint

PARTNERS = 4  # so many at least share the threads: one partner's endpoints have no more than its part of them


class Board:
    """`threads`: how many posts are under way at most."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lanes: OrderedDict[UUID, Lane] = OrderedDict()
        self._finished: list[TryOutcome] = []
        self._changed = threading.Condition()
        self._is_woken = False
        self._under_way = 0
        self._of_partners: Counter[UUID] = Counter()  # posts under way
        self.is_behind = False  # much of the feed is not fanned out yet: one post of an endpoint at a time, meanwhile
        self.may_send_until = math.inf  # of the monotonic clock: the sender's claims hold until some time after it

    @property
    def lanes(self) -> list[Lane]:
        with self._changed:
            return list(self._lanes.values())

    @property
    def under_way(self) -> int:
        """How many posts are under way."""
        return self._under_way

    @property
    def has_finished(self) -> bool:
        """Whether results wait to be stored."""
        return bool(self._finished)

    def lane(self, key: UUID) -> Lane | None:
        """The lane of an endpoint; None where it was given back."""
        return self._lanes.get(key)

    def put(self, lane: Lane) -> None:
        """Add a lane."""
        with self._changed:
            self._lanes[lane.endpoint.pk] = lane

    def remove(self, lane: Lane) -> None:
        """Take a lane off."""
        with self._changed:
            self._lanes.pop(lane.endpoint.pk, None)

    def add(self, lane: Lane, jobs: Sequence[Job]) -> None:
        """Jobs of a lane, read from the database."""
        with self._changed:
            lane.add(jobs)

    def take(self) -> tuple[Lane, Job] | None:
        """The job that a thread is to post next; None where none may be sent now."""
        with self._changed:
            if self._under_way >= self._threads or time.monotonic() > self.may_send_until:
                return None
            suspects = self._count_of_suspects()
            for key, lane in self._lanes.items():
                if not lane.may_send or (lane.is_suspect and suspects >= self._threads // 2):
                    continue
                if self.is_behind and lane.under_way:
                    continue
                if self._of_partners[lane.endpoint.partner_id] >= max(self._threads // PARTNERS, 1):
                    continue
                self._lanes.move_to_end(key)
                self._under_way += 1
                self._of_partners[lane.endpoint.partner_id] += 1
                return lane, lane.take()
            return None

    def takeable(self) -> int:
        """How many jobs could be taken now, at most as many as there are free threads."""
        with self._changed:
            free = self._threads - self._under_way
            sendable = (
                min(lane.limit - len(lane.under_way), len(lane.ready)) for lane in self._lanes.values() if lane.may_send
            )
            return min(free, sum(sendable))

    def finish(self, lane: Lane, outcome: TryOutcome) -> None:
        """A post ended; the loop is woken to store its result."""
        with self._changed:
            self._under_way -= 1
            self._of_partners[lane.endpoint.partner_id] -= 1
            lane.finish(outcome)
            self._finished.append(outcome)
            self._changed.notify_all()

    def collect(self, limit: int) -> list[TryOutcome]:
        """Results that wait to be stored, the oldest first; they are the caller's now."""
        with self._changed:
            found, self._finished = self._finished[:limit], self._finished[limit:]
            return found

    def put_back(self, outcomes: Sequence[TryOutcome]) -> None:
        """Results that could not be stored."""
        with self._changed:
            self._finished[:0] = outcomes

    def stored(self, outcomes: Sequence[tuple[TryOutcome, bool]]) -> None:
        """These are stored; each with whether its delivery is finished."""
        with self._changed:
            for outcome, is_final in outcomes:
                lane = self._lanes.get(outcome.job.lane)
                if lane is not None:
                    lane.stored(outcome, is_final=is_final)

    def update(self, lane: Lane, endpoint: Endpoint, secrets: Sequence[str]) -> None:
        """The endpoint as it is now: what somebody changed counts from here on."""
        with self._changed:
            lane.update(endpoint, secrets)

    def pause(self, lane: Lane) -> None:
        """Forget what a paused lane has not begun."""
        with self._changed:
            lane.forget_waiting()

    def close(self, lane: Lane) -> None:
        """Send nothing more from a lane."""
        with self._changed:
            lane.is_closed = True
            lane.forget_waiting()

    def wake(self) -> None:
        """End the loop's wait."""
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until a post ends, somebody wakes the loop, or so many seconds have passed."""
        with self._changed:
            if not self._finished and not self._is_woken:
                self._changed.wait(seconds)
            self._is_woken = False

    def _count_of_suspects(self) -> int:
        return sum(len(lane.under_way) for lane in self._lanes.values() if lane.under_way and lane.is_suspect)
