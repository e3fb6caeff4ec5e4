"""The order in which requests get a worker thread: one queue for each class of caller, known credentials first.

Unknown callers can send more requests than there are threads. Each request costs time before it is refused, and with a
single queue partners would wait behind all of them. Each queue therefore has a bound on the threads that it takes:

    known      an `Authorization` that the platform accepted before, and has not refused since: all threads
    unknown    any other `Authorization`: the first call of a key, or a wrong key
    anonymous  no `Authorization`: public endpoints, pages, the console
    live, ready  the two health checks, each with a thread that serves nothing else: by their results the process is
               restarted, or gets no calls. `ready` waits for a database that does not respond, and `live` must not wait
               with it

Every eighth turn goes to an unknown caller first, so that a new key is served however busy the known ones are. A
request whose queue is full is refused at once (503 `overloaded`), before Django. Credentials are kept as hashes, by
each process for itself.
"""

import hashlib
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from waitress.utilities import Error

MAX_KNOWN = 10_000
UNKNOWN_THREADS, ANONYMOUS_THREADS = 8, 4
HEALTH_PATHS = ("/health/live", "/health/ready")
HEALTH_THREADS = len(HEALTH_PATHS)  # beside those that the server was started with
UNKNOWN_FIRST_EVERY = 8
UNKNOWN_WAITING, ANONYMOUS_WAITING = 512, 128  # the first may be one partner's, all at once, with its new key


class Overloaded(Error):
    code = 503
    reason = "Service Unavailable"


@dataclass
class CallerQueue:
    """Connections whose request waits for a thread, oldest first, and how many are being answered."""

    threads: int
    most_waiting: float = float("inf")
    active: int = 0
    waiting: deque[Any] = field(default_factory=deque)

    @property
    def is_full(self) -> bool:
        return len(self.waiting) >= self.most_waiting

    @property
    def startable(self) -> int:
        return min(len(self.waiting), self.threads - self.active)


class Turn:
    """What a worker thread takes from the queues: one connection to serve."""

    def __init__(self, queues: "RequestQueues", queue: CallerQueue, channel: Any) -> None:
        self._queues, self._queue, self._channel = queues, queue, channel

    def service(self) -> None:
        """Serve the request, then let the next one of its queue begin."""
        self._channel.turn = self
        try:
            self._channel.service()
        finally:
            self.end()

    def leave(self) -> None:
        """Count as a known caller from here on: the platform accepted the credentials of an unknown one."""
        with self._queues.changed:
            self._queue.active -= 1
            self._queue = self._queues.known
            self._queue.active += 1
            self._queues.changed.notify()

    def end(self) -> None:
        """The response is complete; the thread then takes the next turn itself."""
        with self._queues.changed:
            self._queue.active -= 1

    def cancel(self) -> None:
        self._channel.cancel()


class RequestQueues:
    """The queue of waitress's dispatcher; its methods but `remember` and `forget` are called with its lock held."""

    def __init__(self, threads: int, changed: threading.Condition) -> None:
        self.changed = changed
        self.known = CallerQueue(threads)
        self._unknown = CallerQueue(min(UNKNOWN_THREADS, threads), UNKNOWN_WAITING)
        self._anonymous = CallerQueue(min(ANONYMOUS_THREADS, threads), ANONYMOUS_WAITING)
        self._health = {path: CallerQueue(1, ANONYMOUS_WAITING) for path in HEALTH_PATHS}
        self._threads = threads
        self._in_order = (self.known, self._unknown, self._anonymous)
        self._unknown_first = (self._unknown, self._anonymous, self.known)
        self._turns = 0
        self._credentials: OrderedDict[bytes, None] = OrderedDict()
        self._memory = threading.Lock()

    def __len__(self) -> int:
        """How many requests could begin now."""
        of_health = sum(queue.startable for queue in self._health.values())
        return of_health + min(sum(queue.startable for queue in self._in_order), self._free)

    def append(self, channel: Any) -> None:
        """Queue a connection whose request is complete."""
        request = channel.requests[0]
        queue = self.known if request.error else self._queue_of(request)
        if queue.is_full:
            request.error = Overloaded("more calls of strangers come than can be answered")
            queue = self.known
        queue.waiting.append(channel)

    def popleft(self) -> Turn:
        """The next request to serve."""
        for queue in (*self._health.values(), *self._callers()):
            if queue.startable > 0:
                queue.active += 1
                return Turn(self, queue, queue.waiting.popleft())
        raise IndexError("nobody can begin")

    def _callers(self) -> tuple[CallerQueue, ...]:
        """The callers' queues in the order of this turn; none where no thread is free."""
        if not self._free:
            return ()
        self._turns += 1
        return self._unknown_first if self._turns % UNKNOWN_FIRST_EVERY == 0 else self._in_order

    @property
    def _free(self) -> int:
        return self._threads - sum(queue.active for queue in self._in_order)

    def remember(self, authorization: str) -> None:
        """Remember accepted credentials; requests that already wait with them move to the known queue."""
        name = _hashed(authorization)
        if name not in self._credentials:
            self._promote(authorization)
        with self._memory:
            self._credentials[name] = None
            self._credentials.move_to_end(name)
            if len(self._credentials) > MAX_KNOWN:
                self._credentials.popitem(last=False)

    def _promote(self, authorization: str) -> None:
        with self.changed:
            waiting, self._unknown.waiting = self._unknown.waiting, deque()
            for channel in waiting:
                is_theirs = channel.requests[0].headers.get("AUTHORIZATION") == authorization
                (self.known if is_theirs else self._unknown).waiting.append(channel)
            self.changed.notify_all()

    def forget(self, authorization: str) -> None:
        """Forget credentials that the platform refused."""
        with self._memory:
            self._credentials.pop(_hashed(authorization), None)

    def _queue_of(self, request: Any) -> CallerQueue:
        if request.path in self._health:
            return self._health[request.path]
        authorization = request.headers.get("AUTHORIZATION")
        if not authorization:
            return self._anonymous
        return self.known if _hashed(authorization) in self._credentials else self._unknown


def _hashed(authorization: str) -> bytes:
    return hashlib.blake2b(authorization.encode("latin-1"), digest_size=16).digest()
