"""What each running sum is repaired to, to the base unit, by the records of its own alone."""

import datetime as dt
from typing import Any

import pytest

from audit.models import AuditEntry
from chain.models import FundingTransfer
from loans.models import FundingSource, OaidCredit, PartnerLoan, RepaymentSource, SolvencyPosition
from loans.reconciliation import repairs
from loans.reconciliation.findings import BooksFinding, Repair
from partners.models import Partner, PartnerDailyUsage
from tests.support.books_rows import DAY, TIME, BooksRows, everything

WRONG = 77

# Each sum by what it adds up: of loans of 1,000 (300 of it paid back), 500 (all of it), 2,000 in default, 4,000
# liquidated (1,000 paid back, the rest written off), 16,000 under way and 32,000 failed.
SUMS = [
    ("partner", "current_outstanding", 700 + 2_000 + 16_000),
    ("partner", "total_borrowed", 1_000 + 500 + 2_000 + 4_000),
    ("partner", "total_repaid", 310 + 505 + 1_000),
    ("partner", "active_loans", 2),
    ("partner", "repaid_loans", 1),
    ("usage", "borrowed", 1_000 + 500 + 4_000 + 16_000),  # the one in default was accepted on another day
    ("usage", "drawn", 1_000 + 500 + 4_000),
    ("usage", "drawn_loans", 3),
    ("usage", "fees", 5 + 2 + 20),
    ("usage", "repaid", 505 + 1_000),  # the other payment was made on another day
    ("usage", "repaid_loans", 1),
    ("usage", "defaulted_loans", 1),  # accepted on another day
    ("credit", "reserved", 16_000),
    ("position", "total_partner_debt", 700 + 2_000),
    ("position", "loans_principal", 700 + 2_000),
    ("transfer", "used", 505 + 250 - 2),  # claimed by a repayment under way too, less what the platform covers
    ("loan", "total_repaid", 310),
    ("loan", "interest_paid", 10),
    ("loan", "outstanding_principal", 700),
    ("liquidated", "outstanding_principal", 0),
    ("failed", "outstanding_principal", 0),
]


@pytest.fixture
def rows(world: BooksRows) -> dict[str, Any]:
    """The books of one partner, every sum of which is wrong."""
    partner, position = world.partner(), world.position()

    def lend(principal: int, status: str, **fields: Any) -> PartnerLoan:
        return world.loan(partner, position, principal, status, platform_fee_charged=principal // 200, **fields)

    def pay(loan: PartnerLoan, amount: int, principal: int, **fields: Any) -> None:
        settled = {
            "status": "SETTLED",
            "principal_paid": principal,
            "interest_paid": amount - principal,
            "settled_at": TIME,
        }
        world.repayment(loan, amount, **{**settled, **fields})

    transfer = world.transfer(5_000, WRONG)
    funded = {"funding": FundingSource.TRANSFER, "funding_transfer": transfer}
    other_day = dt.date(2026, 1, 6)
    loan, repaid = lend(1_000, "ACTIVE", default_day=other_day), lend(500, "REPAID", last_repayment_at=TIME)
    PartnerDailyUsage.objects.create(partner=partner, day=other_day, borrowed=2_000)
    elsewhen = lend(2_000, "DEFAULTED", default_day=DAY)
    PartnerLoan.objects.filter(pk=elsewhen.pk).update(daily_usage_day=other_day)
    liquidated = lend(4_000, "LIQUIDATED", written_off_principal=3_000, last_repayment_at=TIME)
    lend(16_000, "PENDING")
    failed = lend(32_000, "FAILED")
    pay(loan, 310, 300, settled_at=TIME + dt.timedelta(hours=12))
    pay(repaid, 505, 500, **funded)
    pay(liquidated, 1_000, 1_000, repaid_by=RepaymentSource.LIQUIDATION)
    world.repayment(loan, 250, platform_covered=2, **funded)
    world.repayment(loan, 40, status="FAILED", **funded)
    world.repayment(loan, 60, repaid_by=RepaymentSource.USER, **funded)  # who repaid by themselves claimed nothing
    return {
        "partner": partner,
        "usage": PartnerDailyUsage.objects.get(partner=partner, day=DAY),
        "credit": OaidCredit.objects.get(oaid_token_id=position.oaid_token_id),
        "position": position,
        "transfer": transfer,
        "loan": loan,
        "liquidated": liquidated,
        "failed": failed,
    }


MODELS: dict[str, type] = {
    "partner": Partner,
    "usage": PartnerDailyUsage,
    "credit": OaidCredit,
    "position": SolvencyPosition,
    "transfer": FundingTransfer,
    "loan": PartnerLoan,
    "liquidated": PartnerLoan,
    "failed": PartnerLoan,
}


def finding_of(row: Any, column: str) -> BooksFinding:
    wanted = Repair(row._meta.label, str(row.pk), column, booked=WRONG, derived=0)
    return BooksFinding("partner:one", column, str(WRONG), "?", wanted)


@pytest.mark.parametrize(("name", "column", "right"), SUMS)
def test_a_sum_is_what_its_records_add_up_to(rows: dict[str, Any], name: str, column: str, right: int) -> None:
    row: Any = rows[name]
    MODELS[name].objects.filter(pk=row.pk).update(**{column: WRONG})  # type: ignore[attr-defined]
    before = everything()

    assert repairs.repair_sum(finding_of(row, column)) is True

    after = everything()
    assert after.keys() == before.keys()
    assert [key for key in before if before[key] != after[key]] == [row.pk]
    counted = {"version": before[row.pk]["version"] + 1} if name == "credit" else {}
    assert after[row.pk] == {**before[row.pk], column: right, **counted}
    [entry] = AuditEntry.objects.filter(action="books.repaired")
    assert (entry.before, entry.after) == ({column: str(WRONG)}, {column: str(right)})
    assert repairs.repair_sum(finding_of(row, column)) is False  # it is right by now
    assert AuditEntry.objects.filter(action="books.repaired").count() == 1
