"""The execution of an operation is found again on the chain, however little of the logs a node shows at a time."""

from collections.abc import Callable
from typing import Any

import pytest

from chain.models import Operation, OperationState
from chain.settlement import adoption, driver
from tests.chain.book import Book
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

LOGS = "eth_getLogs"
OVERLOADED = -32005  # what some nodes call a range that is too wide


def settled_and_forgotten(book: Book, blocks_ago: int) -> Operation:
    """An operation that was executed so many blocks ago, and is queued as a backup of before has it."""
    book.borrow()
    driver.drive_once()
    book.settle()
    settled = Operation.objects.get()
    Operation.objects.update(
        state=OperationState.QUEUED, transaction=None, tx_hash="", block_number=None, block_hash=""
    )
    book.chain.mine(blocks_ago)
    return settled


def limit_the_range(proxy: RpcProxy, blocks: int, *, shows: bool = True, code: int = -32000) -> list[tuple[int, int]]:
    """A node that refuses more than so many blocks, and shows nothing unless it `shows`; what it did not refuse."""
    asked: list[tuple[int, int]] = []

    def answer(request: dict[str, Any], forward: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        (query,) = request["params"]
        start, end = int(query["fromBlock"], 16), query["toBlock"]
        if end == "latest" or int(end, 16) - start + 1 > blocks:
            return {"error": {"code": code, "message": f"query exceeds max block range {blocks}"}}
        asked.append((start, int(end, 16)))
        return forward() if shows else {"result": []}

    proxy._add(LOGS, answer, None)
    return asked


@pytest.mark.parametrize("code", [-32000, OVERLOADED])
def test_an_old_execution_is_found_in_windows_that_leave_no_block_out(
    book: Book, proxy: RpcProxy, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(adoption, "WINDOW_BLOCKS", 5)
    settled = settled_and_forgotten(book, blocks_ago=12)
    asked = limit_the_range(proxy, 5, code=code)
    driver.drive_once()
    head = book.chain.block_number()
    assert asked == [(head - 4, head), (head - 9, head - 5), (head - 14, head - 10)]
    adopted = Operation.objects.get()
    assert (adopted.state, adopted.tx_hash) == (OperationState.CONFIRMED, settled.tx_hash)
    assert (adopted.block_number, adopted.outcome_logs) == (settled.block_number, settled.outcome_logs)


def test_the_search_ends_at_the_first_block_of_the_chain(
    book: Book, proxy: RpcProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled_and_forgotten(book, blocks_ago=1)
    head = book.chain.block_number()
    window = head // 2 + 1
    monkeypatch.setattr(adoption, "WINDOW_BLOCKS", window)
    asked = limit_the_range(proxy, window, shows=False)
    driver.drive_once()
    assert asked == [(head - window + 1, head), (0, head - window)]
    assert Operation.objects.get().state == OperationState.NEEDS_REVIEW
    assert Operation.objects.get().reason == "the executor says it was executed, and no log of that was found"


def test_a_search_that_would_never_end_is_given_up_for_a_person(
    book: Book, proxy: RpcProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "WINDOW_BLOCKS", 2)
    monkeypatch.setattr(adoption, "MAX_WINDOWS", 3)
    settled_and_forgotten(book, blocks_ago=6)
    asked = limit_the_range(proxy, 2)
    driver.drive_once()
    assert len(asked) == 3
    assert Operation.objects.get().state == OperationState.NEEDS_REVIEW
