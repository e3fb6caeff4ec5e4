"""A loan's running figures against its repayments: each that differs is told, and none that agrees."""

from typing import Any

import pytest

from loans.models import PartnerLoan
from loans.reconciliation import records
from loans.reconciliation.days import Days
from loans.reconciliation.loans import check_loans, loan_subject
from loans.reconciliation.records import LoanRecord, PositionGroup
from tests.support.books_rows import BooksRows


def loan_record(loan: PartnerLoan) -> LoanRecord:
    """As a reconciliation reads it."""
    [record] = [
        record
        for record in records.loans(PositionGroup(chosen=(loan.solvency_position_id,)))
        if loan_subject(record) == f"loan:{loan.internal_loan_id}"
    ]
    return record


@pytest.fixture
def loan(world: BooksRows) -> PartnerLoan:
    """Of 1,000, of which 300 came back with 10 of interest; another 50 are on their way."""
    loan = world.loan(
        world.partner(),
        world.position(),
        outstanding_principal=700,
        bearing_principal=700,
        total_repaid=310,
        interest_paid=10,
        repayment_in_flight=True,
    )
    world.repayment(loan, 310, status="SETTLED", principal_paid=300, interest_paid=10)
    world.repayment(loan, 50, status="PENDING")
    world.repayment(loan, 99, status="FAILED")
    return loan


def told(loan: PartnerLoan, **wrong: Any) -> list[str]:
    """What is told where the loan's row has these values, and its records are as they are."""
    record = loan_record(loan)._replace(**wrong)
    findings, _ = check_loans([record], records.repayments([record.pk]), Days())
    return [str(finding) for finding in findings]


def test_a_loan_whose_figures_agree_is_not_told_of(loan: PartnerLoan) -> None:
    assert told(loan) == []


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"total_repaid": 311}, "total_repaid is 311, adds up to 310"),
        ({"interest_paid": 9}, "interest_paid is 9, adds up to 10"),
        ({"outstanding_principal": 699}, "outstanding_principal is 699, adds up to 700"),
        ({"repayment_in_flight": False}, "repayments in flight is 0, adds up to 1"),
        ({"status": "REPAID"}, "status is REPAID, adds up to a debt of 700"),
    ],
)
def test_a_figure_that_differs_is_told_and_no_other(loan: PartnerLoan, wrong: dict[str, Any], what: str) -> None:
    assert told(loan, **wrong) == [f"loan {loan.internal_loan_id} {what}"]


def test_a_position_owes_what_its_drawn_loans_owe_and_counts_those_that_live(world: BooksRows) -> None:
    partner, position = world.partner(), world.position()
    live, closed = world.loan(partner, position, 600), world.loan(partner, position, 500, "REPAID")
    world.repayment(closed, 500, status="SETTLED", principal_paid=500)
    PartnerLoan.objects.filter(pk=closed.pk).update(total_repaid=500, bearing_principal=0)
    pending = world.loan(partner, position, 400, "PENDING")
    elsewhere = world.loan(partner, world.position(), 300, "PENDING")

    every = [loan_record(loan) for loan in (live, closed, pending, elsewhere)]
    findings, by_position = check_loans(every, records.repayments([loan_record(closed).pk]), Days())

    assert findings == []
    [found] = by_position.values()
    assert found.debt == 600
    assert [record.pk for record in found.live] == [loan_record(live).pk]
