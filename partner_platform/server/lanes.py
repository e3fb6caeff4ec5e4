"""In which order requests get a worker thread: those with known credentials first.

Strangers can send more requests than there are threads. Each of them costs time before it is refused, and partners
would wait behind all of them. So there are lanes, each with a bound on the threads that it takes:

    known      an `Authorization` that the platform accepted before, and has not refused since: all threads
    unknown    another `Authorization`: the first call of a key, or a wrong key
    anonymous  without one: public endpoints, pages, the console
    live, ready  the two questions for the service's health, each with a thread of its own that nothing else takes: by
               the answers somebody decides whether it is restarted, or gets calls. The second one waits for a database
               that does not answer, and the first must not wait with it

Of eight turns one goes to a stranger first, so that a new key gets in however busy the known ones are. A request that
finds its lane full is refused at once (503 `overloaded`), without the platform. Credentials are kept as hashes, by
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
STRANGERS_TURN = 8
UNKNOWN_WAITING, ANONYMOUS_WAITING = 512, 128  # the first may be one partner's, all at once, with its new key


class Overloaded(Error):
    code = 503
    reason = "Service Unavailable"


@dataclass
class Lane:
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
    """What a worker thread takes from the lanes: a connection to serve."""

    def __init__(self, lanes: "Lanes", lane: Lane, channel: Any) -> None:
        self._lanes, self._lane, self._channel = lanes, lane, channel

    def service(self) -> None:
        """Answer, then let the next one of the lane begin."""
        self._channel.turn = self
        try:
            self._channel.service()
        finally:
            self.end()

    def leave(self) -> None:
        """Take no thread of the lane any longer: a stranger that proved to be known goes on as one of those."""
        with self._lanes.changed:
            self._lane.active -= 1
            self._lane = self._lanes.known
            self._lane.active += 1
            self._lanes.changed.notify()

    def end(self) -> None:
        """The answer is made; the thread looks for the next one by itself."""
        with self._lanes.changed:
            self._lane.active -= 1

    def cancel(self) -> None:
        self._channel.cancel()


class Lanes:
    """The queue of waitress's dispatcher; its methods but `remember` and `forget` are called with its lock held."""

    def __init__(self, threads: int, changed: threading.Condition) -> None:
        self.changed = changed
        self.known = Lane(threads)
        self._unknown = Lane(min(UNKNOWN_THREADS, threads), UNKNOWN_WAITING)
        self._anonymous = Lane(min(ANONYMOUS_THREADS, threads), ANONYMOUS_WAITING)
        self._health = {path: Lane(1, ANONYMOUS_WAITING) for path in HEALTH_PATHS}
        self._threads = threads
        self._in_order = (self.known, self._unknown, self._anonymous)
        self._strangers_first = (self._unknown, self._anonymous, self.known)
        self._turns = 0
        self._credentials: OrderedDict[bytes, None] = OrderedDict()
        self._memory = threading.Lock()

    def __len__(self) -> int:
        """How many could begin now."""
        of_health = sum(lane.startable for lane in self._health.values())
        return of_health + min(sum(lane.startable for lane in self._in_order), self._free)

    def append(self, channel: Any) -> None:
        """A connection's request came whole."""
        request = channel.requests[0]
        lane = self.known if request.error else self._lane_of(request)
        if lane.is_full:
            request.error = Overloaded("more calls of strangers come than can be answered")
            lane = self.known
        lane.waiting.append(channel)

    def popleft(self) -> Turn:
        """Whose turn it is."""
        for lane in (*self._health.values(), *self._callers()):
            if lane.startable > 0:
                lane.active += 1
                return Turn(self, lane, lane.waiting.popleft())
        raise IndexError("nobody can begin")

    def _callers(self) -> tuple[Lane, ...]:
        """The other lanes, in the order of this turn; none where their threads are taken."""
        if not self._free:
            return ()
        self._turns += 1
        return self._strangers_first if self._turns % STRANGERS_TURN == 0 else self._in_order

    @property
    def _free(self) -> int:
        return self._threads - sum(lane.active for lane in self._in_order)

    def remember(self, authorization: str) -> None:
        """The platform accepted these credentials: those that wait with them go on as known ones."""
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
        """The platform refused them."""
        with self._memory:
            self._credentials.pop(_hashed(authorization), None)

    def _lane_of(self, request: Any) -> Lane:
        if request.path in self._health:
            return self._health[request.path]
        authorization = request.headers.get("AUTHORIZATION")
        if not authorization:
            return self._anonymous
        return self.known if _hashed(authorization) in self._credentials else self._unknown


def _hashed(authorization: str) -> bytes:
    return hashlib.blake2b(authorization.encode("latin-1"), digest_size=16).digest()
