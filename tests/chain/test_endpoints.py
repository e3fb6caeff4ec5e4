"""Errors of an endpoint that say nothing about the call, and those that are its answer."""

from typing import Any

import pytest

from chain.clients import ChainUnavailable, RpcError, get_client
from chain.health import Health
from partner_platform.core import metrics
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("code", [429, -32005])
def test_an_endpoint_that_is_over_its_limits_has_not_answered(proxy: RpcProxy, code: int) -> None:
    proxy.refuse("eth_gasPrice", "slow down", code=code)
    with pytest.raises(ChainUnavailable):
        get_client().batch([("eth_gasPrice", [])])


@pytest.mark.parametrize("code", [428, 430, -32000, -32004, -32006])
def test_any_other_error_is_the_answer(proxy: RpcProxy, code: int) -> None:
    proxy.refuse("eth_gasPrice", "no such thing", code=code)
    [answer] = get_client().batch([("eth_gasPrice", [])])
    assert isinstance(answer, RpcError)
    assert (answer.code, answer.message) == (code, "no such thing")


def test_the_newest_block_of_an_endpoint_is_measured() -> None:
    endpoint = Health("rpc.measured.example")
    for number in (25, 26):
        endpoint.has_head(number)
        assert f'chain_endpoint_head{{endpoint="rpc.measured.example"}} {number}.0' in metrics.build().decode()


@pytest.mark.parametrize(("code", "number"), [(3, 3), ("0x1ac", 428), ("many", 0), (None, 0), ([], 0)])
def test_a_code_that_is_no_number_is_none(proxy: RpcProxy, code: Any, number: int) -> None:
    proxy.refuse("eth_gasPrice", "no such thing", code=code)
    [answer] = get_client().batch([("eth_gasPrice", [])])
    assert (answer.code, answer.message) == (number, "no such thing")
