"""What a partner's loans of a day add up to: loan by loan, by the database, and what the one lacks of the other."""

import datetime as dt
from typing import Any

import pytest

from loans.models import PartnerLoan
from loans.reconciliation import days
from loans.reconciliation.days import Corrections, Days
from loans.reconciliation.records import LoanRecord
from partners.models import PartnerDailyUsage
from tests.support.books_rows import DAY, BooksRows

OTHER_DAY = dt.date(2026, 1, 6)
# used, outstanding, borrowed, repaid, active loans, repaid loans, drawn loans, fees, defaulted loans
OF_DAY = [1_000 + 500 + 4_000 + 16_000, 700 + 16_000, 1_000 + 500 + 4_000, 310 + 505 + 1_000, 1, 1, 3, 5 + 2 + 20, 2]
OF_OTHER_DAY = [2_000, 2_000, 2_000, 0, 1, 0, 1, 10, 1]


@pytest.fixture
def partner(world: BooksRows) -> Any:
    """A partner with loans of two days: one of each status on the first, one in default on the second."""
    partner, position = world.partner(), world.position()

    def lend(principal: int, status: str, **fields: Any) -> PartnerLoan:
        return world.loan(partner, position, principal, status, platform_fee_charged=principal // 200, **fields)

    lend(1_000, "ACTIVE", default_day=DAY, outstanding_principal=700, total_repaid=310, interest_paid=10)
    lend(500, "REPAID", total_repaid=505, interest_paid=5)
    lend(4_000, "LIQUIDATED", total_repaid=1_000, written_off_principal=3_000, default_day=OTHER_DAY)
    lend(16_000, "PENDING")
    lend(32_000, "FAILED")
    defaulted = lend(2_000, "DEFAULTED", default_day=OTHER_DAY)
    PartnerLoan.objects.filter(pk=defaulted.pk).update(daily_usage_day=OTHER_DAY)
    return partner


def record(loan: PartnerLoan) -> LoanRecord:
    return LoanRecord._make(PartnerLoan.objects.filter(pk=loan.pk).values_list(*LoanRecord._fields).get())


def test_the_database_adds_up_the_days_that_are_asked_for(partner: Any) -> None:
    assert dict(days.recomputed([(partner.pk, DAY)]).items()) == {(partner.pk, DAY): OF_DAY}
    both = days.recomputed([(partner.pk, DAY), (partner.pk, OTHER_DAY)])
    assert dict(both.items()) == {(partner.pk, DAY): OF_DAY, (partner.pk, OTHER_DAY): OF_OTHER_DAY}
    assert len(both) == 2


def test_a_day_without_loans_is_nothing(partner: Any) -> None:
    empty = (partner.pk, dt.date(2026, 1, 9))
    assert dict(days.recomputed([empty]).items()) == {empty: [0] * 9}


def test_all_days_of_a_partner(partner: Any) -> None:
    found = dict(days.recomputed_of_partner(partner.pk).items())
    assert found == {(partner.pk, DAY): OF_DAY, (partner.pk, OTHER_DAY): OF_OTHER_DAY}
    assert days.by_partner(found.items()) == {partner.pk: [a + b for a, b in zip(OF_DAY, OF_OTHER_DAY, strict=True)]}


def test_loan_by_loan_it_is_the_same(partner: Any) -> None:
    made = Days()
    for loan in PartnerLoan.objects.filter(partner=partner):
        made.add(record(loan), loan.outstanding_principal, loan.total_repaid)
    assert dict(made.items()) == {(partner.pk, DAY): OF_DAY, (partner.pk, OTHER_DAY): OF_OTHER_DAY}


@pytest.mark.parametrize(
    ("status", "outstanding", "repaid", "lacking"),
    [
        ("ACTIVE", 700, 310, None),
        ("ACTIVE", 701, 310, [0, 1, 0, 0, 0, 0]),
        ("ACTIVE", 700, 312, [0, 0, 0, 2, 0, 0]),
        ("ACTIVE", 690, 300, [0, -10, 0, -10, 0, 0]),
        ("FAILED", 0, 310, None),
        ("FAILED", 0, 311, [0, 0, 0, 1, 0, 0]),
    ],
)
def test_what_the_loans_own_figures_lack_of_its_records(
    world: BooksRows, status: str, outstanding: int, repaid: int, lacking: list[int] | None
) -> None:
    loan = world.loan(world.partner(), world.position(), 1_000, status, total_repaid=310, interest_paid=10)
    corrections = Corrections()
    corrections.add(record(loan), outstanding, repaid)
    assert dict(corrections.items()) == ({(loan.partner_id, DAY): [*lacking, 0, 0, 0]} if lacking else {})


def test_corrections_are_added_to_the_days_that_are_there_alone(partner: Any) -> None:
    made, more = days.recomputed([(partner.pk, DAY)]), Days()
    added = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    more.set((partner.pk, DAY), added)
    more.set((partner.pk, OTHER_DAY), [7] * 9)
    made.correct(more)
    assert dict(made.items()) == {(partner.pk, DAY): [a + b for a, b in zip(OF_DAY, added, strict=True)]}


def test_days_are_taken_over_from_others(partner: Any) -> None:
    made, other = days.recomputed([(partner.pk, DAY)]), Days()
    other.set((partner.pk, DAY), [0] * 9)
    made.replace(other)
    assert dict(made.items()) == {(partner.pk, DAY): [0] * 9}


@pytest.mark.parametrize("every", [False, True])
def test_usage_is_compared_by_day_and_a_day_without_a_row_has_none(world: BooksRows, every: bool) -> None:
    owner = world.partner(borrowed=70)
    PartnerDailyUsage.objects.filter(partner=owner).update(drawn=60, drawn_loans=2, fees=3)
    made, third = Days(), dt.date(2026, 1, 7)
    for day, used, drawn, loans, fees in ((DAY, 75, 61, 3, 4), (OTHER_DAY, 5, 0, 0, 0), (third, 0, 0, 0, 0)):
        made.set((owner.pk, day), [used, 0, drawn, 0, 0, 0, loans, fees, 0])
    found = [str(finding) for finding in days.check_usage(made, [owner], every=every)]
    assert found == [
        f"partner {owner.partner_id} daily usage of {DAY} is 70, adds up to 75",
        f"analytics {owner.partner_id} drawn of {DAY} is 60, adds up to 61",
        f"analytics {owner.partner_id} drawn_loans of {DAY} is 2, adds up to 3",
        f"analytics {owner.partner_id} fees of {DAY} is 3, adds up to 4",
        f"partner {owner.partner_id} daily usage of {OTHER_DAY} is 0, adds up to 5",
    ]
