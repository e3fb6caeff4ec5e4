"""One RPC endpoint: a post, its time-out, the check of its answer, and a rest after a failure."""

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import urllib3

from chain.metrics import endpoint_label
from chain.rpc.errors import RpcError
from chain.rpc.health import EndpointHealth

CONNECT_TIMEOUT_SECONDS = 2.0
REST_SECONDS = 5.0
_HEADERS = {"Content-Type": "application/json"}
# Rate limits arrive as JSON-RPC errors too; such an answer says nothing about the call.
_OVERLOADED_CODES = frozenset({-32005, 429})


class EndpointFailed(Exception):
    """This endpoint gave no usable answer; another may. The message names no URL: URLs carry keys."""

    def __init__(self, message: str, *, is_wrong_chain: bool = False, is_silence: bool = False) -> None:
        super().__init__(message)
        self.is_wrong_chain = is_wrong_chain
        self.is_silence = is_silence  # nothing came within the time-out


@dataclass(frozen=True)
class Request:
    """One JSON-RPC request."""

    id: int
    method: str
    params: list[Any]

    def body(self) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": self.id, "method": self.method, "params": self.params}


class RpcEndpoint:
    """A node behind one URL."""

    def __init__(self, *, url: str, pool: urllib3.PoolManager, timeout: float, chain_id: int) -> None:
        self._url = url
        self._pool = pool
        self._timeout = _patience(timeout)
        self._chain_id = chain_id
        self._is_verified = False
        self._rests_until = 0.0
        self.health = EndpointHealth(endpoint_label(url))

    @property
    def is_resting(self) -> bool:
        """True for a while after a failure: others are asked first."""
        return time.monotonic() < self._rests_until

    def post(self, batch: list[Request], *, timeout: float | None = None) -> list[Any]:
        """The results in the order of `batch`, an `RpcError` where one was refused; `EndpointFailed` without a usable
        answer. `timeout` in seconds, in place of the endpoint's own.
        """
        patience = self._timeout if timeout is None else _patience(timeout)
        question = frozenset(request.method for request in batch)
        try:
            results = self._verified_post(batch, patience)
        except EndpointFailed:
            self.health.failed(question)
            raise
        self.health.answered(question)
        return results

    def look(self, request: Request, *, timeout: float) -> object:
        """The result of a question beside the work, with a time-out of its own in seconds; whether it is answered says
        nothing about the endpoint's silence.
        """
        [result] = self._verified_post([request], urllib3.Timeout(connect=timeout, read=timeout))
        return result

    def _verified_post(self, batch: list[Request], patience: urllib3.Timeout) -> list[object]:
        """The chain id is checked before the first use, and again after each failure: what answers may be another node
        now.
        """
        if not self._is_verified:
            self._verify(patience)
        return self._post(batch, patience)

    def _verify(self, patience: urllib3.Timeout) -> None:
        [answer] = self._post([Request(0, "eth_chainId", [])], patience)
        found = None if isinstance(answer, RpcError) else _as_int(answer)
        if found != self._chain_id:
            raise self._failed(f"it serves chain {found}, not {self._chain_id}", is_wrong_chain=True)
        self._is_verified = True

    def _post(self, batch: list[Request], patience: urllib3.Timeout) -> list[object]:
        body: Any = batch[0].body() if len(batch) == 1 else [request.body() for request in batch]
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=json.dumps(body),
                headers=_HEADERS,
                timeout=patience,
                retries=False,  # a send that got no answer is never posted again by itself
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._failed(type(error).__name__, is_silence=_is_silence(error)) from error
        if response.status != HTTPStatus.OK:
            raise self._failed(f"HTTP {response.status}")
        try:
            answer = json.loads(response.data)
        except (ValueError, RecursionError) as error:
            raise self._failed("not JSON") from error
        return self._in_order(batch, answer if isinstance(answer, list) else [answer])

    def _in_order(self, batch: list[Request], answers: list[object]) -> list[object]:
        by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
        if any(request.id not in by_id for request in batch):
            raise self._failed("answers are missing")
        return [self._result(by_id[request.id]) for request in batch]

    def _result(self, answer: dict[str, object]) -> object:
        error = answer.get("error")
        if error is None:
            return answer.get("result")
        if not isinstance(error, dict):
            return RpcError(0, str(error))
        code = _as_int(error.get("code")) or 0
        if code in _OVERLOADED_CODES:
            raise self._failed("overloaded")
        return RpcError(code, str(error.get("message", "")), error.get("data"))

    def _failed(self, what: str, **kind: bool) -> EndpointFailed:
        self._is_verified = False
        self._rests_until = time.monotonic() + REST_SECONDS
        return EndpointFailed(f"RPC endpoint {self.health.name}: {what}", **kind)


def _is_silence(error: Exception) -> bool:
    # A refused connection is a time-out too, by urllib3's class: nobody had to wait for it.
    is_refused = isinstance(error, urllib3.exceptions.NewConnectionError)
    return isinstance(error, urllib3.exceptions.TimeoutError) and not is_refused


def _patience(seconds: float) -> urllib3.Timeout:
    return urllib3.Timeout(connect=min(CONNECT_TIMEOUT_SECONDS, seconds), read=seconds)


def _as_int(value: Any) -> int | None:
    try:
        return int(value, 16) if isinstance(value, str) else int(value)
    except (TypeError, ValueError):
        return None
