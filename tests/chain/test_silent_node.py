"""A node that takes connections and never answers: a caller is told 503 by the requests' time-out, not the engine's."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from django.core.cache import cache
from django.test import Client

from chain.rpc.clients import ChainUnavailable, get_client
from partner_platform.core import context
from sandbox.servers.ports import LOOPBACK

pytestmark = pytest.mark.django_db(transaction=True)

CREDIT_LINE = "/partners/public/oaid/1/credit-line"
SHORT = 0.05


@pytest.fixture(autouse=True)
def silent_node(settings: Any) -> Iterator[None]:
    """The kernel takes the connections; nobody reads them."""
    cache.clear()
    with socket.create_server((LOOPBACK, 0)) as node:
        settings.CHAIN_RPC_URLS = [f"http://{LOOPBACK}:{node.getsockname()[1]}"]
        settings.CHAIN_RPC_TIMEOUT_SECONDS = settings.CHAIN_REQUEST_TIMEOUT_SECONDS = SHORT
        get_client.cache_clear()
        yield
    get_client.cache_clear()
    cache.clear()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Connect and read time-out of each post, in seconds."""
    asked: list[tuple[float, float]] = []
    request = urllib3.PoolManager.request

    def note(self: Any, *args: Any, timeout: Any, **options: Any) -> Any:
        asked.append((timeout.connect_timeout, timeout.read_timeout))
        return request(self, *args, timeout=timeout, **options)

    monkeypatch.setattr(urllib3.PoolManager, "request", note)
    return asked


def test_a_reading_is_503_after_the_time_out_of_requests(settings: Any, patience: list[tuple[float, float]]) -> None:
    settings.CHAIN_RPC_TIMEOUT_SECONDS = 4.0
    answer = Client().get(CREDIT_LINE)
    assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert patience == [(SHORT, SHORT)]


def test_the_engine_keeps_its_own_time_out(settings: Any, patience: list[tuple[float, float]]) -> None:
    settings.CHAIN_REQUEST_TIMEOUT_SECONDS = 4.0
    with pytest.raises(ChainUnavailable):
        get_client().block_number()
    assert patience == [(SHORT, SHORT)]


def test_after_a_silence_the_next_readings_do_not_wait_one_after_the_other(patience: list[tuple[float, float]]) -> None:
    codes = {Client().get(CREDIT_LINE).json()["code"] for _ in range(5)}
    assert codes == {"chain_unavailable"}
    assert len(patience) == 1
    get_client()._silent_until = 0.0
    Client().get(CREDIT_LINE)
    assert len(patience) == 2


def test_readings_of_every_node_fail_in_a_silence_too(patience: list[tuple[float, float]]) -> None:
    with context.request_id("a-request"):
        for _ in range(3):
            with pytest.raises(ChainUnavailable):
                get_client().everywhere("eth_getTransactionReceipt", ["0x" + "1" * 64])
    assert len(patience) == 1


def test_the_engine_asks_again_at_once(patience: list[tuple[float, float]]) -> None:
    for _ in range(2):
        with pytest.raises(ChainUnavailable):
            get_client().block_number()
    assert len(patience) == 2


def test_a_node_that_refuses_connections_is_no_silence(settings: Any, patience: list[tuple[float, float]]) -> None:
    settings.CHAIN_RPC_URLS = ["http://127.0.0.1:1"]
    get_client.cache_clear()
    for _ in range(2):
        assert Client().get(CREDIT_LINE).status_code == 503
    assert len(patience) == 2
