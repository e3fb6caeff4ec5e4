"""A node that has not heard of a reorg yet: it shows the blocks that were replaced, and none above them."""

from dataclasses import dataclass
from typing import Any

from chain.rpc.endpoints import Request
from chain.rpc.errors import RpcError
from tests.support.chain import Chain

UNKNOWN_BLOCK = RpcError(-32000, "unknown block")


@dataclass(frozen=True)
class Branch:
    """Blocks from `first` on as they were; what is below is on both branches."""

    first: int
    blocks: dict[int, dict[str, Any]]
    receipts: dict[str, dict[str, Any]]

    @classmethod
    def newest_of(cls, chain: Chain, depth: int) -> "Branch":
        """The newest blocks of the chain, to be remembered before they are replaced."""
        head = chain.block_number()
        numbers = range(head - depth + 1, head + 1)
        blocks = {number: chain.rpc("eth_getBlockByNumber", hex(number), False) for number in numbers}
        hashes = [tx_hash for block in blocks.values() for tx_hash in block["transactions"]]
        return cls(numbers.start, blocks, {name: chain.rpc("eth_getTransactionReceipt", name) for name in hashes})

    @property
    def head(self) -> int:
        return max(self.blocks)

    def answer(self, request: Request, result: Any) -> Any:
        """What it says where the node of today says `result`."""
        method, params = request.method, request.params
        if method == "eth_blockNumber":
            return hex(self.head)
        if method == "eth_getBlockByNumber":
            return self._block(str(params[0]), result)
        if method == "eth_getTransactionReceipt":
            is_below = bool(result) and int(result["blockNumber"], 16) < self.first
            return result if is_below else self.receipts.get(params[0])
        if method == "eth_getLogs":
            return self._logs(params[0], result)
        if method in ("eth_call", "eth_getTransactionCount", "eth_getBalance", "eth_getCode"):
            asked = str(params[1]) if len(params) > 1 else "latest"
            return result if asked.startswith("0x") and int(asked, 16) < self.first else UNKNOWN_BLOCK
        return result

    def _block(self, asked: str, result: Any) -> Any:
        if asked in ("latest", "pending"):
            return self.blocks[self.head]
        number = int(asked, 16) if asked.startswith("0x") else int(result["number"], 16)
        return result if number < self.first else self.blocks.get(number)

    def _logs(self, query: dict[str, Any], result: Any) -> Any:
        if isinstance(result, RpcError):
            return result
        mine = [log for receipt in self.receipts.values() for log in receipt["logs"] if _is_wanted(log, query)]
        shared = [log for log in result if int(log["blockNumber"], 16) < self.first]
        return sorted([*shared, *mine], key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))


def _is_wanted(log: dict[str, Any], query: dict[str, Any]) -> bool:
    if "blockHash" in query:
        is_there = log["blockHash"] == query["blockHash"]
    else:
        first, last = (_height(query.get(edge, "latest")) for edge in ("fromBlock", "toBlock"))
        is_there = first <= int(log["blockNumber"], 16) <= last
    addresses = query.get("address", log["address"])
    wanted = [addresses] if isinstance(addresses, str) else addresses
    return (
        is_there
        and log["address"].lower() in {address.lower() for address in wanted}
        and all(_fits(topic, asked) for topic, asked in zip(log["topics"], query.get("topics", []), strict=False))
    )


def _height(asked: str) -> int:
    return int(asked, 16) if asked.startswith("0x") else 2**63


def _fits(topic: str, asked: Any) -> bool:
    if asked is None:
        return True
    return topic.lower() in {one.lower() for one in ([asked] if isinstance(asked, str) else asked)}
