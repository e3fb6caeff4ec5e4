"""Two endpoints of the one real node, each with faults of its own: it lags, stands still, is on the branch that a reorg
replaced, passes nothing on, or lies.

A fault sits between the platform's client and the node (`RpcEndpoint._post`), so that killed processes have it too. An
endpoint that lags or stands still answers as such a node does: it knows no later block, and has the logs, nonces and
states it had then. A lie is told once, of one kind at a time; what both endpoints said alike would be the truth to
anybody.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chain.rpc.clients import ChainClient
from chain.rpc.endpoints import Request, RpcEndpoint
from chain.rpc.errors import RpcError
from chain.rpc.health import Standing
from tests.fuzz.branches import UNKNOWN_BLOCK, Branch
from tests.support.chain import Chain

NAMES = ("first", "second")
NOTHING = "0x" + "00" * 32
Answer = Callable[[], Any]


@dataclass
class Node:
    """What one endpoint is like now."""

    lag: int = 0  # blocks
    stands_at: int | None = None
    swallows: bool = False
    lies: list[str] = field(default_factory=list)  # each is told once
    branch: Branch | None = None  # the one it is on still

    @property
    def is_well(self) -> bool:
        return not (self.lag or self.stands_at is not None or self.swallows or self.lies or self.branch)

    def heal(self) -> None:
        self.lag, self.stands_at, self.swallows, self.lies, self.branch = 0, None, False, [], None


class Nodes:
    """The two endpoints; `install` puts them before the node for as long as the process lives, or until `remove`."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._post = RpcEndpoint._post
        self.counts: Counter[str] = Counter()
        self.by_name = {name: Node() for name in NAMES}
        self.urls = [f"{chain.url}/?node={name}" for name in NAMES]

    def install(self) -> None:
        post, nodes = self._post, self

        def faulty(endpoint: RpcEndpoint, batch: list[Request], *args: Any) -> list[Any]:
            node = nodes.by_name.get(endpoint._url.rpartition("=")[2])
            if node is None or node.is_well:
                return post(endpoint, batch, *args)
            view = _View(node, nodes.newest_of(node), nodes.counts)
            nodes.counts["posts to an ill node"] += 1
            if node.branch is not None:
                nodes.counts["posts to a node on an old branch"] += 1
                branch, ask = node.branch, partial(_ask, post, endpoint)
                return [branch.answer(request, ask(request, *args)) for request in batch]
            return [view.answer(request, partial(_ask, post, endpoint, request, *args)) for request in batch]

        RpcEndpoint._post = faulty  # type: ignore[method-assign,assignment]

    def remove(self) -> None:
        RpcEndpoint._post = self._post  # type: ignore[method-assign]

    def checking_heads(self, check: Callable[..., None]) -> Callable[..., None]:
        """In place of `ChainClient.check_heads`: whenever it may say something new, and not in a thread beside, so that
        a history comes out the same each time.
        """

        def look(client: ChainClient, *, wait: bool = True) -> None:
            is_well = all(node.is_well for node in self.by_name.values())
            if is_well and all(one.standing == Standing.GOOD for one in client.health):
                return
            client._next_check = 0.0
            check(client, wait=True)

        return look

    def heal(self) -> None:
        for node in self.by_name.values():
            node.heal()

    def newest_of(self, node: Node) -> int:
        """The newest block that the endpoint knows of."""
        head = self._chain.block_number()
        return max(min(head - node.lag, head if node.stands_at is None else node.stands_at), 0)


def _ask(post: Callable[..., list[Any]], endpoint: RpcEndpoint, request: Request, *args: Any) -> Any:
    return post(endpoint, [request], *args)[0]


class _View:
    """One post to a node that knows the blocks up to `newest`."""

    def __init__(self, node: Node, newest: int, counts: Counter[str]) -> None:
        self._node = node
        self._newest = newest
        self._counts = counts

    def answer(self, request: Request, forward: Answer) -> Any:
        lie = next((lie for lie in self._node.lies if _METHOD[lie] == request.method), None)
        result = self._honestly(request, forward)
        if lie is None or result is None or isinstance(result, RpcError):
            return result
        told = _LIES[lie](result)
        if told != result:
            self._node.lies.remove(lie)
            self._counts[f"told {lie}"] += 1
        return told

    def _honestly(self, request: Request, forward: Answer) -> Any:
        method, params = request.method, request.params
        if method == "eth_blockNumber":
            return hex(self._newest)
        if method == "eth_sendRawTransaction" and self._node.swallows:
            return NOTHING
        if method in ("eth_getBlockByNumber", "eth_getTransactionCount", "eth_call", "eth_getBalance", "eth_getCode"):
            place = 0 if method == "eth_getBlockByNumber" else 1
            return self._at(params, place, forward, is_block=place == 0)
        if method == "eth_getLogs":
            return self._logs(params[0], forward)
        result = forward()
        if method == "eth_getTransactionReceipt" and result and int(result["blockNumber"], 16) > self._newest:
            return None
        return result

    def _at(self, params: list[Any], place: int, forward: Answer, *, is_block: bool) -> Any:
        asked = params[place] if len(params) > place else "latest"
        if asked in ("latest", "pending"):
            params[place:] = [hex(self._newest), *params[place + 1 :]]
            return forward()
        result = forward()
        if asked == "finalized":
            return result
        if isinstance(asked, str) and int(asked, 16) > self._newest:
            return None if is_block else UNKNOWN_BLOCK
        return result

    def _logs(self, query: dict[str, Any], forward: Answer) -> Any:
        if "blockHash" not in query:
            for name in ("fromBlock", "toBlock"):
                if query.get(name, "latest") != "latest" and int(query[name], 16) > self._newest:
                    query[name] = hex(self._newest)
        found = forward()
        if isinstance(found, RpcError):
            return found
        return [log for log in found if int(log["blockNumber"], 16) <= self._newest]


def _without_newest_logs(logs: list[Any]) -> list[Any]:
    newest = max((int(log["blockNumber"], 16) for log in logs), default=-1)
    return [log for log in logs if int(log["blockNumber"], 16) < newest]


_LIES: dict[str, Callable[[Any], Any]] = {
    "a higher nonce": lambda count: hex(int(count, 16) + 3),
    "a lower nonce": lambda count: hex(max(int(count, 16) - 1, 0)),
    "no receipt": lambda _: None,
    "a failed receipt": lambda receipt: {**receipt, "status": "0x0", "logs": []},
    "a receipt without its last log": lambda receipt: {**receipt, "logs": receipt["logs"][:-1]},
    "a receipt of another block": lambda receipt: {**receipt, "blockHash": "0x" + "ab" * 32},
    "no logs of the newest block": _without_newest_logs,
    "another block": lambda block: {**block, "hash": "0x" + "cd" * 32},
}
_METHOD = {
    "a higher nonce": "eth_getTransactionCount",
    "a lower nonce": "eth_getTransactionCount",
    "no receipt": "eth_getTransactionReceipt",
    "a failed receipt": "eth_getTransactionReceipt",
    "a receipt without its last log": "eth_getTransactionReceipt",
    "a receipt of another block": "eth_getTransactionReceipt",
    "no logs of the newest block": "eth_getLogs",
    "another block": "eth_getBlockByNumber",
}
LIES = tuple(_LIES)
