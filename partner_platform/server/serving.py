"""The server of one process: waitress's, with bounded waiting, room for new connections and a graceful end."""

import heapq
import socket
import threading
import time
from collections.abc import Callable, Iterable

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from partner_platform.server import limits
from partner_platform.server.channel import Channel
from partner_platform.server.polling import Watched
from partner_platform.server.request_queues import HEALTH_THREADS, RequestQueues

STEP_SECONDS = 1.0
DRAIN_STEP_SECONDS = 0.05
LAST_REQUEST_SECONDS = 1.0  # for the rest of a request that is on its way when the server ends
_OTHER_SOCKETS = 16  # the listening socket, the trigger, the line to the parent: not counted as connections


class WebServer(TcpWSGIServer):
    """Serves one listening socket, which other processes may serve too, until `stop` is called."""

    channel_class = Channel

    def __init__(self, application: object, listener: socket.socket, *, threads: int, connections: int) -> None:
        self._watched = Watched()
        self._stopping = False
        self._reading_thread: int | None = None
        self._connections = connections
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.queue = RequestQueues(threads, dispatcher.queue_cv)
        dispatcher.set_thread_count(threads + HEALTH_THREADS)
        super().__init__(
            application,
            map=self._watched,
            _sock=listener,
            dispatcher=dispatcher,
            adj=_adjustments(threads, connections),
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )

    def add_task(self, channel: Channel) -> None:
        """A request is complete: it waits for a worker thread, unless its caller is turned away.

        Where the one before it on the connection was answered, this is a worker's call, and the platform decides.
        """
        is_reading = threading.get_ident() == self._reading_thread
        if not (is_reading and channel.turn_away()):
            super().add_task(channel)

    def stop(self) -> None:
        """Have `serve` end; from a signal's handler too."""
        if not self._stopping:
            self._stopping = True
            self.pull_trigger()

    def serve(self, *, grace_seconds: float, each_step: Callable[[], None] = lambda: None) -> None:
        """Answer until `stop`; then take no new connection, and end when what was begun is answered."""
        self._reading_thread = threading.get_ident()
        while not self._stopping:
            each_step()
            self._watched.step(STEP_SECONDS)
        self.del_channel()
        self.socket.close()
        deadline = time.monotonic() + grace_seconds
        while self._finish_up() and time.monotonic() < deadline:
            each_step()
            self._watched.step(DRAIN_STEP_SECONDS)
        self.task_dispatcher.shutdown(timeout=1)
        self._watched.close()

    def maintenance(self, now: float) -> None:
        """Once a second: end connections that exceed a time limit."""
        self._end(channel for channel in self._channels() if channel.is_overdue(now))

    def handle_accept(self) -> None:
        """Take a connection; where there are too many, in place of those that have waited longest."""
        if len(self.active_channels) >= self._connections:
            waiting = (channel for channel in self._channels() if channel.awaits_request)
            oldest = heapq.nsmallest(
                max(1, self._connections // 16), waiting, key=lambda channel: channel.waiting_since
            )
            for channel in oldest:
                channel.handle_close()
        super().handle_accept()

    def _finish_up(self) -> bool:
        """Close the connections whose request has not come; whether any is still being answered."""
        now = time.time()
        self._end(
            channel
            for channel in self._channels()
            if channel.is_overdue(now) or (channel.awaits_request and channel.has_waited(now, LAST_REQUEST_SECONDS))
        )
        return bool(self.active_channels)

    def _end(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            channel.give_up()
            self._watched.ask_again(channel)

    def _channels(self) -> list[Channel]:
        return list(self.active_channels.values())


def _adjustments(threads: int, connections: int) -> Adjustments:
    return Adjustments(
        threads=threads,
        backlog=limits.BACKLOG,
        connection_limit=connections + _OTHER_SOCKETS,
        cleanup_interval=1,
        max_request_header_size=limits.MAX_HEAD_BYTES,
        max_request_body_size=limits.MAX_CHUNKED_BYTES,
        # Which proxies are believed is the application's to say, by networks: waitress knows a single address.
        clear_untrusted_proxy_headers=False,
        log_socket_errors=False,
        ident=None,
    )
