"""What the settlement tests share: operations on the sandbox's contracts, and the two checks each story ends with."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from chain.models import TransactionAttempt
from chain.rpc import clients
from chain.settlement import driver
from chain.settlement.engine import Engine
from chain.settlement.recovery import recover
from tests.chain.book import Book
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy


@pytest.fixture(autouse=True)
def _fresh_client() -> Iterator[None]:
    """Each test has a client of its own settings."""
    clients.get_client.cache_clear()
    yield
    clients.get_client.cache_clear()


@pytest.fixture
def book(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> Book:
    """Enqueues operations and knows what each must have moved. Nothing drives but the test."""
    monkeypatch.setattr("chain.services.wake_driver", lambda: None)
    return Book(chain)


@pytest.fixture
def proxy(chain: Chain, settings: Settings) -> Iterator[RpcProxy]:
    """The engine talks to the node through a proxy that can misbehave; the test itself talks to the node."""
    with RpcProxy(chain.url) as proxy:
        settings.CHAIN_RPC_URLS = [proxy.url]
        settings.CHAIN_RPC_TIMEOUT_SECONDS = 5.0
        clients.get_client.cache_clear()
        unsaved: list[str] = []
        proxy.on_call = lambda method, params: unsaved.extend(_unsaved(method, params))
        yield proxy
        assert unsaved == []  # whatever leaves us was committed before: a crash at any moment loses no hash


def _unsaved(method: str, params: list[Any]) -> list[str]:
    """The transaction, where a send is not in the database; asked from another thread, which sees commits only."""
    if method != "eth_sendRawTransaction":
        return []
    try:
        return [] if TransactionAttempt.objects.filter(raw=params[0]).exists() else [params[0]]
    finally:
        connection.close()


@pytest.fixture
def engine(book: Book, proxy: RpcProxy) -> Engine:
    """A driver's hands, recovered once: what it sends later is the tick's doing."""
    taken = driver._take_lease(None)
    assert taken is not None
    recover(taken)
    return taken
