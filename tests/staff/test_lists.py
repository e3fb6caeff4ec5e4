"""The staff API's lists: what their filters select, their pages, and up to which number their rows are counted."""

import datetime as dt
from typing import Any

import pytest

from audit.models import ApiLog
from loans import selectors as loan_selectors
from partner_platform.core import clock
from tests.factories import LoanFactory, PartnerFactory
from tests.support.staff_api import StaffApi, as_role

pytestmark = pytest.mark.django_db

WALLET, OTHER_WALLET = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7", "0x580F5b09765E71D64613c8F4403234f8790DD7D3"
NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


@pytest.fixture
def api() -> StaffApi:
    return as_role("admin")


@pytest.fixture
def loans() -> None:
    one, two = PartnerFactory.create(partner_id="partner_one"), PartnerFactory.create(partner_id="partner_two")
    rows: tuple[dict[str, Any], ...] = (
        {"partner": one, "user_wallet": WALLET, "partner_user_id": "user-1", "loan_purpose": "car"},
        {"partner": two, "user_wallet": WALLET, "partner_user_id": "user-1", "status": "FAILED"},
        {"partner": one, "user_wallet": OTHER_WALLET, "status": "FAILED", "loan_purpose": "home"},
    )
    for day, row in enumerate(rows):
        LoanFactory.create(partner_loan_id="abc"[day], created_at=NOON + dt.timedelta(days=day), **row)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "cba"),
        ("?partnerId=partner_one", "ca"),
        ("?status=FAILED", "cb"),
        ("?status=FAILED&partnerId=partner_two", "b"),
        (f"?userWallet={WALLET.lower()}", "ba"),
        ("?partnerUserId=user-1&partnerId=partner_two", "b"),
        ("?loanPurpose=car&partnerId=partner_one", "a"),
        ("?startDate=2026-01-06", "cb"),
        ("?startDate=2026-01-06&endDate=2026-01-06", "b"),
    ],
)
@pytest.mark.usefixtures("loans")
def test_loans_of_all_partners_by_what_a_partner_looks_for_them_with(api: StaffApi, query: str, found: str) -> None:
    answer = api.get(f"/admin/loans{query}").json()
    assert ("".join(loan["partnerLoanId"] for loan in answer["loans"]), answer["total"]) == (found, len(found))
    whose = {"a": "partner_one", "b": "partner_two", "c": "partner_one"}
    assert [loan["partnerId"] for loan in answer["loans"]] == [whose[name] for name in found]


@pytest.mark.parametrize("name", ["partnerUserId", "loanPurpose"])
def test_a_partners_own_word_is_not_looked_for_among_all_partners_loans(api: StaffApi, name: str) -> None:
    answer = api.get(f"/admin/loans?{name}=car")
    said = "Is a partner's own word: give partnerId too."
    assert (answer.status_code, answer.json()["details"]) == (400, {name: [said]})


@pytest.mark.usefixtures("loans")
def test_a_list_is_read_to_its_end_by_cursor_and_counted_up_to_a_bound(api: StaffApi, monkeypatch: Any) -> None:
    monkeypatch.setattr(loan_selectors, "MOST_COUNTED", 2)
    names, cursor = "", ""
    while cursor is not None:
        page = api.get(f"/admin/loans?limit=1{cursor and f'&cursor={cursor}'}").json()
        names += page["loans"][0]["partnerLoanId"]
        assert (page["total"], page["hasMore"]) == (2, page["next"] is not None)
        cursor = page["next"]
    assert names == "cba"
    other = api.get("/admin/loans?limit=1").json()["next"]
    assert list(api.get(f"/admin/loans?status=FAILED&cursor={other}").json()["details"]) == ["cursor"]


@pytest.mark.usefixtures("loans")
def test_partners_by_status_and_tier_newest_first(api: StaffApi) -> None:
    PartnerFactory.create(partner_id="partner_three", tier="PREMIUM", status="SUSPENDED")
    PartnerFactory.create(partner_id="partner_four", tier="PREMIUM", created_at=clock.now() + dt.timedelta(hours=1))

    def ids(query: str) -> list[str]:
        rows = api.get(f"/admin/partners{query}").json()["partners"]
        return [row["partnerId"].removeprefix("partner_") for row in rows]

    assert ids("?tier=PREMIUM") == ["four", "three"]
    assert ids("?tier=PREMIUM&status=ACTIVE") == ["four"]
    assert ids("?status=SUSPENDED") == ["three"]
    assert api.get("/admin/partners?limit=2").json()["total"] == 4
    assert list(api.get("/admin/partners?tier=GOLD").json()["details"]) == ["tier"]


def log(name: str, minutes: int, **columns: Any) -> None:
    values = {"endpoint": "/partners/borrow", "method": "POST", "status_code": 200, "success": True, "response_time": 5}
    moment = NOON + dt.timedelta(minutes=minutes)
    ApiLog.objects.create(request_id=name, timestamp=moment, **{**values, "partner_id": "partner_one", **columns})


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "dcba"),
        ("?partnerId=partner_one", "ca"),
        ("?success=false", "db"),
        ("?success=true&partnerId=partner_one", "ca"),
        ("?endpoint=/partners/repay", "c"),
        ("?statusCode=401", "d"),
        ("?statusCode=400&success=false&partnerId=partner_two", "b"),
        ("?requestId=b", "b"),
        ("?requestId=mine", ""),
        ("?requestId=mine&partnerId=partner_one", "a"),
        ("?startDate=2026-01-06", "d"),
        ("?endDate=2026-01-05&limit=1", "c"),
    ],
)
def test_the_log_of_calls_by_each_of_its_filters(api: StaffApi, query: str, found: str) -> None:
    log("a", 0, client_request_id="mine")
    log("b", 1, partner_id="partner_two", status_code=400, success=False, client_request_id="mine")
    log("c", 2, endpoint="/partners/repay")
    log("d", 24 * 60, partner_id="", status_code=401, success=False)
    answer = api.get(f"/admin/partners/audit-logs{query}").json()
    assert "".join(row["requestId"] for row in answer["logs"]) == found


def test_a_call_in_the_log_has_the_plans_fields(api: StaffApi) -> None:
    log(
        "a",
        0,
        partner_name="One",
        oaid_token_id=str(2**70),
        user_wallet=WALLET,
        loan_id="loan-1",
        ip_address="203.0.113.7",
        request_payload={"partnerLoanId": "loan-1"},
    )
    (row,) = api.get("/admin/partners/audit-logs").json()["logs"]
    assert row == {
        "partnerId": "partner_one",
        "partnerName": "One",
        "endpoint": "/partners/borrow",
        "method": "POST",
        "ipAddress": "203.0.113.7",
        "userAgent": None,
        "requestPayload": {"partnerLoanId": "loan-1"},
        "statusCode": 200,
        "responseTime": 5,
        "success": True,
        "errorMessage": None,
        "errorCode": None,
        "userWallet": WALLET,
        "oaidTokenId": 2**70,
        "oaidTokenIdString": str(2**70),
        "loanId": "loan-1",
        "requestId": "a",
        "clientRequestId": None,
        "timestamp": "2026-01-05T12:00:00Z",
    }
