"""Endpoint 15: what a partner, or all partners, borrowed and repaid in the last days. As JSON, or a CSV row a day."""

# ruff: noqa: N815 - the contract's names

import csv
import io

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from authority.rights import Right
from loans.api.reports import wants_csv
from partner_platform.core.errors import ErrorCode
from partner_platform.core.money import percent
from partner_platform.core.openapi.fields import BaseUnits, Count
from partner_platform.core.openapi.operations import CSV, Caller, OperationDoc, ResponseDoc, described
from partner_platform.core.web.serializers import OneOfField
from partners import selectors
from partners.api.common import returned, validated
from partners.figures import analytics
from partners.figures.analytics import Analytics
from staff.api.common import PartnerIdPath, StaffViewSet

PERIODS = {"7d": 7, "30d": 30, "90d": 90, "365d": 365}
COLUMNS = (
    *("date", "borrowed", "repaid", "newLoans", "repaidLoans", "defaultedLoans"),
    *("platformFeesEarned", "repaymentRate"),
)


class AnalyticsQuery(serializers.Serializer):
    """`GET /admin/partners/{partnerId}/analytics`."""

    period = OneOfField(
        choices=[(name, name) for name in PERIODS],
        required=False,
        default="30d",
        help_text="So many UTC days, of which today is the last.",
    )


class Percent(serializers.RegexField):
    """A share in percent with one decimal."""

    def __init__(self) -> None:
        super().__init__(r"^[0-9]+\.[0-9]%$")


class AnalyticsMetrics(serializers.Serializer):
    """The period's sums."""

    totalBorrowed = BaseUnits(help_text="The principal of the loans that were paid out.")
    totalRepaid = BaseUnits(help_text="Interest included, whoever paid.")
    newLoans = Count(help_text="Loans that were paid out.")
    repaidLoans = Count(help_text="Loans that a payment closed.")
    activeLoans = Count(help_text="Now, those in default included.")
    defaultRate = Percent()
    averageLoanSize = BaseUnits(help_text="totalBorrowed / newLoans, rounded down; 0 without loans.")
    platformFeesEarned = BaseUnits()


class DailyVolume(serializers.Serializer):
    """A day's sums."""

    date = serializers.DateField()
    borrowed = BaseUnits()
    repaid = BaseUnits()


class DailyRepaymentRate(serializers.Serializer):
    """What was repaid since the period began, in percent of what was borrowed since then."""

    date = serializers.DateField()
    rate = Percent()


class AnalyticsTrends(serializers.Serializer):
    """An entry for each day of the period, oldest first."""

    dailyVolume = DailyVolume(many=True)
    repaymentRate = DailyRepaymentRate(many=True)


class OverallAnalytics(serializers.Serializer):
    """The figures of a period."""

    period = serializers.CharField()
    metrics = AnalyticsMetrics()
    trends = AnalyticsTrends()


class PartnerAnalytics(OverallAnalytics):
    """The figures of a partner."""

    partnerId = serializers.CharField()


_EXAMPLE = {
    "period": "30 days",
    "metrics": {
        "totalBorrowed": "50000000000",
        "totalRepaid": "45000000000",
        "newLoans": 123,
        "repaidLoans": 117,
        "activeLoans": 6,
        "defaultRate": "0.5%",
        "averageLoanSize": "406504065",
        "platformFeesEarned": "250000000",
    },
    "trends": {
        "dailyVolume": [{"date": "2026-01-05", "borrowed": "2000000000", "repaid": "1500000000"}],
        "repaymentRate": [{"date": "2026-01-05", "rate": "75.0%"}],
    },
}
_CSV_EXAMPLE = f"{','.join(COLUMNS)}\r\n2026-01-05,2000000000,1500000000,5,4,0,10000000,75.0%\r\n"
_DESCRIPTION = (
    "`defaultRate`: loans that defaulted or were liquidated in the period, each counted once, in percent of "
    "`newLoans`. With `Accept: text/csv` a row a day. docs/staff.md defines each figure. Right: `staff.view_partners`."
)


def _answers(body: type[OverallAnalytics], example: object) -> tuple[ResponseDoc, ...]:
    when = "The figures, or a row a day as CSV"
    return returned(when, body, example), returned(when, {"type": "string"}, _CSV_EXAMPLE, media_type=CSV)


PARTNER_ANALYTICS = OperationDoc(
    id="getPartnerAnalytics",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="What a partner borrowed and repaid in the last days",
    description=_DESCRIPTION,
    path=PartnerIdPath,
    query=AnalyticsQuery,
    answers=_answers(PartnerAnalytics, {"partnerId": "partner_xyz_lending_001", **_EXAMPLE}),
    errors=(ErrorCode.PARTNER_NOT_FOUND,),
)
OVERALL_ANALYTICS = OperationDoc(
    id="getAnalytics",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="What all partners borrowed and repaid in the last days",
    description=_DESCRIPTION,
    query=AnalyticsQuery,
    answers=_answers(OverallAnalytics, _EXAMPLE),
)


class PartnerAnalyticsViewSet(StaffViewSet):
    """A partner's, by its public id."""

    required_right = Right.VIEW_PARTNERS
    lookup_url_kwarg = "partner_id"
    lookup_value_regex = "[^/]+"

    @action(detail=True, url_path="analytics")
    @described(PARTNER_ANALYTICS)
    def analytics(self, request: Request, partner_id: str) -> HttpResponseBase:
        """Endpoint 15."""
        days = _days_of(request)
        partner = selectors.get_partner(partner_id)
        name = f"analytics-{partner.partner_id}.csv"
        return _answer(request, analytics.analytics_of(partner, days=days), {"partnerId": partner.partner_id}, name)


class AnalyticsViewSet(StaffViewSet):
    """Those of all partners."""

    required_right = Right.VIEW_PARTNERS

    @described(OVERALL_ANALYTICS)
    def list(self, request: Request) -> HttpResponseBase:
        """The same over all partners."""
        return _answer(request, analytics.analytics_of_all(days=_days_of(request)), {}, "analytics.csv")


def _days_of(request: Request) -> int:
    return PERIODS[validated(AnalyticsQuery(data=request.query_params.dict()))["period"]]


def _answer(request: Request, found: Analytics, named: dict[str, str], csv_name: str) -> HttpResponseBase:
    if not wants_csv(request):
        return Response({**named, **present_analytics(found)})
    response = HttpResponse(_csv(found), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{csv_name}"'
    return response


def present_analytics(found: Analytics) -> dict[str, object]:
    """The answer's `period`, `metrics` and `trends`."""
    total = found.total
    return {
        "period": f"{len(found.days)} days",
        "metrics": {
            "totalBorrowed": str(total.drawn),
            "totalRepaid": str(total.repaid),
            "newLoans": total.drawn_loans,
            "repaidLoans": total.repaid_loans,
            "activeLoans": found.active_loans,
            "defaultRate": percent(total.defaulted_loans, total.drawn_loans),
            "averageLoanSize": str(total.drawn // total.drawn_loans if total.drawn_loans else 0),
            "platformFeesEarned": str(total.fees),
        },
        "trends": {
            "dailyVolume": [
                {"date": day.isoformat(), "borrowed": str(figures.drawn), "repaid": str(figures.repaid)}
                for day, figures in found.days.items()
            ],
            "repaymentRate": [
                {"date": day.isoformat(), "rate": percent(until.repaid, until.drawn)}
                for day, until in found.totals_until()
            ],
        },
    }


def _csv(found: Analytics) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for (day, figures), (_, until) in zip(found.days.items(), found.totals_until(), strict=True):
        writer.writerow(
            [
                *(day.isoformat(), figures.drawn, figures.repaid, figures.drawn_loans, figures.repaid_loans),
                *(figures.defaulted_loans, figures.fees, percent(until.repaid, until.drawn)),
            ]
        )
    return text.getvalue()
