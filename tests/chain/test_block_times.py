"""When the blocks of logs were made: by the logs, by the headers at hand, by those that are read for it."""

from typing import Any

import pytest

from chain.rpc.block_times import block_times
from chain.rpc.clients import ChainUnavailable
from chain.rpc.log_ranges import LogRange


class Node:
    def __init__(self, headers: dict[int, dict[str, Any]]) -> None:
        self._headers = headers
        self.asked: list[int] = []

    def batch(self, calls: Any) -> list[Any]:
        numbers = [int(params[0], 16) for _, params in calls]
        self.asked += numbers
        return [self._headers.get(number) for number in numbers]


def header(number: int, name: str = "") -> dict[str, Any]:
    return {"number": hex(number), "hash": name or f"0x{number:02x}", "timestamp": hex(1_000 + number)}


def log(number: int, time: int | None = None) -> dict[str, Any]:
    told = {} if time is None else {"blockTimestamp": hex(time)}
    return {"blockNumber": hex(number), "blockHash": f"0x{number:02x}", **told}


def found(*logs: dict[str, Any], headers: tuple[int, ...] = ()) -> LogRange:
    return LogRange(first=1, last=9, logs=list(logs), headers={number: header(number) for number in headers})


def test_headers_are_read_only_of_blocks_that_neither_log_nor_header_tells_the_time_of() -> None:
    node: Any = Node({3: header(3)})
    times = block_times(node, found(log(1, 777), log(2), log(3), headers=(2,)))
    assert times == {"0x01": 777, "0x02": 1_002, "0x03": 1_003}
    assert node.asked == [3]


@pytest.mark.parametrize("answer", [None, header(3, "0xff")], ids=["it lags", "another block by now"])
def test_a_block_that_is_not_there_as_it_was_is_asked_for_again(answer: Any) -> None:
    node: Any = Node({} if answer is None else {3: answer})
    with pytest.raises(ChainUnavailable):
        block_times(node, found(log(3)))
