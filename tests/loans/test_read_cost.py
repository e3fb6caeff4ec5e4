"""What a loan read costs: `make bench ARGS=reads` measures it, this counts it; and what limits cost a borrow."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from audit.models import ApiLog
from tests.factories import DOLLAR

_TABLE = re.compile(r'(?:SELECT .*? FROM|INSERT INTO|UPDATE) "(\w+)"')

pytestmark = pytest.mark.django_db(transaction=True)


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


@pytest.mark.skipif(connection.vendor == "mongodb", reason="the statements are counted in SQL")
def test_a_borrow_that_passes_no_mark_of_a_limit_takes_both_limits_with_two_updates_and_tells_nothing(
    make_client: Any, chain: Any
) -> None:
    lender = make_client(total_borrow_limit=str(1_000 * DOLLAR), daily_borrow_limit=str(1_000 * DOLLAR))

    def statements(dollars: int, loan_id: str) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            assert lender.borrow(chain.users[0], dollars, loan_id).status_code == 202
        tables = ("partners_partner", "events_", "partners_outgoingmail")
        inside = [query["sql"] for query in queries.captured_queries if "apikey" not in query["sql"]]
        return [
            sql.split()[0] + " " + found[1]
            for sql in inside
            if (found := _TABLE.match(sql)) and found[1].startswith(tables)
        ]

    lender.borrow(chain.users[0], 1, "first")  # makes the rows of the OAID and of the day
    taken = ["UPDATE partners_partner", "UPDATE partners_partnerdailyusage"]
    assert statements(10, "second") == taken
    assert "INSERT events_event" in statements(800, "eighty")
    assert statements(10, "third") == taken
