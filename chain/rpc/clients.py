"""JSON-RPC to the chain: several endpoints, time-outs, one post per batch, and no send that repeats itself.

Reads fail over: the first endpoint that answers is used; one that failed is skipped for a while, one that lags is
asked last (`chain.rpc.health`). What a single wrong node could spoil is concluded from the answers of every endpoint.
An endpoint is used only after it named our chain id. A send goes to every endpoint, because one may take it and pass it
on to none; the caller gets each answer. web3's HTTPProvider posts a send again by itself after a time-out, so requests
are made here, and web3 works over this client (`chain.rpc.provider`).

While an HTTP request of a partner is served, an endpoint has a shorter time to answer; after none of them answered in
time, further readings fail at once for a second instead of waiting one after the other.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from typing import Any, TypeVar

import urllib3
from django.conf import settings

from chain.rpc import health
from chain.rpc.endpoints import EndpointFailed, Request, RpcEndpoint
from chain.rpc.errors import RpcError, SendClass, classify, combine
from chain.rpc.health import EndpointHealth
from partner_platform.core import clock, context
from partner_platform.core.errors import ErrorCode, Unavailable

__all__ = ["ChainClient", "ChainUnavailable", "RpcError", "SendAnswer", "WrongChain", "get_client"]

logger = logging.getLogger(__name__)
T = TypeVar("T")
RpcCall = tuple[str, Sequence[Any]]

CHECK_SECONDS = 1.0  # so often the heads of several endpoints are compared
CHECK_TIMEOUT_SECONDS = 1.0
SILENCE_SECONDS = 1.0  # so long no request waits again after all endpoints were silent


class ChainUnavailable(Unavailable):
    """No endpoint answered; nothing is known about the chain, nothing was decided."""

    def __init__(self, message: str = "The chain cannot be reached") -> None:
        super().__init__(ErrorCode.CHAIN_UNAVAILABLE, message)


class WrongChain(ChainUnavailable):
    """Every endpoint that answered serves another chain than ours: nothing is read from it or signed for it."""


class SendAnswer:
    """What the endpoints said to one signed transaction: the combined `meaning`, and the words of the first refusal."""

    def __init__(self) -> None:
        self._meanings: list[SendClass] = []
        self._refusal = ""
        self._failure = ""

    def accepted(self) -> None:
        """One endpoint took it."""
        self._meanings.append(SendClass.ACCEPTED)

    def refused(self, message: str) -> None:
        """One endpoint answered with an error: "already known" is one too, and no refusal."""
        meaning = classify(message)
        self._meanings.append(meaning)
        if meaning != SendClass.ALREADY_KNOWN:
            self._refusal = self._refusal or message

    def failed(self, failure: str) -> None:
        """One endpoint gave no answer."""
        self._meanings.append(SendClass.UNKNOWN)
        self._failure = self._failure or failure

    @property
    def error(self) -> str:
        """A node's own words, also where another one took it; else, where none took it, how a connection failed."""
        return self._refusal or ("" if self.is_settled else self._failure)

    @property
    def meaning(self) -> SendClass:
        return combine(self._meanings)

    @property
    def is_settled(self) -> bool:
        """True where asking another endpoint cannot improve the answer."""
        return self.meaning in (SendClass.ACCEPTED, SendClass.ALREADY_KNOWN)


class ChainClient:
    """All the project's traffic with the chain's nodes. Safe to share between threads."""

    def __init__(
        self, *, urls: Sequence[str], chain_id: int, timeout: float, request_timeout: float | None = None
    ) -> None:
        self.chain_id = chain_id
        self._request_timeout = request_timeout
        self._silent_until = 0.0
        pool = urllib3.PoolManager(num_pools=8, maxsize=64)
        self._endpoints = [RpcEndpoint(url=url, pool=pool, timeout=timeout, chain_id=chain_id) for url in urls]
        self._ids = itertools.count(1)
        self._id_lock = threading.Lock()
        self._next_check = 0.0

    def call(self, method: str, params: Sequence[object] = ()) -> Any:
        """The result of one call. Raises `RpcError` where the node refuses, `ChainUnavailable` where none answers."""
        result = self.batch([(method, params)])[0]
        if isinstance(result, RpcError):
            raise result
        return result

    def batch(self, calls: Sequence[RpcCall]) -> list[Any]:
        """The results of several calls from one endpoint in one HTTP post, in order; an `RpcError` where one was
        refused.
        """
        if not calls:
            return []
        timeout = self._timeout()
        return self._first_answer(lambda endpoint: endpoint.post(self._requests(calls), timeout=timeout))

    def everywhere(self, method: str, params: Sequence[object] = ()) -> list[Any]:
        """What each reachable endpoint answers to the same call, refusals left out; `ChainUnavailable` where none is
        reachable.
        """
        heard = self._each([(method, params)])
        answers = [results[0] for results in heard if not isinstance(results, EndpointFailed)]
        if not answers:
            raise self._unavailable([failure for failure in heard if isinstance(failure, EndpointFailed)])
        return [answer for answer in answers if not isinstance(answer, RpcError)]

    def everyone(self, calls: Sequence[RpcCall]) -> list[list[Any]]:
        """The results of the same post from every endpoint, an `RpcError` where a call was refused.

        For what a single wrong node could spoil. An endpoint is left out only where `chain.rpc.health` found that its
        head does not advance or is far behind, or that it has not answered for long. Raises `ChainUnavailable` where
        any other does not answer now: nothing can be concluded yet.
        """
        heard: list[list[Any]] = []
        failures: list[EndpointFailed] = []
        for endpoint, results in zip(self._endpoints, self._each(calls), strict=True):
            if isinstance(results, EndpointFailed):
                failures += [results] if endpoint.health.is_waited_for else []
            elif endpoint.health.is_heard:
                heard.append(results)
        if not heard:
            raise self._unavailable(failures)
        if failures:
            raise ChainUnavailable(f"Nothing is concluded: {failures[0]}")
        return heard

    def send_raw(self, raws: Sequence[str]) -> list[SendAnswer]:
        """Send signed transactions (0x-hex) in order: one post to every endpoint, all at once. Never raises.

        Nothing here is repeated: what was not answered is UNKNOWN, and resending is the caller's decision. Endpoints
        that failed a moment ago are asked only where no other takes it.
        """
        answers = [SendAnswer() for _ in raws]
        rested = [endpoint for endpoint in self._endpoints if not endpoint.is_resting]
        self._send_to(rested, raws, answers)
        if not all(answer.is_settled for answer in answers):
            self._send_to([endpoint for endpoint in self._endpoints if endpoint not in rested], raws, answers)
        return answers

    def check_heads(self, *, wait: bool = True) -> None:
        """Compare the endpoints' newest blocks, once a second at most; nothing where there is only one endpoint."""
        if len(self._endpoints) < 2 or time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + CHECK_SECONDS
        asked = [self._threads.submit(self._ask_head, endpoint) for endpoint in self._endpoints]
        if wait:
            for answer in asked:
                answer.result()
            health.compare(self.health)

    @property
    def has_several_endpoints(self) -> bool:
        return len(self._endpoints) > 1

    @property
    def health(self) -> list[EndpointHealth]:
        """The health of each endpoint, in the order of the settings."""
        return [endpoint.health for endpoint in self._endpoints]

    def block_number(self) -> int:
        """The number of the newest block."""
        self.check_heads()
        return int(self.call("eth_blockNumber"), 16)

    def eth_call(self, to: str, data: str, block: str | int = "latest") -> str:
        """The 0x-hex return data of a view call at `block` (a tag or a number)."""
        at = hex(block) if isinstance(block, int) else block
        return str(self.call("eth_call", [{"to": to, "data": data}, at]))

    def _send_to(self, endpoints: Sequence[RpcEndpoint], raws: Sequence[str], answers: Sequence[SendAnswer]) -> None:
        calls: list[RpcCall] = [("eth_sendRawTransaction", [raw]) for raw in raws]
        for results in self._ask_all(endpoints, calls):
            for index, answer in enumerate(answers):
                result = results if isinstance(results, EndpointFailed) else results[index]
                if isinstance(result, EndpointFailed):
                    answer.failed(str(result))
                elif isinstance(result, RpcError):
                    answer.refused(result.message)
                else:
                    answer.accepted()

    def _each(self, calls: Sequence[RpcCall]) -> list[list[Any] | EndpointFailed]:
        """What each endpoint answers to the same post, in the order of the settings."""
        self._refuse_in_silence()
        answers = self._ask_all(self._endpoints, calls)
        health.compare(self.health)
        return answers

    def _ask_all(self, endpoints: Sequence[RpcEndpoint], calls: Sequence[RpcCall]) -> list[list[Any] | EndpointFailed]:
        timeout = self._timeout()

        def ask(endpoint: RpcEndpoint) -> list[Any] | EndpointFailed:
            try:
                return endpoint.post(self._requests(calls), timeout=timeout)
            except EndpointFailed as failure:
                return failure

        if len(endpoints) < 2:
            return [ask(endpoint) for endpoint in endpoints]
        return list(self._threads.map(ask, endpoints))

    def _ask_head(self, endpoint: RpcEndpoint) -> None:
        """Its newest block, and that block's age unless its health is good: only an old head may be left out."""
        if endpoint.is_resting:
            return
        is_well = endpoint.health.standing == health.Standing.GOOD
        asked: RpcCall = ("eth_blockNumber", []) if is_well else ("eth_getBlockByNumber", ["latest", False])
        try:
            newest = endpoint.look(self._requests([asked])[0], timeout=CHECK_TIMEOUT_SECONDS)
        except EndpointFailed:
            return
        if isinstance(newest, str):
            endpoint.health.has_head(int(newest, 16))
        elif isinstance(newest, dict):
            age = clock.now().timestamp() - int(newest["timestamp"], 16)
            endpoint.health.has_head(int(newest["number"], 16), age=age)
        health.compare(self.health)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        """For posts to several endpoints at once; with one endpoint there are none."""
        return ThreadPoolExecutor(max_workers=4 * len(self._endpoints), thread_name_prefix="rpc")

    def _first_answer(self, ask: Callable[[RpcEndpoint], T]) -> T:
        self._refuse_in_silence()
        self.check_heads(wait=False)
        failures = []
        for endpoint in self._by_health():
            try:
                return ask(endpoint)
            except EndpointFailed as failure:
                failures.append(failure)
                logger.warning("%s", failure)
        health.compare(self.health)
        raise self._unavailable(failures)

    def _timeout(self) -> float | None:
        """Seconds that an endpoint has to answer; None: its own time-out."""
        return self._request_timeout if context.is_serving() else None

    def _refuse_in_silence(self) -> None:
        if context.is_serving() and time.monotonic() < self._silent_until:
            raise ChainUnavailable

    def _unavailable(self, failures: Sequence[EndpointFailed]) -> ChainUnavailable:
        if failures and all(failure.is_silence for failure in failures):
            self._silent_until = time.monotonic() + SILENCE_SECONDS
        if failures and all(failure.is_wrong_chain for failure in failures):
            return WrongChain(f"No endpoint serves chain {self.chain_id}")
        return ChainUnavailable()

    def _by_health(self) -> list[RpcEndpoint]:
        """Those that answer and are up to date first; among equals the order of the settings."""
        return sorted(
            self._endpoints,
            key=lambda endpoint: (endpoint.is_resting, endpoint.health.standing != health.Standing.GOOD),
        )

    def _requests(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Request]:
        with self._id_lock:
            return [Request(next(self._ids), method, list(params)) for method, params in calls]


@cache
def get_client() -> ChainClient:
    """The process's client, from the settings `CHAIN_RPC_URLS`, `CHAIN_ID` and `CHAIN_…_TIMEOUT_SECONDS`."""
    return ChainClient(
        urls=settings.CHAIN_RPC_URLS,
        chain_id=settings.CHAIN_ID,
        timeout=settings.CHAIN_RPC_TIMEOUT_SECONDS,
        request_timeout=settings.CHAIN_REQUEST_TIMEOUT_SECONDS,
    )
