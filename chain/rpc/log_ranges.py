"""Logs of a range of blocks, however little of it a node gives at once, with the evidence that it has them all.

Nodes limit `eth_getLogs` by blocks or by results, each with an error text of its own, and answer a range that is too
wide with an error or not at all. So whatever fails with more than one block is tried again with half as many; a range
that succeeds makes the next one wider.

A node that is behind answers with the logs it has, as if there were no more. So the headers of the range's newest
block, and of every block that is not final, are read in the same post: one that is missing, or that does not follow the
one before it, makes the range fail. Where a header's bloom filter says that a block may have logs of ours and none
came, every endpoint is asked for the logs of that very block.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chain.rpc import blooms
from chain.rpc.blooms import Filter
from chain.rpc.clients import ChainClient, ChainUnavailable, RpcError

logger = logging.getLogger(__name__)

FIRST_RANGE = 1_000
WIDEST_RANGE = 10_000
HEADERS_PER_POST = 200

Header = Mapping[str, Any]


@dataclass(frozen=True)
class LogRange:
    """The logs of the blocks `first` to `last` in the order of the chain, and headers by number."""

    first: int
    last: int
    logs: list[Any]
    headers: dict[int, Header]


@dataclass
class RangeReader:
    """Reads ranges with one client; remembers how much the node gives at once."""

    client: ChainClient
    filters: Sequence[Filter]
    width: int = FIRST_RANGE

    def read(self, first: int, last: int, *, headers_from: int) -> LogRange:
        """Logs from `first` on, as far as one answer goes and no further than `last`; headers from `headers_from` on,
        and of the range's last block.

        Raises `ChainUnavailable` where not even one block is answered.
        """
        while True:
            until = min(last, first + self.width - 1, max(first, headers_from) + HEADERS_PER_POST - 1)
            try:
                found = self._ask(first, until, headers_from)
            except (RpcError, ChainUnavailable) as error:
                if until == first:
                    raise ChainUnavailable(f"No logs of block {first}: {error}") from error
                self.width = max((until - first + 1) // 2, 1)
                logger.info("logs of %d to %d: %s; trying %d blocks", first, until, error, self.width)
                continue
            self.width = min(self.width * 2, WIDEST_RANGE)
            return self._with_missing(found)

    def _ask(self, first: int, last: int, headers_from: int) -> LogRange:
        numbers = sorted({*range(max(first, headers_from), last + 1), last})
        answers = self.client.batch([*log_calls(self.filters, first, last), *header_calls(numbers)])
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        headers = _chained(numbers, answers[len(self.filters) :])
        return LogRange(first, last, in_order(answers[: len(self.filters)]), headers)

    def _with_missing(self, found: LogRange) -> LogRange:
        """With the logs of blocks that must have some by their header, where none came and an endpoint has them."""
        with_logs = {log["blockHash"] for log in found.logs}
        doubtful = [
            header["hash"]
            for header in found.headers.values()
            if header["hash"] not in with_logs and blooms.may_match(header, self.filters)
        ]
        if not doubtful:
            return found
        missing = self._logs_of(doubtful)
        if missing:
            logger.warning("a node left out %d logs of blocks %d to %d", len(missing), found.first, found.last)
        return replace(found, logs=in_order([found.logs, missing]))

    def _logs_of(self, block_hashes: Sequence[str]) -> list[Any]:
        """What any endpoint has of these very blocks; one that does not have a block refuses."""
        calls = [("eth_getLogs", [{"blockHash": name, **wanted}]) for name in block_hashes for wanted in self.filters]
        answers = [answer for results in self.client.everyone(calls) for answer in results]
        return in_order([answer for answer in answers if not isinstance(answer, RpcError)])


def log_calls(filters: Sequence[Filter], first: int, last: int) -> list[tuple[str, list[Any]]]:
    """`eth_getLogs` of the range for each filter."""
    bounds = {"fromBlock": hex(first), "toBlock": hex(last)}
    return [("eth_getLogs", [{**bounds, **wanted}]) for wanted in filters]


def header_calls(numbers: Sequence[int]) -> list[tuple[str, list[Any]]]:
    """`eth_getBlockByNumber` of each height."""
    return [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]


def in_order(answers: Sequence[Sequence[Any]]) -> list[Any]:
    """The logs of several filters, each once, in the order of the chain."""
    logs = {(log["blockHash"], int(log["logIndex"], 16)): log for found in answers for log in found}
    return sorted(logs.values(), key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))


def _chained(numbers: Sequence[int], headers: Sequence[Header | None]) -> dict[int, Header]:
    """The headers by number. Raises `ChainUnavailable` where one is missing or is of another branch."""
    found: dict[int, Header] = {}
    for number, header in zip(numbers, headers, strict=True):
        if header is None:
            raise ChainUnavailable(f"The node has no block {number}")
        before = found.get(number - 1)
        if before is not None and header["parentHash"] != before["hash"]:
            raise ChainUnavailable("The chain moved while it was read")
        found[number] = header
    return found
