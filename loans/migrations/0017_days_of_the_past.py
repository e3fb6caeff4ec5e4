"""What loans added to their partner's figures by day, for the past: the same sums as are counted from now on.

Read once, a partner at a time, as a stream: in memory are one partner's days. May run again after it was stopped
anywhere, for it writes whole sums.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import partner_platform.core.fields
from django.db import migrations, models

UNDRAWN = ("PENDING", "FAILED")
FIGURES = ("drawn", "drawn_loans", "fees", "repaid", "repaid_loans", "defaulted_loans")
ROWS_AT_ONCE = 1_000


def count_the_past(apps: Any, schema_editor: Any) -> None:
    rows = _Rows(apps, schema_editor.connection.alias)
    set_default_days(rows)
    for partner in rows.of("partners", "Partner").order_by("pk").values_list("pk", flat=True).iterator():
        write_days(rows, partner, days_of(rows, partner))


class _Rows:
    def __init__(self, apps: Any, alias: str) -> None:
        self._apps, self._alias = apps, alias

    def of(self, app: str, model: str) -> Any:
        return self._apps.get_model(app, model)._default_manager.using(self._alias)


def set_default_days(rows: _Rows) -> None:
    """By the audit trail, for a loan that was cured keeps no date; then by what the loans and positions say."""
    loans = rows.of("loans", "PartnerLoan")
    trail = rows.of("audit", "AuditEntry").filter(action="loan.defaulted").order_by("timestamp")
    for target, moment in trail.values_list("target", "timestamp").iterator(chunk_size=ROWS_AT_ONCE):
        loan = loans.filter(internal_loan_id=target.partition(":")[2]).exclude(status__in=UNDRAWN)
        loan.update(default_day=moment.date())
    for pk, defaulted_at in _in_pieces(loans.filter(status="DEFAULTED"), "defaulted_at"):
        if defaulted_at is not None:
            loans.filter(pk=pk).update(default_day=defaulted_at.date())
    names = ("solvency_position_id", "last_repayment_at", "defaulted_at", "updated_at")
    for pk, position, *moments in _in_pieces(loans.filter(status="LIQUIDATED"), *names):
        liquidated = rows.of("loans", "SolvencyPosition").filter(position_id=position)
        known = [*liquidated.values_list("liquidated_at", flat=True), *moments]
        loans.filter(pk=pk).update(default_day=next(moment for moment in known if moment is not None).date())


def _in_pieces(query: Any, *names: str) -> Iterator[Any]:
    """The rows in the order of their keys; they may be written meanwhile."""
    found = list(query.order_by("pk").values_list("pk", *names)[:ROWS_AT_ONCE])
    while found:
        yield from found
        found = list(query.filter(pk__gt=found[-1][0]).order_by("pk").values_list("pk", *names)[:ROWS_AT_ONCE])


def days_of(rows: _Rows, partner: Any) -> dict[dt.date, dict[str, int]]:
    """What the partner's loans and repayments add up to, by day."""
    days: dict[dt.date, dict[str, int]] = {}

    def add(day: dt.date, **figures: int) -> None:
        sums = days.setdefault(day, dict.fromkeys(FIGURES, 0))
        for name, figure in figures.items():
            sums[name] += figure

    names = (
        *("status", "daily_usage_day", "principal_amount", "platform_fee_charged"),
        *("last_repayment_at", "default_day"),
    )
    loans = rows.of("loans", "PartnerLoan").filter(partner_id=partner).exclude(status__in=UNDRAWN)
    for status, day, principal, fee, paid_at, default_day in loans.values_list(*names).iterator(
        chunk_size=ROWS_AT_ONCE
    ):
        add(day, drawn=principal, drawn_loans=1, fees=fee)
        if status == "REPAID" and paid_at is not None:
            add(paid_at.date(), repaid_loans=1)
        if default_day is not None:
            add(default_day, defaulted_loans=1)
    repayments = rows.of("loans", "Repayment").filter(partner_id=partner, status="SETTLED")
    for amount, settled_at in repayments.values_list("amount", "settled_at").iterator(chunk_size=ROWS_AT_ONCE):
        if settled_at is not None:
            add(settled_at.date(), repaid=amount)
    return days


def write_days(rows: _Rows, partner: Any, days: dict[dt.date, dict[str, int]]) -> None:
    """Set the sums, and make the rows of days on which nothing was borrowed."""
    usage = rows.of("partners", "PartnerDailyUsage")
    mine = usage.filter(partner_id=partner)
    known = dict(mine.values_list("day", "pk"))
    mine.update(**dict.fromkeys(FIGURES, 0))
    missing = []
    for day, sums in days.items():
        if day in known:
            usage.filter(pk=known[day]).update(**sums)
        else:
            missing.append(usage.model(partner_id=partner, day=day, **sums))
    usage.bulk_create(missing, batch_size=ROWS_AT_ONCE)


class Migration(migrations.Migration):
    dependencies = [
        ("loans", "0016_transfers_told"),
        ("partners", "0017_daily_figures"),
        ("audit", "0005_own_calls_in_order"),
    ]

    operations = [
        migrations.AddField(
            model_name="partnerloan", name="default_day", field=models.DateField(blank=True, null=True)
        ),
        migrations.AddField(
            model_name="reconciledday", name="drawn_loans", field=models.PositiveIntegerField(default=0)
        ),
        migrations.AddField(
            model_name="reconciledday",
            name="fees",
            field=partner_platform.core.fields.BaseUnitsField(default=0),
        ),
        migrations.AddField(
            model_name="reconciledday", name="defaulted_loans", field=models.PositiveIntegerField(default=0)
        ),
        migrations.RunPython(count_the_past, migrations.RunPython.noop),
    ]
