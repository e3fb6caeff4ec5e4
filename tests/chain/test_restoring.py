"""Every uid that the executor ran is read after a restore, in windows where a node limits the range."""

from types import SimpleNamespace
from typing import Any

import pytest

from chain.rpc.clients import ChainUnavailable, RpcError
from chain.settlement import restoring

EXECUTOR = "0x" + "e1" * 20
REFUSAL = RpcError(-32000, "query exceeds max block range")


def log(block: int, uid: int) -> dict[str, Any]:
    return {"blockNumber": hex(block), "topics": ["0x00", f"0x{uid:064X}"]}


class Nodes:
    """Two endpoints with an executor's logs, and an engine that asks them; `widest` blocks are the most in a query."""

    def __init__(self, *logs: list[dict[str, Any]], head: int, widest: int, newest: int | None = None) -> None:
        self._logs, self._head, self._widest = logs, head, widest
        self._newest = head if newest is None else newest
        self.asked: list[tuple[int, int]] = []
        self.renewed = 0
        self.engine: Any = SimpleNamespace(
            client=SimpleNamespace(everyone=self._everyone),
            lease=SimpleNamespace(renew_if_due=self._renew),
            require_head=lambda: SimpleNamespace(number=head),
        )

    def _renew(self) -> None:
        self.renewed += 1

    def _everyone(self, calls: list[tuple[str, list[Any]]]) -> list[list[Any]]:
        (_, [query]), (_, [last, _]) = calls
        start, end = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        assert query["address"] == EXECUTOR
        assert last == query["toBlock"]
        if end - start >= self._widest:
            return [[REFUSAL, {}]]
        self.asked.append((start, end))
        block = {"number": last} if end <= self._newest else None
        return [[[row for row in logs if start <= int(row["blockNumber"], 16) <= end], block] for logs in self._logs]


def test_windows_cover_every_block_up_to_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoring, "WINDOW_BLOCKS", 5)
    nodes = Nodes([log(0, 1), log(4, 2), log(5, 3), log(10, 10)], head=10, widest=5)
    assert restoring._executed_uids(nodes.engine, EXECUTOR) == [f"0x{uid:064x}" for uid in (1, 2, 3, 10)]
    assert nodes.asked == [(0, 4), (5, 9), (10, 10)]
    assert nodes.renewed == 3  # the lease lasts for as long as there are windows


def test_where_a_node_takes_the_whole_range_it_is_asked_once() -> None:
    nodes = Nodes([log(3, 1)], head=10, widest=100)
    assert restoring._executed_uids(nodes.engine, EXECUTOR) == [f"0x{1:064x}"]
    assert nodes.asked == [(0, 10)]


def test_what_one_endpoint_leaves_out_the_other_one_tells() -> None:
    nodes = Nodes([log(3, 1)], [log(3, 1), log(4, 2)], head=10, widest=100)
    assert restoring._executed_uids(nodes.engine, EXECUTOR) == [f"0x{uid:064x}" for uid in (1, 2)]


def test_an_endpoint_without_the_last_block_proves_nothing() -> None:
    nodes = Nodes([log(3, 1)], head=10, widest=100, newest=9)
    with pytest.raises(ChainUnavailable, match="An endpoint lags behind"):
        restoring._executed_uids(nodes.engine, EXECUTOR)
