"""A JSON-RPC proxy before a real node, for faults on the way: it drops, delays, duplicates, refuses and rewrites.

A fault belongs to a method and happens `times` times (None: for ever). Faults of the connection hit the whole post in
which the method stands, as they do in life; faults of an answer hit that answer only.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests

Handler = Callable[[dict[str, Any], Callable[[], dict[str, Any]]], dict[str, Any]]


class ConnectionLost(Exception):
    """The client gets no answer at all."""


class HttpStatus(Exception):
    """The client gets a bare HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


@dataclass
class Fault:
    """What happens to calls of `method`, and how often still."""

    method: str
    handle: Handler
    times: int | None


class RpcProxy:
    """Use as a context manager; `url` is what the client is given."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session = requests.Session()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.received: Counter[str] = Counter()  # calls that reached the proxy, by method
        self.forwarded: Counter[str] = Counter()  # calls that reached the node
        self.posts = 0
        self.on_call: Callable[[str, list[Any]], None] = lambda _method, _params: None  # before anything else
        proxy = self

        class RequestHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body leave in one segment: in two, the client's delayed acknowledgement costs 40 ms a post.
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                proxy._serve(self)

            def log_message(self, *_: Any) -> None:
                """Silence: the tests' output is theirs."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), RequestHandler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._session.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def heal(self) -> None:
        """No more faults."""
        with self._lock:
            self._faults.clear()

    def lose_answer(self, method: str, *, times: int | None = 1) -> None:
        """The node does it, and the connection breaks before the answer."""

        def handle(_: dict[str, Any], forward: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            forward()
            raise ConnectionLost

        self._add(method, handle, times)

    def drop(self, method: str, *, times: int | None = 1) -> None:
        """The connection is reset before the node hears of it."""

        def handle(*_: Any) -> dict[str, Any]:
            raise ConnectionLost

        self._add(method, handle, times)

    def answer_status(self, method: str, status: int, *, times: int | None = 1) -> None:
        """A bare HTTP status instead of an answer; the node hears nothing."""

        def handle(*_: Any) -> dict[str, Any]:
            raise HttpStatus(status)

        self._add(method, handle, times)

    def refuse(self, method: str, message: str, *, times: int | None = 1, code: int = -32000) -> None:
        """A JSON-RPC error instead of an answer; the node hears nothing."""
        self._add(method, lambda *_: {"error": {"code": code, "message": message}}, times)

    def check(self, method: str, rule: Callable[[list[Any]], str | None], *, times: int | None = None) -> None:
        """Refuse with the message that `rule(params)` returns; forward where it returns None."""

        def handle(request: dict[str, Any], forward: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            message = rule(request["params"])
            return forward() if message is None else {"error": {"code": -32000, "message": message}}

        self._add(method, handle, times)

    def meddle(self, method: str, change: Callable[[list[Any]], None], *, times: int | None = 1) -> None:
        """The node is asked something else: `change` alters the parameters on their way."""

        def handle(request: dict[str, Any], forward: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            change(request["params"])
            return forward()

        self._add(method, handle, times)

    def rewrite(self, method: str, change: Callable[[Any], Any], *, times: int | None = 1) -> None:
        """The node's result, changed."""

        def handle(_: dict[str, Any], forward: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            answer = forward()
            return {"result": change(answer["result"])} if "result" in answer else answer

        self._add(method, handle, times)

    def swallow(self, method: str, result: Any, *, times: int | None = 1) -> None:
        """The client is told `result`; the node hears nothing."""
        self._add(method, lambda *_: {"result": result}, times)

    def duplicate(self, method: str, *, times: int | None = 1) -> None:
        """The node gets it twice; the second answer is the one that arrives."""

        def handle(_: dict[str, Any], forward: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            forward()
            return forward()

        self._add(method, handle, times)

    def delay(self, method: str, seconds: float, *, times: int | None = 1) -> None:
        """The node answers late."""

        def handle(_: dict[str, Any], forward: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            answer = forward()
            threading.Event().wait(seconds)  # the delay is the fault
            return answer

        self._add(method, handle, times)

    def _add(self, method: str, handle: Handler, times: int | None) -> None:
        with self._lock:
            self._faults.append(Fault(method, handle, times))

    def _take_fault(self, method: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.method == method and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    def _serve(self, http: BaseHTTPRequestHandler) -> None:
        body = json.loads(http.rfile.read(int(http.headers["Content-Length"])))
        self.posts += 1
        try:
            answers = [self._answer(request) for request in (body if isinstance(body, list) else [body])]
        except ConnectionLost:
            http.close_connection = True
            http.connection.close()
            return
        except HttpStatus as fault:
            http.send_response(fault.status)
            http.send_header("Content-Length", "0")
            http.end_headers()
            return
        content = json.dumps(answers if isinstance(body, list) else answers[0]).encode()
        http.send_response(200)
        http.send_header("Content-Type", "application/json")
        http.send_header("Content-Length", str(len(content)))
        http.end_headers()
        http.wfile.write(content)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        method = request["method"]
        self.received[method] += 1
        self.on_call(method, request["params"])
        fault = self._take_fault(method)
        answer = self._forward(request) if fault is None else fault.handle(request, lambda: self._forward(request))
        return {"jsonrpc": "2.0", "id": request["id"], **{k: v for k, v in answer.items() if k in ("result", "error")}}

    def _forward(self, request: dict[str, Any]) -> dict[str, Any]:
        self.forwarded[request["method"]] += 1
        answer: dict[str, Any] = self._session.post(self._upstream, json=request, timeout=30).json()
        return answer
