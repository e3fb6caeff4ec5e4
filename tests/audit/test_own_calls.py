"""`GET /partners/my/requests`: a partner's own calls of the last 30 days, without what was in them."""

import datetime as dt
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import ApiLog
from partner_platform.core import clock
from partner_platform.core.clock import isoformat
from tests.factories import partner_with_key

pytestmark = pytest.mark.django_db

BORROW, LOAN = "/partners/borrow", "/partners/loan/a"


class Lender:
    """A partner with a key, and calls of its own in the log."""

    def __init__(self) -> None:
        self.partner, self.key = partner_with_key()
        self.now = clock.now().replace(microsecond=0)

    def logged(self, name: str, ago: dt.timedelta, **columns: Any) -> ApiLog:
        call: ApiLog = ApiLog.objects.create(
            **{
                "partner_id": self.partner.partner_id,
                "partner_name": self.partner.partner_name,
                "endpoint": LOAN,
                "method": "GET",
                "ip_address": "203.0.113.7",
                "status_code": 200,
                "response_time": 5,
                "success": True,
                "request_id": name,
                "timestamp": self.now - ago,
                **columns,
            }
        )
        return call

    def get(self, query: str = "") -> Any:
        return Client().get(f"/partners/my/requests{query}", headers={"Authorization": f"Bearer {self.key}"})

    def ids(self, query: str = "") -> list[str]:
        """The calls found, but for those that this test made itself."""
        found = self.get(query).json()["requests"]
        return [call["requestId"] for call in found if call["endpoint"] != "/partners/my/requests"]


MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def lender() -> Lender:
    lender = Lender()
    lender.logged("old", dt.timedelta(days=31), client_request_id="mine")
    lender.logged("a", dt.timedelta(days=29), client_request_id="mine")
    lender.logged("b", 3 * MINUTE, endpoint=BORROW, method="POST", status_code=400)
    lender.logged("c", 2 * MINUTE, endpoint=BORROW, method="POST", status_code=201, client_request_id="mine")
    lender.logged("d", MINUTE, status_code=400)
    Lender().logged("other", MINUTE, client_request_id="mine", endpoint=BORROW, status_code=400)
    return lender


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["d", "c", "b", "a"]),
        ("?statusCode=400", ["d", "b"]),
        (f"?endpoint={BORROW}", ["c", "b"]),
        (f"?endpoint={BORROW}&statusCode=400", ["b"]),
        ("?endpoint=/partners", []),
        ("?requestId=b", ["b"]),
        ("?requestId=mine", ["c", "a"]),
        ("?requestId=mine&statusCode=201", ["c"]),
        ("?requestId=old", []),
        ("?requestId=other", []),
    ],
)
def test_the_filters_select_calls_of_this_partner_of_the_last_month_newest_first(
    lender: Lender, query: str, found: list[str]
) -> None:
    assert lender.ids(query) == found


def test_days_are_whole_days_and_reach_back_no_further_than_a_month(lender: Lender) -> None:
    day = (lender.now - dt.timedelta(days=29)).date().isoformat()
    assert lender.ids(f"?startDate={day}&endDate={day}") == ["a"]
    assert lender.ids(f"?startDate=2020-01-01&endDate={day}") == ["a"]


def test_pages_by_cursor_show_each_call_once_over_both_kinds_of_id(lender: Lender) -> None:
    """The id of one call of ours is what the partner called others: two queries are merged."""
    lender.logged("mine", 2 * MINUTE + dt.timedelta(seconds=30), client_request_id="mine")
    whole, found, path = lender.ids("?requestId=mine"), [], "?requestId=mine&limit=1"
    for _ in range(3):
        page = lender.get(path).json()
        assert page["total"] == 3
        found += [call["requestId"] for call in page["requests"]]
        path = f"?requestId=mine&limit=1&cursor={page['next']}"
    assert found == whole == ["c", "mine", "a"]
    assert page["next"] is None
    assert lender.ids("?requestId=mine&limit=2&offset=1") == ["mine", "a"]
    foreign = lender.get(f"?requestId=b&cursor={lender.get('?requestId=mine&limit=1').json()['next']}")
    assert foreign.json()["details"] == {"cursor": ["This cursor belongs to another list or other filters."]}


def test_a_refused_call_is_found_by_the_id_of_its_answer_and_says_why_and_nothing_of_its_body() -> None:
    lender = Lender()
    secret = "a-secret-of-the-body"
    refused = Client().post(
        BORROW,
        data=json.dumps({"metadata": {"note": secret}, "apiKey": secret}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {lender.key}", "X-Request-Id": "order-4711", "User-Agent": secret},
        REMOTE_ADDR="203.0.113.9",
    )
    by_ours, by_mine = (lender.get(f"?requestId={name}") for name in (refused.headers["X-Request-Id"], "order-4711"))
    (told,) = by_ours.json()["requests"]
    logged = ApiLog.objects.get(endpoint=BORROW)
    assert told == {
        "requestId": refused.headers["X-Request-Id"],
        "clientRequestId": "order-4711",
        "method": "POST",
        "endpoint": BORROW,
        "statusCode": 400,
        "errorCode": "invalid_request",
        "errorMessage": refused.json()["message"],
        "responseTime": logged.response_time,
        "ipAddress": "203.0.113.9",
        "timestamp": isoformat(logged.timestamp),
    }
    assert by_mine.json()["requests"] == [told]
    assert secret in str(logged.request_payload)
    assert secret not in by_ours.content.decode()


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("?statusCode=99", "statusCode", "min_value"),
        ("?statusCode=600", "statusCode", "max_value"),
        ("?statusCode=x", "statusCode", "invalid"),
        (f"?requestId={'x' * 65}", "requestId", "max_length"),
        ("?endpoint=", "endpoint", "blank"),
        ("?startDate=2026-02-02&endDate=2026-02-01", "endDate", "invalid"),
        ("?partnerId=other", "partnerId", "unknown_field"),
    ],
)
def test_a_wrong_query_is_refused_by_name(lender: Lender, query: str, field: str, code: str) -> None:
    answer = lender.get(query)
    assert answer.status_code == 400
    assert [(problem["field"], problem["code"]) for problem in answer.json()["errors"]] == [(field, code)]


def test_a_page_is_the_key_a_count_the_calls_and_the_log(lender: Lender) -> None:
    lender.get()
    with CaptureQueriesContext(connection) as queries:
        assert lender.get("?statusCode=400").status_code == 200
    assert len(queries) == 4, [query["sql"] for query in queries.captured_queries]
