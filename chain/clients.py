"""JSON-RPC to the chain: several endpoints, time-outs, one post per batch, and no send that repeats itself.

Reads fail over: the first endpoint that answers is believed, one that failed rests for a while. An endpoint is used
only after it named our chain id. A send goes out once per endpoint, until one takes it, and every answer is handed to
the caller. web3's HTTPProvider re-posts sends after a time-out by itself, so requests are made here.
"""

import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import urllib3
from django.conf import settings

from chain.endpoints import Endpoint, EndpointFailed, Request
from chain.rpc_errors import RpcError, SendClass, classify, combine
from partner_platform.core.errors import ErrorCode, Unavailable

__all__ = ["ChainClient", "ChainUnavailable", "RpcError", "SendAnswer", "WrongChain", "get_client"]

logger = logging.getLogger(__name__)
T = TypeVar("T")


class ChainUnavailable(Unavailable):
    """No endpoint answered; nothing is known about the chain, nothing was decided."""

    def __init__(self, message: str = "The chain cannot be reached") -> None:
        super().__init__(ErrorCode.CHAIN_UNAVAILABLE, message)


class WrongChain(ChainUnavailable):
    """Every endpoint that answered serves another chain than ours: nothing is read from it or signed for it."""


class SendAnswer:
    """What the endpoints said to one signed transaction: the combined `meaning`, the text of the first refusal."""

    def __init__(self) -> None:
        self._meanings: list[SendClass] = []
        self.error = ""

    def add(self, meaning: SendClass, error: str = "") -> None:
        """Take one endpoint's answer in."""
        self._meanings.append(meaning)
        self.error = self.error or error

    @property
    def meaning(self) -> SendClass:
        return combine(self._meanings)

    @property
    def is_settled(self) -> bool:
        """True where asking another endpoint cannot better the answer."""
        return self.meaning in (SendClass.ACCEPTED, SendClass.ALREADY_KNOWN)


class ChainClient:
    """All the project's traffic with the chain's nodes. Safe to share between threads."""

    def __init__(self, *, urls: Sequence[str], chain_id: int, timeout: float) -> None:
        self.chain_id = chain_id
        pool = urllib3.PoolManager(num_pools=8, maxsize=64)
        self._endpoints = [Endpoint(url=url, pool=pool, timeout=timeout, chain_id=chain_id) for url in urls]
        self._ids = itertools.count(1)
        self._id_lock = threading.Lock()

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        """The result of one call. Raises `RpcError` where the node refuses, `ChainUnavailable` where none answers."""
        result = self.batch([(method, params)])[0]
        if isinstance(result, RpcError):
            raise result
        return result

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The results of several calls from one endpoint in one HTTP post, in order; an `RpcError` where one was
        refused.
        """
        if not calls:
            return []
        return self._first_answer(lambda endpoint: endpoint.post(self._requests(calls)))

    def everywhere(self, method: str, params: Sequence[Any] = ()) -> list[Any]:
        """What each reachable endpoint answers to the same call, refusals left out; `ChainUnavailable` where none is
        reachable.

        For conclusions that one lagging or forked node must not be believed in alone.
        """
        answers: list[Any] = []
        reachable = 0
        for endpoint in self._endpoints:
            try:
                answer = endpoint.post(self._requests([(method, params)]))[0]
            except EndpointFailed:
                continue
            reachable += 1
            if not isinstance(answer, RpcError):
                answers.append(answer)
        if not reachable:
            raise ChainUnavailable
        return answers

    def send_raw(self, raws: Sequence[str]) -> list[SendAnswer]:
        """Send signed transactions (0x-hex) in order: one post per endpoint, until each is taken by one. Never raises.

        Nothing here is repeated: what was not answered is UNKNOWN, and resending is the caller's decision.
        """
        answers = [SendAnswer() for _ in raws]
        for endpoint in self._by_health():
            open_ones = [index for index, answer in enumerate(answers) if not answer.is_settled]
            if not open_ones:
                break
            self._send_to(endpoint, [(raws[index], answers[index]) for index in open_ones])
        return answers

    def block_number(self) -> int:
        """The number of the newest block."""
        return int(self.call("eth_blockNumber"), 16)

    def eth_call(self, to: str, data: str, block: str | int = "latest") -> str:
        """The 0x-hex return data of a view call at `block` (a tag or a number)."""
        at = hex(block) if isinstance(block, int) else block
        return str(self.call("eth_call", [{"to": to, "data": data}, at]))

    def _send_to(self, endpoint: Endpoint, sends: list[tuple[str, SendAnswer]]) -> None:
        try:
            results = endpoint.post(self._requests([("eth_sendRawTransaction", [raw]) for raw, _ in sends]))
        except EndpointFailed as failure:
            for _, answer in sends:
                answer.add(SendClass.UNKNOWN, str(failure))
            return
        for (_, answer), result in zip(sends, results, strict=True):
            if isinstance(result, RpcError):
                answer.add(classify(result.message), result.message)
            else:
                answer.add(SendClass.ACCEPTED)

    def _first_answer(self, ask: Callable[[Endpoint], T]) -> T:
        failures = []
        for endpoint in self._by_health():
            try:
                return ask(endpoint)
            except EndpointFailed as failure:
                failures.append(failure)
                logger.warning("%s", failure)
        if failures and all(failure.is_wrong_chain for failure in failures):
            raise WrongChain(f"No endpoint serves chain {self.chain_id}")
        raise ChainUnavailable

    def _by_health(self) -> list[Endpoint]:
        return sorted(self._endpoints, key=lambda endpoint: endpoint.is_resting)

    def _requests(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Request]:
        with self._id_lock:
            return [Request(next(self._ids), method, list(params)) for method, params in calls]


@cache
def get_client() -> ChainClient:
    """The process's client, from the settings `CHAIN_RPC_URLS`, `CHAIN_ID`, `CHAIN_RPC_TIMEOUT_SECONDS`."""
    return ChainClient(
        urls=settings.CHAIN_RPC_URLS, chain_id=settings.CHAIN_ID, timeout=settings.CHAIN_RPC_TIMEOUT_SECONDS
    )
