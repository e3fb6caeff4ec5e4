"""Logs of a range of blocks, however little of it a node gives at once.

Nodes limit `eth_getLogs` by blocks or by results, each in its own words, and answer a range that is too wide with an
error or not at all. So whatever goes wrong with more than one block is tried again with half as many; a range that went
well makes the next one wider.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chain.clients import ChainClient, ChainUnavailable, RpcError

logger = logging.getLogger(__name__)

FIRST_RANGE = 1_000
WIDEST_RANGE = 10_000

Filter = dict[str, Any]  # address and topics of eth_getLogs


@dataclass
class RangeReader:
    """Reads ranges with one client; remembers how much the node gives at once."""

    client: ChainClient
    filters: Sequence[Filter]
    width: int = FIRST_RANGE
    narrowed: int = field(default=0, init=False)

    def read(
        self, first: int, last: int, extra: Sequence[tuple[str, list[Any]]] = ()
    ) -> tuple[int, list[Any], list[Any]]:
        """Logs from `first` on, as far as one answer goes and no further than `last`.

        Answers the last block read, the logs in order, and the results of `extra`, from the same post. Raises
        `ChainUnavailable` where not even one block is answered.
        """
        while True:
            until = min(last, first + self.width - 1)
            try:
                logs, results = self._ask(first, until, extra)
            except (RpcError, ChainUnavailable) as error:
                if until == first:
                    raise ChainUnavailable(f"No logs of block {first}: {error}") from error
                self.width = max((until - first + 1) // 2, 1)
                self.narrowed += 1
                logger.info("logs of %d to %d: %s; trying %d blocks", first, until, error, self.width)
                continue
            self.width = min(self.width * 2, WIDEST_RANGE)
            return until, logs, results

    def _ask(self, first: int, last: int, extra: Sequence[tuple[str, list[Any]]]) -> tuple[list[Any], list[Any]]:
        bounds = {"fromBlock": hex(first), "toBlock": hex(last)}
        answers = self.client.batch([*[("eth_getLogs", [{**bounds, **chosen}]) for chosen in self.filters], *extra])
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        logs = {
            (log["blockHash"], int(log["logIndex"], 16)): log for found in answers[: len(self.filters)] for log in found
        }
        in_order = sorted(logs.values(), key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))
        return in_order, answers[len(self.filters) :]
