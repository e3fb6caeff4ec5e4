"""Analytics for staff: the plan's answer from the rows of days, as JSON and as CSV; at any size the same queries."""

import datetime as dt
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from loans.models import LoanStatus
from partner_platform.core import clock
from partners.figures import analytics
from partners.models import Partner, PartnerDailyUsage
from tests.factories import LoanFactory, PartnerFactory
from tests.support.acting import group_of
from tests.support.planner import assert_uses_index
from tests.support.signing_in import tokens_of

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 1, 31, 23, 59, tzinfo=dt.UTC)
TODAY = NOW.date()
ONE_DAY = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def _at_the_end_of_january(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "timezone", SimpleNamespace(now=lambda: NOW))


@pytest.fixture
def headers() -> dict[str, str]:
    """Those of a viewer."""
    return headers_of("vera", "viewer")


def headers_of(username: str, *roles: str) -> dict[str, str]:
    user = User.objects.create_user(username, is_staff=True)
    user.groups.add(*(group_of(role) for role in roles))
    with patch.object(clock, "timezone", timezone):  # the token's end is compared with the machine's time
        return {"Authorization": f"Bearer {tokens_of(user).access}"}


def count(partner: Partner, days_ago: int, **figures: int) -> None:
    day = TODAY - days_ago * ONE_DAY
    PartnerDailyUsage.objects.create(partner=partner, day=day, borrowed=10**12, **figures)


def get(path: str, headers: dict[str, str], **query: str) -> Any:
    return Client().get(f"/admin/{path}", query, headers=headers)


def test_the_plans_figures(headers: dict[str, str]) -> None:
    partner = PartnerFactory.create(active_loans=6)
    count(partner, 29, drawn=30_000_000_000, drawn_loans=100, fees=150_000_000)
    count(partner, 10, drawn=20_000_000_000, drawn_loans=23, fees=100_000_000, repaid=15_000_000_000, repaid_loans=17)
    count(partner, 0, repaid=30_000_000_000, repaid_loans=100, defaulted_loans=1)
    count(partner, 30, drawn=7, drawn_loans=7, fees=7, repaid=7, repaid_loans=7, defaulted_loans=7)  # too old
    count(PartnerFactory.create(active_loans=9), 1, drawn=9, drawn_loans=9, fees=9, repaid=9)

    answer = get(f"partners/{partner.partner_id}/analytics", headers, period="30d")

    assert answer.status_code == 200
    body = answer.json()
    trends = body.pop("trends")
    assert body == {
        "partnerId": partner.partner_id,
        "period": "30 days",
        "metrics": {
            "totalBorrowed": "50000000000",
            "totalRepaid": "45000000000",
            "newLoans": 123,
            "repaidLoans": 117,
            "activeLoans": 6,
            "defaultRate": "0.8%",
            "averageLoanSize": "406504065",
            "platformFeesEarned": "250000000",
        },
    }
    assert set(trends) == {"dailyVolume", "repaymentRate"}
    assert len(trends["dailyVolume"]) == len(trends["repaymentRate"]) == 30
    volume = {entry["date"]: (entry["borrowed"], entry["repaid"]) for entry in trends["dailyVolume"]}
    assert list(volume) == sorted(volume)
    assert {day: sums for day, sums in volume.items() if sums != ("0", "0")} == {
        "2026-01-02": ("30000000000", "0"),
        "2026-01-21": ("20000000000", "15000000000"),
        "2026-01-31": ("0", "30000000000"),
    }
    rates = {entry["date"]: entry["rate"] for entry in trends["repaymentRate"]}
    assert [rates[day] for day in ("2026-01-20", "2026-01-21", "2026-01-30", "2026-01-31")] == [
        "0.0%",
        "30.0%",
        "30.0%",
        "90.0%",
    ]


@pytest.mark.parametrize(("period", "days"), [("7d", 7), ("30d", 30), ("90d", 90), ("365d", 365), (None, 30)])
def test_a_period_is_so_many_days_of_which_today_is_the_last(
    headers: dict[str, str], period: str | None, days: int
) -> None:
    partner = PartnerFactory.create()
    for days_ago in (0, days - 1, days, -1):
        count(partner, days_ago, drawn_loans=1)
    query = {} if period is None else {"period": period}
    for path in (f"partners/{partner.partner_id}/analytics", "analytics"):
        body = get(path, headers, **query).json()
        assert (body["period"], body["metrics"]["newLoans"]) == (f"{days} days", 2)
        assert body["trends"]["dailyVolume"][0]["date"] == (TODAY - (days - 1) * ONE_DAY).isoformat()
        assert body["trends"]["dailyVolume"][-1]["date"] == "2026-01-31"
        assert len(body["trends"]["dailyVolume"]) == days


@pytest.mark.parametrize("period", ["", "8d", "30", "30D", "-7d", "30d ", "1000000d", "\u0663\u0660d"])
def test_another_period_is_a_bad_request_that_names_the_field_and_the_periods(
    headers: dict[str, str], period: str
) -> None:
    partner = PartnerFactory.create()
    for path in (f"partners/{partner.partner_id}/analytics", "analytics"):
        answer = get(path, headers, period=period)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert answer.json()["details"] == {"period": ["Must be one of 7d, 30d, 90d, 365d."]}


def test_a_partner_without_loans_divides_nothing_by_zero(headers: dict[str, str]) -> None:
    partner = PartnerFactory.create()
    body = get(f"partners/{partner.partner_id}/analytics", headers, period="7d").json()
    assert body["metrics"] == {
        "totalBorrowed": "0",
        "totalRepaid": "0",
        "newLoans": 0,
        "repaidLoans": 0,
        "activeLoans": 0,
        "defaultRate": "0.0%",
        "averageLoanSize": "0",
        "platformFeesEarned": "0",
    }
    assert body["trends"]["repaymentRate"][6] == {"date": "2026-01-31", "rate": "0.0%"}
    Partner.objects.all().delete()
    assert get("analytics", headers).json()["metrics"]["activeLoans"] == 0


def test_overall_is_the_sum_of_all_partners(headers: dict[str, str]) -> None:
    first, second = PartnerFactory.create(active_loans=2), PartnerFactory.create(active_loans=3)
    count(first, 0, drawn=100, drawn_loans=1, fees=1, repaid=10, repaid_loans=1)
    count(second, 0, drawn=300, drawn_loans=2, fees=2, repaid=290, defaulted_loans=1)
    count(second, 3, drawn=100, drawn_loans=1, fees=4)

    body = get("analytics", headers, period="7d").json()

    assert set(body) == {"period", "metrics", "trends"}
    assert body["metrics"] == {
        "totalBorrowed": "500",
        "totalRepaid": "300",
        "newLoans": 4,
        "repaidLoans": 1,
        "activeLoans": 5,
        "defaultRate": "25.0%",
        "averageLoanSize": "125",
        "platformFeesEarned": "7",
    }
    assert body["trends"]["dailyVolume"][3] == {"date": "2026-01-28", "borrowed": "100", "repaid": "0"}
    assert body["trends"]["dailyVolume"][6] == {"date": "2026-01-31", "borrowed": "400", "repaid": "300"}


def test_as_csv_it_is_a_row_a_day(headers: dict[str, str]) -> None:
    partner = PartnerFactory.create()
    count(partner, 5, drawn=1_000, drawn_loans=3, fees=5)
    count(partner, 0, repaid=250, repaid_loans=1, defaulted_loans=2)

    of_partner = get(f"partners/{partner.partner_id}/analytics", {**headers, "Accept": "text/csv"}, period="7d")
    overall = get("analytics", {**headers, "Accept": "text/csv"}, period="7d")

    assert of_partner.content.decode().split("\r\n") == [
        "date,borrowed,repaid,newLoans,repaidLoans,defaultedLoans,platformFeesEarned,repaymentRate",
        "2026-01-25,0,0,0,0,0,0,0.0%",
        "2026-01-26,1000,0,3,0,0,5,0.0%",
        *(f"2026-01-{day},0,0,0,0,0,0,0.0%" for day in (27, 28, 29, 30)),
        "2026-01-31,0,250,0,1,2,0,25.0%",
        "",
    ]
    assert overall.content == of_partner.content
    assert of_partner["Content-Type"] == overall["Content-Type"] == "text/csv; charset=utf-8"
    name = f'attachment; filename="analytics-{partner.partner_id}.csv"'
    assert (of_partner["Content-Disposition"], overall["Content-Disposition"]) == (
        name,
        'attachment; filename="analytics.csv"',
    )
    assert "Accept" in of_partner["Vary"]


def test_who_may_not_see_partners_is_refused_and_told_which_right_is_missing(
    headers: dict[str, str], groups_of_one_right: None
) -> None:
    partner = PartnerFactory.create()
    for path in (f"partners/{partner.partner_id}/analytics", "analytics"):
        assert get(path, {}).json()["code"] == "missing_token"
    others = headers_of("lea", "staff.view_loans")
    for path in (f"partners/{partner.partner_id}/analytics", "analytics"):
        answer = get(path, others)
        assert (answer.status_code, answer.json()["code"]) == (403, "right_missing")
        assert answer.json()["details"] == {"right": "staff.view_partners"}


@pytest.mark.parametrize("partner_id", ["partner_none_999", "create", "audit-logs", "x" * 300])
def test_no_partner_is_not_found(headers: dict[str, str], partner_id: str) -> None:
    answer = get(f"partners/{partner_id}/analytics", headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "partner_not_found")


@pytest.mark.parametrize("path", ["partners/{}/analytics", "analytics"])
def test_an_answer_takes_the_same_queries_with_many_loans_and_days(
    headers: dict[str, str], django_assert_num_queries: Any, django_assert_max_num_queries: Any, path: str
) -> None:
    partner = PartnerFactory.create()
    path = path.format(partner.partner_id)
    with django_assert_max_num_queries(7) as few:  # user, groups, permissions, the log of calls; the figures: two
        get(path, headers, period="365d")
    for days_ago in range(0, 400, 3):
        count(partner, days_ago, drawn=5, drawn_loans=1)
    LoanFactory.create_batch(20, partner=partner, status=LoanStatus.ACTIVE)
    with django_assert_num_queries(len(few.captured_queries)):
        body = get(path, headers, period="365d").json()
    assert body["metrics"]["newLoans"] == len(range(0, 365, 3))


def test_the_rows_are_found_by_an_index() -> None:
    assert_uses_index(analytics.partner_days_query(PartnerFactory.build(), days=30, today=TODAY))
    assert_uses_index(analytics.all_days_query(days=30, today=TODAY), sorts=True)


@pytest.mark.parametrize("whose", ["a partner's", "everybody's"])
def test_midnight_in_the_middle_of_an_answer_adds_no_day_to_its_period(
    monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    partner = PartnerFactory.create()
    count(partner, 6, drawn_loans=1)
    moments = iter([NOW])  # and after that a minute later
    monkeypatch.setattr(clock, "timezone", SimpleNamespace(now=lambda: next(moments, NOW + dt.timedelta(minutes=1))))
    is_one = whose == "a partner's"
    found = analytics.analytics_of(partner, days=7) if is_one else analytics.analytics_of_all(days=7)
    assert list(found.days) == [TODAY - number * ONE_DAY for number in range(6, -1, -1)]
    assert found.total.drawn_loans == 1
