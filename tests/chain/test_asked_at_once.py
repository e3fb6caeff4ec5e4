"""Several endpoints are asked at the same time: the slowest of them is waited for, not all one after the other."""

import threading
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain.rpc.clients import get_client
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy


@pytest.mark.django_db(transaction=True)
def test_two_endpoints_are_asked_at_once(chain: Chain, settings: Settings) -> None:
    both_were_asked = threading.Barrier(2, timeout=10)

    def wait_for_the_other(method: str, _: list[Any]) -> None:
        if method == "eth_gasPrice":
            both_were_asked.wait()

    with RpcProxy(chain.url) as first, RpcProxy(chain.url) as second:
        settings.CHAIN_RPC_URLS = [first.url, second.url]
        get_client.cache_clear()
        client = get_client()
        assert client.everyone([("eth_chainId", [])]) == [[hex(settings.CHAIN_ID)]] * 2
        for proxy in (first, second):
            proxy.on_call = wait_for_the_other
        assert len(client.everyone([("eth_gasPrice", [])])) == 2
    get_client.cache_clear()
    assert not both_were_asked.broken
