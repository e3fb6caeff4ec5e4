"""Endpoints 7 and 8 and pages by cursor, on loans that were really drawn and repaid."""

import base64
import csv
import io
import json
from typing import Any

import pytest
from django.core import signing
from django.test import Client

from loans import transactions
from partner_platform.core import clock
from tests.factories import DOLLAR

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def history(lender: Any, settle: Any, chain: Any) -> Any:
    """Three loans, the first one repaid: four transactions."""
    for number in range(3):
        assert lender.borrow(chain.users[number], 100 + number, f"loan-{number}").status_code == 202
    settle()
    assert lender.repay(100 * DOLLAR, "loan-0").status_code == 202
    settle()
    return lender


def test_stats_are_the_running_sums(history: Any, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(3):
        stats = history.get("/partners/my/stats").json()
    assert stats["limits"]["currentOutstanding"] == str(203 * DOLLAR)
    assert stats["usage"] == {
        "dailyBorrowed": str(303 * DOLLAR),
        "dailyRemaining": str((100_000 - 303) * DOLLAR),
        "totalRemaining": str((500_000 - 203) * DOLLAR),
        "utilizationRate": "0.0%",
    }
    assert stats["lifetime"] == {
        "totalBorrowed": str(303 * DOLLAR),
        "totalRepaid": str(100 * DOLLAR),
        "activeLoans": 2,
        "repaidLoans": 1,
    }


def test_cursors_lead_through_all_transactions_once_newest_first(history: Any) -> None:
    whole = history.get("/partners/my/transactions").json()
    assert (whole["total"], whole["next"]) == (4, None)
    assert [row["type"] for row in whole["transactions"]] == ["REPAY", "BORROW", "BORROW", "BORROW"]
    assert {row["status"] for row in whole["transactions"]} == {"SUCCESS"}
    found, path = [], "/partners/my/transactions?limit=1"
    for _ in range(4):
        page = history.get(path).json()
        assert page["total"] == 4
        found += page["transactions"]
        path = f"/partners/my/transactions?limit=1&cursor={page['next']}"
    assert found == whole["transactions"]
    assert page["next"] is None
    assert history.get("/partners/my/transactions?limit=2&offset=2").json()["transactions"] == found[2:]


def test_filters_select_type_status_and_whole_days(history: Any) -> None:
    today = clock.today().isoformat()

    def total(query: str) -> int:
        count: int = history.get(f"/partners/my/transactions?{query}").json()["total"]
        return count

    assert total("type=BORROW") == 3
    assert total("type=REPAY&status=SUCCESS") == 1
    assert total("status=SUCCESS") == 4
    assert total("status=FAILED") == 0
    assert total(f"startDate={today}&endDate={today}") == 4
    assert total("endDate=2020-01-01") == 0


@pytest.mark.parametrize(
    "query", ["startDate=2026-02-30", "startDate=2026-02-02&endDate=2026-02-01", "type=X", "cursor=x", "offset=10001"]
)
def test_a_wrong_query_is_refused(lender: Any, query: str) -> None:
    answer = lender.get(f"/partners/my/transactions?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_csv_holds_what_the_json_holds(history: Any) -> None:
    headers = {"Authorization": f"Bearer {history.key}", "Accept": "text/csv"}
    answer: Any = Client().get("/partners/my/transactions?type=BORROW", headers=headers)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    listed = history.get("/partners/my/transactions?type=BORROW").json()["transactions"]
    assert rows == [{name: value or "" for name, value in row.items()} for row in listed]


def test_no_cell_of_the_csv_is_a_formula(lender: Any, settle: Any, chain: Any) -> None:
    """`-1-2` is -3 in a spreadsheet, and a cell that begins with `=` or `@` can call a program."""
    for user, loan_id in zip(chain.users, ("-1-2", "_-1", "1-2"), strict=False):
        assert lender.borrow(user, 100, loan_id).status_code == 202
    settle()
    headers = {"Authorization": f"Bearer {lender.key}", "Accept": "text/csv"}
    answer: Any = Client().get("/partners/my/transactions", headers=headers)
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [row["partnerLoanId"] for row in rows] == ["1-2", "_-1", "'-1-2"]
    assert not [cell for row in rows for cell in row.values() if cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"}]
    assert lender.loan("-1-2")["partnerLoanId"] == "-1-2"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_what_a_spreadsheet_takes_for_a_formula_is_text(text: str) -> None:
    assert transactions._cell(text) == f"'{text}"
    assert transactions._cell(f"a{text}") == f"a{text}"


LIST = "/partners/my/transactions?limit=1"
UNKNOWN = {"cursor": ["Not a cursor of this list: begin again without one."]}
FOREIGN = {"cursor": ["This cursor belongs to another list or other filters."]}


def refusal(answer: Any) -> Any:
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    return answer.json()["details"]


def test_has_more_says_whether_rows_follow(history: Any) -> None:
    pages = [history.get(f"/partners/my/transactions?limit=2&offset={offset}").json() for offset in (0, 2, 4)]
    assert [(page["hasMore"], page["next"] is not None) for page in pages] == [
        (True, True),
        (False, False),
        (False, False),
    ]


def test_a_cursor_is_of_its_list_its_filters_and_its_partner(history: Any, make_client: Any, chain: Any) -> None:
    cursor = history.get(LIST).json()["next"]
    others = (
        f"{LIST}&type=REPAY&cursor={cursor}",
        f"{LIST}&startDate=2020-01-01&cursor={cursor}",
        f"/partners/user/{chain.users[0].wallet}/loans?cursor={cursor}",
    )
    for path in others:
        assert refusal(history.get(path)) == FOREIGN, path
    assert refusal(make_client(1).get(f"{LIST}&cursor={cursor}")) == FOREIGN
    assert history.get(f"/partners/my/transactions?limit=3&cursor={cursor}").status_code == 200


def test_a_forged_cursor_is_refused(history: Any) -> None:
    """With another total, place or list; unsigned, as they were once; signed by nobody, or for something else."""
    cursor = history.get(LIST).json()["next"]
    text, _, signature = cursor.rpartition(".")
    content = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert content[2] == 4
    content[2] = 4_000_000
    forged = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")
    other_purpose = signing.Signer(sep=".", salt="another").sign(text)
    for wrong in (f"{forged}.{signature}", text, f"{text}.", forged, f"{cursor}x", other_purpose, signature, "."):
        assert refusal(history.get(f"{LIST}&cursor={wrong}")) == UNKNOWN, wrong


def test_a_cursor_outlives_a_rotation_of_the_secret_key_while_that_is_a_fallback(history: Any, settings: Any) -> None:
    cursor = history.get(LIST).json()["next"]
    rows = history.get(f"{LIST}&cursor={cursor}").json()["transactions"]
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-secret-of-the-tests-0123456789-0123456789-012"
    settings.SECRET_KEY_FALLBACKS = [old]
    assert history.get(f"{LIST}&cursor={cursor}").json()["transactions"] == rows
    settings.SECRET_KEY_FALLBACKS = []
    assert refusal(history.get(f"{LIST}&cursor={cursor}")) == UNKNOWN
