"""What a loan read costs: `make bench ARGS=reads` measures it, this counts it."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from audit.models import ApiLog
from chain.selectors import KnownBlocks
from loans.objects.recent_blocks import RecentBlocks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.usefixtures("known_blocks_kept")
@pytest.mark.parametrize("repaid", [False, True])
def test_a_loan_read_is_three_queries_and_one_for_its_repayments_and_one_script_in_redis(
    lender: Any, settle: Any, chain: Any, repaid: bool
) -> None:
    assert lender.borrow(chain.users[0], 100).status_code == 202
    settle()
    if repaid:
        assert lender.repay(1_000_000).status_code == 202
        settle()
    lender.get("/partners/loan/loan-1")  # the first call of a minute notes the key's use
    rows, redis = ApiLog.objects.count(), get_redis_connection("default")
    calls = redis.info("commandstats")["cmdstat_evalsha"]["calls"]

    with CaptureQueriesContext(connection) as queries:
        assert lender.get("/partners/loan/loan-1").status_code == 200
    history = ("loans_repayment",) if repaid else ()
    tables = ("partners_apikey", "loans_partnerloan", *history, "audit_apilog")
    statements = [query["sql"] for query in queries.captured_queries]
    assert len(statements) == len(tables), statements
    assert all(table in statement for table, statement in zip(tables, statements, strict=True)), statements
    assert ApiLog.objects.count() == rows + 1  # durable when the answer is there
    assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] == calls + 1


def test_how_far_the_chain_is_known_is_read_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    moments, readings = [100.0], [KnownBlocks(head=7), KnownBlocks(head=8)]
    monkeypatch.setattr("loans.objects.recent_blocks.time.monotonic", lambda: moments[0])
    recent = RecentBlocks(lambda: readings.pop(0))

    assert [recent.known().head, recent.known().head] == [7, 7]
    moments[0] = 100.99
    assert recent.known().head == 7
    moments[0] = 101.0
    assert recent.known().head == 8
