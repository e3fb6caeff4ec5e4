"""Which block an endpoint calls final, and what is taken for it where it does not say."""

from typing import Any

import pytest

from chain.rpc.clients import RpcError
from chain.rpc.evidence import DEPTH_WITHOUT_FINALITY, Checkpoint, _final_height, hash_of, number_of

REFUSED = RpcError(-32000, "finalized block not found")
HEAD = Checkpoint(10_000, "0xhead")


def block(number: int) -> dict[str, Any]:
    return {"number": hex(number), "hash": f"0x{number}"}


@pytest.mark.parametrize(
    ("final", "newest", "head", "height"),
    [
        (block(9_000), block(10_000), None, 9_000),
        (block(9_000), block(9_500), HEAD, 9_000),
        (block(10_050), block(10_050), HEAD, 10_000),  # the endpoint is ahead of the head that is asked about
        (block(10_050), block(10_040), None, 10_040),
        (REFUSED, block(10_010), HEAD, 10_000 - DEPTH_WITHOUT_FINALITY),
        (None, block(10_010), None, 10_010 - DEPTH_WITHOUT_FINALITY),
        (None, block(5), None, 0),
        (None, None, None, 0),
    ],
)
def test_the_final_block_of_an_endpoint(final: Any, newest: Any, head: Checkpoint | None, height: int) -> None:
    assert _final_height(final, newest, head) == height


def test_what_a_node_refuses_or_does_not_have_has_neither_hash_nor_number() -> None:
    assert [(hash_of(one), number_of(one)) for one in (block(7), None, REFUSED)] == [
        ("0x7", 7),
        (None, None),
        (None, None),
    ]
