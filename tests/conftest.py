"""Fixtures of all tests: real servers, started once a session where a test asks for them."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.core.cache import cache
from django_redis import get_redis_connection

from authority import backend
from authority.rights import Right
from authority.roles import rights_of
from sandbox.servers import anvil as anvil_server
from sandbox.servers import mongodb, postgres, valkey
from sandbox.servers.process import Server
from sandbox.world import World
from tests import parallel
from tests.support.chain import SLOTS_IN_EPOCH, STATES_IN_MEMORY, Chain
from tests.support.console import open_session_of_test_client

COUNTS: pytest.StashKey[Counter[str]] = pytest.StashKey()


# `Client.force_login` and `Client.login` sign in past the console's pages, which alone open sessions.
user_logged_in.connect(open_session_of_test_client)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COUNTS] = Counter()


@pytest.hookimpl(optionalhook=True)  # without xdist there is no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> parallel.Scheduling:
    return parallel.Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one of several processes
        parallel.first_things_first(items)


def pytest_unconfigure() -> None:
    """What the servers of this run left behind."""
    shutil.rmtree(settings.TEST_FOLDER, ignore_errors=True)


@pytest.fixture
def api_counts(request: pytest.FixtureRequest) -> Counter[str]:
    """Counters of the whole run, by what they count: `api_counts["permission cells"] += 1`; `make api-check` tells."""
    return request.config.stash[COUNTS]


@pytest.fixture(scope="session", autouse=True)
def redis_server() -> Iterator[Server]:
    """Cache, rate limits and broker; up in a few hundredths of a second."""
    folder = settings.TEST_FOLDER / "redis"
    server = valkey.valkey(port=settings.TEST_REDIS_PORT, folder=folder, log=settings.TEST_FOLDER / "redis.log").start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def forgetful_process() -> None:
    """What this process keeps in memory between requests belongs to the test before."""
    from audit.calls.refused_calls import pending
    from loans.api.waiting.waiting_threads import waiting
    from loans.objects.recent_blocks import recent_blocks
    from partner_platform.health import readiness
    from partners.access.concurrency import calls_in_flight
    from partners.refusals.counting import refusals
    from partners.refusals.live_keys import live_keys

    for memory in (pending, readiness, live_keys, refusals, calls_in_flight, waiting, recent_blocks):
        memory.forget()


@pytest.fixture(scope="session")
def database_server() -> Iterator[Server | None]:
    """The server of `DB`; None for SQLite, which has none."""
    server = _database_server()
    yield server
    if server is not None:
        server.stop()


def _database_server() -> Server | None:
    port, folder = settings.TEST_DATABASE_PORT, settings.TEST_FOLDER / settings.DB_ENGINE
    if settings.DB_ENGINE == "postgres":
        return postgres.postgres(port=port, folder=folder).start()
    if settings.DB_ENGINE == "mongodb":
        server = mongodb.mongodb(port=port, folder=folder).start()
        mongodb.initiate(port)
        return server
    return None


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_server: Server | None) -> None:
    """pytest-django's hook before it makes the test database: the server runs by then."""


@pytest.fixture(scope="session")
def anvil() -> Iterator[Chain]:
    """A node with the whole system deployed, three users' positions open, and mining left to the tests."""
    port = settings.TEST_ANVIL_PORT
    log = settings.TEST_FOLDER / "anvil.log"
    server = anvil_server.anvil(port=port, log=log, slots_in_epoch=SLOTS_IN_EPOCH, options=STATES_IN_MEMORY).start()
    from sandbox.furnish import build_world  # web3 takes a second to import: only where a test needs the chain

    world = build_world(partners=["partner-1", "partner-2", "partner-3"])
    _point_settings_at(world)
    chain = Chain(port=port, world=world)
    chain.rpc("evm_setAutomine", False)
    yield chain
    server.stop()


def _point_settings_at(world: World) -> None:
    """Settings of this process, and the environment for the processes that tests start."""
    for name, value in world.environment().items():
        setattr(settings, name, value)
        os.environ[name] = value


@pytest.fixture
def chain(anvil: Chain) -> Iterator[Chain]:
    """The chain for one test: whatever it does there, and in Redis, is undone after it."""
    from chain.rpc.clients import get_client

    get_client.cache_clear()  # a test without the chain may have left a client of an address that nobody serves
    _forget_everything_in_redis()
    snapshot = anvil.rpc("evm_snapshot")
    base_fee = anvil.rpc("eth_getBlockByNumber", "pending", False)["baseFeePerGas"]
    anvil.begin_history()
    anvil.rpc("anvil_setNextBlockBaseFeePerGas", base_fee)
    yield anvil
    anvil.rpc("anvil_dropAllTransactions")
    anvil.rpc("evm_setAutomine", False)
    assert anvil.rpc("evm_revert", snapshot) is True
    anvil.rpc("anvil_setNextBlockBaseFeePerGas", base_fee)  # what the revert leaves as the test made it
    _forget_everything_in_redis()


def _forget_everything_in_redis() -> None:
    cache.clear()
    get_redis_connection("default").flushdb()


@pytest.fixture
def groups_of_one_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside those of roles, a group that is named as a right gives this right."""

    def also_single(names: Iterable[str]) -> frozenset[Right]:
        names = list(names)
        return rights_of(names) | {Right(name) for name in names if name in set(Right)}

    monkeypatch.setattr(backend, "rights_of", also_single)
