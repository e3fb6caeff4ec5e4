"""Ranges of logs: each log once in the order of the chain, and headers that follow each other."""

from typing import Any

import pytest

from chain.rpc.clients import ChainUnavailable, get_client
from chain.rpc.log_ranges import RangeReader, _chained, header_calls, in_order, log_calls
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy


def header(number: int, *, parent: str | None = None) -> dict[str, Any]:
    return {"hash": f"0x{number}", "parentHash": parent or f"0x{number - 1}", "number": hex(number)}


def log(block: int, index: int) -> dict[str, Any]:
    return {"blockHash": f"0x{block}", "blockNumber": hex(block), "logIndex": hex(index)}


def test_headers_that_follow_each_other_are_one_chain() -> None:
    assert _chained([5, 6, 7], [header(5), header(6), header(7)]) == {5: header(5), 6: header(6), 7: header(7)}
    apart = [header(5), header(9, parent="0xelse")]
    assert _chained([5, 9], apart) == {5: apart[0], 9: apart[1]}


def test_a_header_of_another_branch_spoils_the_range() -> None:
    with pytest.raises(ChainUnavailable, match="The chain moved while it was read"):
        _chained([5, 6, 7], [header(5), header(6), header(7, parent="0xelse")])


def test_a_block_that_the_node_does_not_have_spoils_the_range() -> None:
    with pytest.raises(ChainUnavailable, match="The node has no block 6"):
        _chained([5, 6], [header(5), None])


def test_logs_of_several_filters_come_once_in_the_order_of_the_chain() -> None:
    assert in_order([[log(7, 0), log(6, 11)], [log(6, 2), log(6, 11)]]) == [log(6, 2), log(6, 11), log(7, 0)]


def test_the_calls_name_the_range_and_the_heights() -> None:
    assert log_calls([{"address": "0xa"}, {"topics": []}], 5, 255) == [
        ("eth_getLogs", [{"fromBlock": "0x5", "toBlock": "0xff", "address": "0xa"}]),
        ("eth_getLogs", [{"fromBlock": "0x5", "toBlock": "0xff", "topics": []}]),
    ]
    assert header_calls([16]) == [("eth_getBlockByNumber", ["0x10", False])]


@pytest.fixture
def asked(chain: Chain, proxy: RpcProxy) -> list[tuple[int, int]]:
    """The ranges of blocks that the node is asked for logs of, from here on."""
    ranges: list[tuple[int, int]] = []

    def note(method: str, params: list[Any]) -> None:
        if method == "eth_getLogs":
            ranges.append((int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)))

    chain.mine(30)
    proxy.on_call = note
    return ranges


def give_at_most(proxy: RpcProxy, blocks: int) -> None:
    """The node refuses wider ranges."""

    def rule(params: list[Any]) -> str | None:
        width = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
        return "query exceeds the limit" if width > blocks else None

    proxy.check("eth_getLogs", rule)


def reader() -> RangeReader:
    return RangeReader(get_client(), [{"address": "0x" + "a1" * 20}], width=8)


@pytest.mark.django_db(transaction=True)
def test_one_post_reads_a_range_with_the_headers_that_are_not_final_and_its_last(
    chain: Chain, proxy: RpcProxy, asked: list[tuple[int, int]]
) -> None:
    first = chain.block_number() - 20
    ours = reader()
    found = ours.read(first, first + 4, headers_from=first + 3)
    assert (found.first, found.last, sorted(found.headers)) == (first, first + 4, [first + 3, first + 4])
    assert asked == [(first, first + 4)]
    assert ours.width == 16
    assert ours.read(first, first + 4, headers_from=first + 99).headers.keys() == {first + 4}


@pytest.mark.django_db(transaction=True)
def test_what_a_node_does_not_give_at_once_is_halved_until_it_does(
    chain: Chain, proxy: RpcProxy, asked: list[tuple[int, int]]
) -> None:
    first = chain.block_number() - 20
    give_at_most(proxy, 2)
    ours = reader()
    found = ours.read(first, first + 20, headers_from=first + 99)
    assert asked == [(first, first + 7), (first, first + 3), (first, first + 1)]
    assert (found.first, found.last, ours.width) == (first, first + 1, 4)


@pytest.mark.django_db(transaction=True)
def test_where_not_even_one_block_is_given_the_chain_is_unavailable(
    chain: Chain, proxy: RpcProxy, asked: list[tuple[int, int]]
) -> None:
    first = chain.block_number() - 20
    give_at_most(proxy, 0)
    with pytest.raises(ChainUnavailable, match=f"No logs of block {first}: .*query exceeds the limit"):
        reader().read(first, first + 20, headers_from=first + 99)
    assert asked == [(first, first + 7), (first, first + 3), (first, first + 1), (first, first)]
