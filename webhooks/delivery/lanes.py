"""A lane: what a sender knows of one endpoint that it claimed. In memory, not thread-safe: the board locks.

How many posts of an endpoint are under way grows by one with each success, to `MOST_AT_ONCE`, and falls to one with a
failure. After `schedule.FAILURES_TO_OPEN` failures in a row, or where the endpoint asks for time with `Retry-After`,
the lane is paused: nothing is sent from it until it was given back and claimed anew, at `ReceiverHealth.resume_at`.
"""

import datetime as dt
import time
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from uuid import UUID

from webhooks.delivery import schedule
from webhooks.models import Delivery, Endpoint

MOST_AT_ONCE = 8
READ_AHEAD = 12  # jobs that may be sent, for each post that may be under way
SLOW_SECONDS = 1.0  # a post that takes longer makes its endpoint a slow one, until one does not


@dataclass(frozen=True)
class Job:
    """One delivery to be tried; `body` is the event as it is sent."""

    delivery: Delivery
    body: str
    lane: UUID  # the endpoint
    version: dt.datetime | None = None  # the endpoint's `updated_at` when its post began

    @property
    def loan(self) -> Hashable:
        """What its order is kept by; a delivery about no loan has none to keep."""
        return self.delivery.loan_id


@dataclass(frozen=True)
class TryOutcome:
    """What came of a try. `status` and the response are missing where none came; `retry_after` in seconds."""

    job: Job
    is_delivered: bool
    at: dt.datetime  # when it ended
    began_at: dt.datetime
    url: str = ""  # that it was sent to
    duration_ms: int = 0
    request_headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""
    error: str = ""
    retry_after: float | None = None


@dataclass(frozen=True)
class ReceiverHealth:
    """The endpoint's columns that tries change."""

    failures_in_a_row: int = 0
    resume_at: dt.datetime | None = None
    failing_since: dt.datetime | None = None
    last_failed_at: dt.datetime | None = None
    delivered_at: dt.datetime | None = None

    @classmethod
    def of(cls, endpoint: Endpoint) -> "ReceiverHealth":
        """As the row has it."""
        return cls(
            failures_in_a_row=endpoint.failures_in_a_row,
            resume_at=endpoint.resume_at,
            failing_since=endpoint.failing_since,
            last_failed_at=endpoint.last_failed_at,
            delivered_at=endpoint.delivered_at,
        )

    def after(self, outcome: TryOutcome) -> "ReceiverHealth":
        """As it is after this try."""
        if outcome.is_delivered:
            return ReceiverHealth(delivered_at=outcome.at)
        failures = self.failures_in_a_row + 1
        pause = max(schedule.breaker_pause(failures), outcome.retry_after or 0.0)
        resume_at = schedule.later(outcome.at, pause) if pause else None
        goes_on = schedule.is_same_failure(self.last_failed_at, now=outcome.at)
        since = self.failing_since if goes_on else None
        return ReceiverHealth(failures, resume_at, since or outcome.at, outcome.at, self.delivered_at)


@dataclass
class Lane:
    """An endpoint's jobs: `ready` may be sent now, `behind` wait for the job of their loan before them."""

    endpoint: Endpoint
    secrets: Sequence[str]
    limit: int = 1
    is_slow: bool = False
    is_closed: bool = False  # the endpoint is disabled, deleted or claimed by another sender: nothing more is sent
    is_read: bool = False  # all that was due is here
    ready: deque[Job] = field(default_factory=deque)
    behind: dict[Hashable, deque[Job]] = field(default_factory=dict)
    known: set[UUID] = field(default_factory=set)  # the deliveries in memory
    under_way: dict[UUID, float] = field(default_factory=dict)  # posts, by when they began

    def __post_init__(self) -> None:
        self.health = ReceiverHealth.of(self.endpoint)
        self.is_paused = False

    @property
    def wants_jobs(self) -> bool:
        """Whether it runs out of jobs, and there may be more."""
        is_done = self.is_read or self.is_paused or self.is_closed
        return not is_done and len(self.ready) < READ_AHEAD * self.limit

    @property
    def is_suspect(self) -> bool:
        """Whether its posts may keep threads for long."""
        return self.is_slow or self.is_failing or self.hangs

    @property
    def is_failing(self) -> bool:
        """Whether its newest try failed."""
        return self.health.failures_in_a_row > 0

    @property
    def hangs(self) -> bool:
        """Whether a post of it is under way for long already."""
        began = next(iter(self.under_way.values()), None)
        return began is not None and time.monotonic() - began > SLOW_SECONDS

    @property
    def may_send(self) -> bool:
        """Whether one of its jobs may be taken now."""
        is_open = not (self.is_paused or self.is_closed)
        return is_open and bool(self.ready) and len(self.under_way) < self.limit

    def update(self, endpoint: Endpoint, secrets: Sequence[str]) -> None:
        """Take the endpoint's row as it is now. A change by others (its URL, being enabled) forgets its failures."""
        if endpoint.wakes != self.endpoint.wakes:
            self.is_read = False
        if endpoint.updated_at != self.endpoint.updated_at:
            self.health = ReceiverHealth.of(endpoint)
            self.is_paused = self.health.resume_at is not None
        self.endpoint, self.secrets = endpoint, secrets

    def add(self, jobs: Sequence[Job]) -> None:
        """Take jobs that were read, a loan's in its order."""
        for job in jobs:
            if job.delivery.pk in self.known:
                continue
            self.known.add(job.delivery.pk)
            if job.loan is not None and job.loan in self.behind:
                self.behind[job.loan].append(job)
                continue
            if job.loan is not None:
                self.behind[job.loan] = deque()
            self.ready.append(job)

    def take(self) -> Job:
        """The next job, whose post begins now."""
        job = replace(self.ready.popleft(), version=self.endpoint.updated_at)
        self.under_way[job.delivery.pk] = time.monotonic()
        return job

    def finish(self, outcome: TryOutcome) -> None:
        """A post ended. Its delivery and loan stay known until the result is stored."""
        began = self.under_way.pop(outcome.job.delivery.pk)
        self.is_slow = time.monotonic() - began > SLOW_SECONDS
        if outcome.job.version != self.endpoint.updated_at:
            return  # it says nothing of the endpoint as it is now
        self.health = self.health.after(outcome)
        self.limit = min(self.limit + 1, MOST_AT_ONCE) if outcome.is_delivered else 1
        self.is_paused |= self.health.resume_at is not None or outcome.status == HTTPStatus.GONE

    def stored(self, outcome: TryOutcome, *, is_final: bool) -> None:
        """A result is stored: the next job of its loan may be sent, or, where it is tried again, those behind wait."""
        job = outcome.job
        self.known.discard(job.delivery.pk)
        if job.loan is None:
            return
        waiting = self.behind.pop(job.loan, deque())
        if is_final and waiting:
            self.ready.append(waiting.popleft())
            self.behind[job.loan] = waiting
        else:
            self.known.difference_update(behind.delivery.pk for behind in waiting)

    def forget_waiting(self) -> None:
        """Drop the jobs whose posts have not begun."""
        for job in self.ready:
            self.known.discard(job.delivery.pk)
            waiting = self.behind.pop(job.loan, ()) if job.loan is not None else ()
            self.known.difference_update(behind.delivery.pk for behind in waiting)
        self.ready.clear()
