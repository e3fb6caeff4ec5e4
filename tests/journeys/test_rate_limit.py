"""The rate limit across processes, and what is left of the platform without Redis."""

from collections import Counter
from functools import partial

import pytest
from django.conf import settings

from loans.models import LoanStatus, PartnerLoan
from sandbox.servers import valkey
from sandbox.servers.process import Server
from tests.journeys.conftest import Platform, at_once
from tests.support import books
from tests.support.waiting import eventually

pytestmark = [pytest.mark.journey]


def test_500_calls_at_once_on_a_limit_of_100_let_exactly_100_pass(platform: Platform):
    key = platform.new_partner(tier="BASIC")

    answers = at_once([lambda: platform.request("GET", "/partners/loan/none", key)] * 500)

    assert Counter(answer.status for answer in answers) == {404: 100, 429: 400}
    remaining = [answer.headers["RateLimit"] for answer in answers if answer.status == 404]
    assert sorted(int(header.split(";r=")[1].split(";")[0]) for header in remaining) == list(range(100))
    refused = [answer for answer in answers if answer.status == 429]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"basic";q=100;w=60'}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in refused)


def test_a_killed_redis_stops_borrows_not_reads_and_what_was_accepted_settles_when_it_is_back(
    platform: Platform, redis_server: Server
):
    key, users = platform.new_partner(), platform.chain.users
    with platform.chain.mining(every=0.5):
        assert platform.borrow(key, users[1], 100, "loan-1").status == 201
    # Accepted, and not mined while Redis dies.
    assert platform.borrow(key, users[1], 200, "loan-2", Prefer="respond-async").status == 202

    redis_server.kill()
    reads = at_once([lambda: platform.request("GET", "/partners/loan/loan-1", key)] * 20)
    borrows = at_once([partial(platform.borrow, key, users[2], 100, f"lost-{number}") for number in range(20)])
    repay = platform.repay(key, 50, "loan-1")

    assert {answer.status for answer in reads} == {200}
    assert {(answer.status, answer.body["code"]) for answer in [*borrows, repay]} == {(503, "queue_unavailable")}
    assert PartnerLoan.objects.count() == 2

    folder = settings.TEST_FOLDER / "redis"
    redis_server.popen = (
        valkey.valkey(port=settings.TEST_REDIS_PORT, folder=folder, log=settings.TEST_FOLDER / "redis.log")
        .start()
        .popen
    )
    with platform.chain.mining(every=0.5):
        eventually(lambda: PartnerLoan.objects.filter(status=LoanStatus.ACTIVE).count() == 2, seconds=60)
        assert platform.repay(key, 50, "loan-1").status == 200
    assert books.discrepancies() == []
