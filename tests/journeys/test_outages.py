"""500 borrows, and in their middle the database is killed and restarted, or lost for a moment: M1 to M4 hold.

What can die differs. PostgreSQL and MongoDB are servers: clients see success or 503 with Retry-After. SQLite lives in
the processes that have its file open, so there these are killed: connections are cut as well.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException

import psycopg
import pytest
from django.conf import settings
from django.db import connections

from loans.models import LoanStatus, PartnerLoan
from sandbox.servers import mongodb, postgres
from sandbox.servers.process import Server, ServerError
from tests.core.test_failover import interrupt
from tests.factories import DOLLAR
from tests.journeys.conftest import Answer, Platform
from tests.support import books
from tests.support.invariants import Invariants
from tests.support.process_groups import kill_group
from tests.support.waiting import eventually

pytestmark = [pytest.mark.journey]

BORROWS, CLIENTS, DOLLARS = 500, 16, 100
OUTAGES_AT = (150, 300)  # accepted borrows
ENGINE = settings.DB_ENGINE
AGAIN_EVERY = 0.5  # seconds
PATIENCE = 60.0


@dataclass
class Story:
    """What the clients were told."""

    accepted: list[str] = field(default_factory=list)
    unavailable: list[Answer] = field(default_factory=list)
    others: list[Answer] = field(default_factory=list)
    cut: list[Exception] = field(default_factory=list)


@pytest.fixture(scope="module", autouse=True)
def durable_server(database_server: Server | None) -> Iterator[None]:
    """PostgreSQL as in production: the tests' own leaves writing to the disk to the system."""
    if database_server is None or ENGINE != "postgres":
        yield
        return
    port, folder = settings.TEST_DATABASE_PORT, settings.TEST_FOLDER / "postgres"
    quick, durable = database_server.command, postgres.postgres(port=port, folder=folder, durable=True).command
    _restart(database_server, durable)
    with psycopg.connect(postgres.postgres_url(port, "postgres")) as connection:
        for promise in ("fsync", "full_page_writes", "synchronous_commit"):
            assert connection.execute(f"SHOW {promise}").fetchone() == ("on",)
    yield
    _restart(database_server, quick)


def test_a_database_killed_twice_in_the_middle_of_500_borrows_loses_and_doubles_nothing(
    platform: Platform, database_server: Server | None
):
    def kill() -> None:
        if database_server is None:
            _kill_and_launch([platform.servers[name] for name in ("web", "worker", "beat")])
            return
        database_server.kill()
        eventually(partial(_is_started, database_server), seconds=30)
        if ENGINE == "mongodb":
            mongodb.initiate(settings.TEST_DATABASE_PORT)

    story = _borrow_500(platform, kill)

    if ENGINE != "sqlite":
        assert story.cut == []


def test_a_database_lost_twice_in_the_middle_of_500_borrows_loses_and_doubles_nothing(platform: Platform):
    """MongoDB's primary steps down, PostgreSQL ends every connection; of SQLite the web processes are killed."""

    def lose() -> None:
        interrupt() if ENGINE != "sqlite" else _kill_and_launch([platform.servers["web"]])

    story = _borrow_500(platform, lose)

    if ENGINE != "sqlite":
        assert story.cut == []


def _borrow_500(platform: Platform, outage: Callable[[], None]) -> Story:
    """All of it, with an outage at each of `OUTAGES_AT`; what must hold on every engine is asserted here."""
    chain, key, story = platform.chain, platform.new_partner(), Story()
    invariants = Invariants(chain)
    settlement = chain.world.partners[0].settlement_address
    before = chain.usdc_balance(settlement)

    with chain.mining(every=0.3):
        with ThreadPoolExecutor(CLIENTS) as clients:
            asked = [clients.submit(_borrow_until_accepted, platform, key, number, story) for number in range(BORROWS)]
            for count in OUTAGES_AT:
                eventually(lambda count=count: len(story.accepted) >= count, seconds=PATIENCE)  # type: ignore[misc]
                connections.close_all()
                outage()
                assert len(story.accepted) < BORROWS  # it was in the middle
            for done in asked:
                done.result()
        connections.close_all()
        eventually(_all_is_settled, seconds=PATIENCE)
        eventually(lambda: invariants.violations_at_rest() == [], seconds=PATIENCE)

    assert story.others == []
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in story.unavailable)
    loans = sorted(f"loan-{number}" for number in range(BORROWS))
    assert sorted(story.accepted) == loans
    assert sorted(PartnerLoan.objects.values_list("partner_loan_id", flat=True)) == loans
    assert chain.usdc_balance(settlement) - before == BORROWS * DOLLARS * DOLLAR * 995 // 1000
    assert invariants.violations_at_rest() == []
    assert [name for name, server in platform.servers.items() if not server.alive] == []
    return story


def _borrow_until_accepted(platform: Platform, key: str, number: int, story: Story) -> None:
    """A good client: after 503 or a cut connection it asks for the same again; every second one has a key for that."""
    loan_id, user = f"loan-{number}", platform.chain.users[1 + number % 2]
    headers = {"Idempotency-Key": f"key-{number}"} if number % 2 else {}
    is_again = False

    def ask() -> bool:
        nonlocal is_again
        try:
            answer = platform.borrow(key, user, DOLLARS, loan_id, Prefer="respond-async", **headers)
        except (OSError, HTTPException) as error:
            story.cut.append(error)
            is_again = True
            return False
        was_accepted_before = is_again and answer.body.get("code") == "duplicate_loan_id" and not headers
        if answer.status in (201, 202) or was_accepted_before:
            story.accepted.append(loan_id)
            return True
        is_in_use = is_again and answer.body.get("code") == "idempotency_key_in_use"
        is_again = True
        (story.unavailable if answer.status == 503 or is_in_use else story.others).append(answer)
        return answer.status != 503 and not is_in_use

    eventually(ask, seconds=PATIENCE, every=AGAIN_EVERY)


def _all_is_settled() -> bool:
    return PartnerLoan.objects.filter(status=LoanStatus.ACTIVE).count() == BORROWS and books.discrepancies() == []


def _kill_and_launch(servers: list[Server]) -> None:
    for server in servers:
        kill_group(server)  # all of its processes
    for server in servers:
        server.launch()


def _is_started(server: Server) -> bool:
    """Not while the killed one's own children are still ending: PostgreSQL refuses to share their memory."""
    try:
        server.start()
    except ServerError:
        return False
    return True


def _restart(server: Server, command: Sequence[str]) -> None:
    connections.close_all()
    server.stop()
    server.command = command
    server.start()
