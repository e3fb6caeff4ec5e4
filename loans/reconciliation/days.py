"""What a partner's loans of one UTC day add up to: the sums that all of a partner's figures are made of.

A full comparison sums every loan. A quick one takes the sums of the last run (`ReconciledDay`) and sums again, by the
database, the days whose loans moved since, from the loans' own figures, which the same comparison holds against their
repayments. Where a partner's figures then differ, all of its days are summed again before that is a finding.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db.models import Count, F, Sum

from loans.models import PartnerLoan, ReconciledDay
from loans.reconciliation.findings import BooksFinding, column, differs
from loans.reconciliation.records import LoanRecord
from partner_platform.core.database.rows import as_day, as_uuid
from partners.models import Partner, PartnerDailyUsage

Key = tuple[Any, Any]  # partner and day
FIGURES = (
    *("used", "outstanding", "borrowed", "repaid", "active_loans", "repaid_loans"),
    *("drawn_loans", "fees", "defaulted_loans"),
)
# Which figure of a partner each is.
PARTNER_COLUMNS = {
    "current_outstanding": "outstanding",
    "total_borrowed": "borrowed",
    "total_repaid": "repaid",
    "active_loans": "active_loans",
    "repaid_loans": "repaid_loans",
}
# Which column of a usage row each is, of the day that the loans were accepted on.
USAGE_COLUMNS = {"borrowed": "used", "drawn": "borrowed", "drawn_loans": "drawn_loans", "fees": "fees"}
_USED, _OUTSTANDING, _BORROWED, _REPAID, _ACTIVE, _CLOSED, _DRAWN, _FEES, _DEFAULTED = range(len(FIGURES))
ONE_DAY = dt.timedelta(days=1)


class Days:
    """Sums by partner and day. Keys may be as they are stored: `items` converts them."""

    def __init__(self) -> None:
        self.by_key: dict[Key, list[int]] = {}

    def add(self, loan: LoanRecord, outstanding: int, repaid: int) -> None:
        """Add a loan, with what its records say that it owes and was paid."""
        key = (loan.partner_id, loan.daily_usage_day)
        sums = self.by_key.get(key)
        if sums is None:
            sums = self.by_key[key] = no_sums()
        status = loan.status
        if status != "FAILED":
            sums[_USED] += loan.principal_amount
            sums[_OUTSTANDING] += outstanding
            if status != "PENDING":
                sums[_BORROWED] += loan.principal_amount
                sums[_DRAWN] += 1
                sums[_FEES] += loan.platform_fee_charged
        sums[_REPAID] += repaid
        if status in ("ACTIVE", "DEFAULTED"):
            sums[_ACTIVE] += 1
        elif status == "REPAID":
            sums[_CLOSED] += 1
        if loan.default_day is not None:
            sums[_DEFAULTED] += 1

    def correct(self, other: "Days") -> None:
        """Add the sums of `other` to those days that are here too."""
        for key, sums in other.by_key.items():
            mine = self.by_key.get((as_uuid(key[0]), as_day(key[1])))
            if mine is not None:
                mine[:] = [a + b for a, b in zip(mine, sums, strict=True)]

    def replace(self, other: "Days") -> None:
        """Set the sums of all days that `other` has."""
        self.by_key |= other.by_key

    def set(self, key: Key, sums: list[int]) -> None:
        """Set a day's sums."""
        self.by_key[key] = sums

    def items(self) -> Iterator[tuple[tuple[uuid.UUID, dt.date], list[int]]]:
        """The sums by partner's key and day."""
        for (partner, day), sums in self.by_key.items():
            yield (as_uuid(partner), as_day(day)), sums

    def __len__(self) -> int:
        return len(self.by_key)


def no_sums() -> list[int]:
    """The sums of a day without loans."""
    return [0] * len(FIGURES)


class Corrections(Days):
    """By how much the loans' own figures differ from their records: for sums that the database takes of the figures."""

    def add(self, loan: LoanRecord, outstanding: int, repaid: int) -> None:
        """Add what the sums lack."""
        booked = loan.principal_amount - loan.total_repaid + loan.interest_paid - loan.written_off_principal
        lacking = (outstanding - booked) * (loan.status != "FAILED")
        if lacking or repaid != loan.total_repaid:
            sums = self.by_key.setdefault((loan.partner_id, loan.daily_usage_day), no_sums())
            sums[_OUTSTANDING] += lacking
            sums[_REPAID] += repaid - loan.total_repaid


def recomputed(keys: Collection[tuple[uuid.UUID, dt.date]]) -> Days:
    """The sums of these days from their loans, by the database: a query for each partner."""
    made = Days()
    wanted: dict[uuid.UUID, set[dt.date]] = {}
    for partner, day in keys:
        wanted.setdefault(partner, set()).add(day)
        made.set((partner, day), no_sums())
    for partner, days in sorted(wanted.items()):
        # Found by when they were accepted, for which there is an index; a day more on both sides, for clocks differ.
        first, last = day_begins(min(days)), day_begins(max(days))
        loans = PartnerLoan.objects.filter(
            partner_id=partner, created_at__gte=first - ONE_DAY, created_at__lt=last + 2 * ONE_DAY
        )
        _sum_up(loans.filter(daily_usage_day__in=sorted(days)), partner, made)
    return made


def day_begins(day: dt.date) -> dt.datetime:
    """Midnight, UTC."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def recomputed_of_partner(partner: uuid.UUID) -> Days:
    """The sums of all the partner's days from their loans, by the database."""
    made = Days()
    _sum_up(PartnerLoan.objects.filter(partner_id=partner), partner, made)
    return made


def _sum_up(loans: Any, partner: uuid.UUID, days: Days) -> None:
    rows = loans.values_list("daily_usage_day", "status").annotate(
        loans=Count("pk"),
        principal=Sum("principal_amount"),
        fees=Sum("platform_fee_charged"),
        defaulted=Count("default_day"),
        repaid=Sum("total_repaid"),
        owed=Sum(F("principal_amount") - F("total_repaid") + F("interest_paid") - F("written_off_principal")),
    )
    sums: dict[dt.date, list[int]] = {}
    for day, status, *figures in rows:
        count, principal, fees, defaulted, repaid, owed = (int(figure) for figure in figures)
        of_day = sums.setdefault(day, no_sums())
        is_failed, is_drawn = status == "FAILED", status not in ("PENDING", "FAILED")
        for index, value in (
            (_USED, principal * (not is_failed)),
            (_OUTSTANDING, owed * (not is_failed)),
            (_BORROWED, principal * is_drawn),
            (_REPAID, repaid),
            (_ACTIVE, count * (status in ("ACTIVE", "DEFAULTED"))),
            (_CLOSED, count * (status == "REPAID")),
            (_DRAWN, count * is_drawn),
            (_FEES, fees * is_drawn),
            (_DEFAULTED, defaulted),
        ):
            of_day[index] += value
    for day, of_day in sums.items():
        days.set((partner, day), of_day)


# --- Against the books -------------------------------------------------------------------------------------


def by_partner(days: Iterable[tuple[tuple[uuid.UUID, dt.date], list[int]]]) -> dict[uuid.UUID, list[int]]:
    """The partners' sums."""
    totals: dict[uuid.UUID, list[int]] = {}
    for (partner, _), sums in days:
        total = totals.setdefault(partner, no_sums())
        for index, value in enumerate(sums):
            total[index] += value
    return totals


def stored_by_partner() -> dict[uuid.UUID, list[int]]:
    """The partners' sums over the days that the last run stored."""
    rows = ReconciledDay.objects.values_list("partner_id").annotate(**{f"sum_{name}": Sum(name) for name in FIGURES})
    return {partner: [int(figure) for figure in figures] for partner, *figures in rows}


def stored_sums(keys: Collection[tuple[uuid.UUID, dt.date]]) -> dict[tuple[uuid.UUID, dt.date], list[int]]:
    """The sums of these days as the last run stored them; a day that it did not know is left out."""
    partners, days = sorted({partner for partner, _ in keys}), sorted({day for _, day in keys})
    rows = ReconciledDay.objects.filter(partner_id__in=partners, day__in=days)
    found = {(row[0], row[1]): list(row[2:]) for row in rows.values_list("partner_id", "day", *FIGURES)}
    return {key: found[key] for key in keys if key in found}


def check_partner(partner: Partner, sums: list[int]) -> list[BooksFinding]:
    """A partner's running figures against the sums of its days."""
    subject, named = f"partner:{partner.partner_id}", dict(zip(FIGURES, sums, strict=True))
    return [
        finding
        for name, figure in PARTNER_COLUMNS.items()
        for finding in column(subject, Partner, partner.pk, name, getattr(partner, name), named[figure])
    ]


def check_usage(days: Days, partners: Iterable[Partner], *, every: bool) -> list[BooksFinding]:
    """What the usage rows of these days say of the loans accepted on them against their sums; of all days there are
    where `every`.
    """
    by_owner: dict[uuid.UUID, dict[dt.date, dict[str, int]]] = {}
    for (owner, day), values in days.items():
        named = dict(zip(FIGURES, values, strict=True))
        by_owner.setdefault(owner, {})[day] = {column: named[figure] for column, figure in USAGE_COLUMNS.items()}
    return [
        finding
        for partner in partners
        if every or partner.pk in by_owner
        for finding in check_rows(partner, by_owner.get(partner.pk, {}), tuple(USAGE_COLUMNS), every=every)
    ]


def check_rows(
    partner: Partner, sums: Mapping[dt.date, Mapping[str, int]], columns: Sequence[str], *, every: bool
) -> list[BooksFinding]:
    """These columns of the partner's usage rows against the sums of their days; of all its rows where `every`."""
    found, left = [], dict(sums)
    rows = PartnerDailyUsage.objects.filter(partner_id=partner.pk)
    rows = rows if every else rows.filter(day__in=sorted(sums))
    for pk, day, *values in rows.order_by("day").values_list("pk", "day", *columns):
        right = left.pop(day, {})
        for name, value in zip(columns, values, strict=True):
            subject, what = _named(partner, name, day)
            found += column(subject, PartnerDailyUsage, pk, name, value, right.get(name, 0), what)
    for day, right in sorted(left.items()):  # of these there is no row
        for name in columns:
            subject, what = _named(partner, name, day)
            found += differs(subject, what, 0, right.get(name, 0))
    return found


def _named(partner: Partner, column: str, day: dt.date) -> tuple[str, str]:
    """Subject and name: what a limit counts is the partner's, what only analytics show stops nobody."""
    if column == "borrowed":
        return f"partner:{partner.partner_id}", f"daily usage of {day}"
    return f"analytics:{partner.partner_id}", f"{column} of {day}"
