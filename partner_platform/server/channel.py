"""One connection, and how long it may wait for the rest of its request."""

import socket
import time
from contextlib import suppress
from typing import Any, cast

from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from partner_platform.core.web import acceptance, turning_away
from partner_platform.server import limits
from partner_platform.server.parser import Parser, RequestTimeout
from partner_platform.server.refusals import Refusal, TurnedAway
from partner_platform.server.request_queues import RequestQueues, Turn
from partner_platform.server.spelling import OwnSpelling


class ApplicationTask(OwnSpelling, WSGITask):
    """Runs the application for one request; a response to HEAD is sent without its body.

    Credentials that the application accepted are remembered, and refused ones forgotten (`request_queues`).
    """

    def execute(self) -> None:
        super().execute()
        if self.status.startswith("401") and self._authorization:
            self._queues.forget(self._authorization)

    def get_environment(self) -> dict[str, object]:
        environ: dict[str, Any] = super().get_environment()
        environ[acceptance.KEY] = self._accepted
        return environ

    def _accepted(self) -> None:
        if self._authorization:
            self._queues.remember(self._authorization)
            self.channel.turn.leave()

    @property
    def _authorization(self) -> str:
        return str(self.request.headers.get("AUTHORIZATION", ""))

    @property
    def _queues(self) -> RequestQueues:
        return cast(RequestQueues, self.channel.server.task_dispatcher.queue)

    def write(self, data: bytes) -> None:
        super().write(b"" if self._is_head else data)

    def finish(self) -> None:
        if self._is_head:
            if not self.wrote_header:
                self.write(b"")
            self.chunked_response = False  # no last chunk either
        super().finish()

    @property
    def _is_head(self) -> bool:
        return bool(self.request.command == "HEAD")


class Channel(HTTPChannel):
    """waitress closes idle connections; this one also ends those that send too slowly, and bounds every read.

    All but `service` runs on the thread that reads the connections. Times are Unix seconds, as waitress has them.
    """

    parser_class = Parser
    task_class = ApplicationTask
    error_task_class = Refusal

    request: Any = None  # the next request, as far as it has arrived
    is_new = True  # no request came yet
    turn: Turn  # by which it is being served
    linger = False  # the caller may still be sending what was refused
    lingering_until = 0.0
    thrown_away = 0

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.waiting_since = self.creation_time  # for the next request, or for the rest of this one

    def received(self, data: bytes) -> bool:
        """Take in what was read."""
        if self.lingering_until:
            self.thrown_away += len(data)
            self.will_close = self.thrown_away > limits.LINGER_BYTES
            return False
        before = self.request
        is_taken = bool(super().received(data))
        if self.is_turned_away:
            self.service()  # at once, on this thread
        if self.request is not before:
            self.waiting_since = time.time()
        self.is_new = self.is_new and not self.requests
        return is_taken

    def turn_away(self) -> bool:
        """Whether the complete request is refused before the application sees it. Call it once for each request."""
        request = self.requests[0]
        if request.error:
            return False
        meta = {f"HTTP_{name}": value for name, value in request.headers.items()}
        meta["REMOTE_ADDR"] = self.addr[0]
        refusal = turning_away.early_refusal(meta, "/" + request.path.lstrip("/"))
        request.error = refusal and TurnedAway(refusal)
        return self.is_turned_away

    @property
    def is_turned_away(self) -> bool:
        """Whether the request to be answered next is."""
        return bool(self.requests) and isinstance(self.requests[0].error, TurnedAway)

    def service(self) -> None:
        """Serve one request on a worker thread; on the reading thread where it is turned away."""
        super().service()
        self.waiting_since = time.time()

    def handle_close(self) -> None:
        """Close; but let a caller that was refused read why: to close on unread bytes would reset the connection."""
        if self.linger and self.will_close and self.connected:
            self.linger = self.will_close = False
            self.lingering_until = time.time() + limits.LINGER_SECONDS
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            return
        super().handle_close()

    @property
    def awaits_request(self) -> bool:
        """No request is being answered, and no answer on its way."""
        return not self.requests and not self.total_outbufs_len

    def is_overdue(self, now: float) -> bool:
        """Whether the caller has exceeded a time limit."""
        if self.lingering_until:
            return now > self.lingering_until
        if self.total_outbufs_len:
            return now - self.last_activity > limits.STALLED_SECONDS
        if self.requests:
            return False  # it waits for us
        has_begun = self.is_new or self.request is not None
        return self.has_waited(now, limits.REQUEST_SECONDS if has_begun else limits.KEEP_ALIVE_SECONDS)

    def has_waited(self, now: float, seconds: float) -> bool:
        """Whether we wait for a request, or for the rest of one, for longer than that."""
        return now - self.waiting_since > seconds

    def give_up(self) -> None:
        """End what is overdue: 408 where a request had begun."""
        if self.lingering_until or self.request is None or not self.awaits_request:
            self.will_close = True
            return
        with self.requests_lock:
            late, self.request = self.request, None
            late.error, late.completed = RequestTimeout("the request did not come whole"), True
            self.requests.append(late)
            self.server.add_task(self)
