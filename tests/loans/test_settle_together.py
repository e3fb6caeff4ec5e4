"""Draws that became final together settle in one transaction; one that does not fit holds up none of the others."""

from typing import Any

import pytest

from audit.models import AuditEntry
from chain.models import Operation
from chain.settlement import driver
from loans.models import LoanStatus, OaidCredit, PartnerLoan
from loans.services import settle, settle_together
from loans.services.settle import settle_due
from loans.services.settling_work import Work
from partners.models import Partner
from tests.factories import DOLLAR
from tests.loans.conftest import PartnerClient
from tests.support import books
from tests.support.chain import Chain
from tests.support.invariants import Invariants

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def invariants(chain: Chain) -> Invariants:
    """The chain as it was before the test."""
    return Invariants(chain)


@pytest.fixture
def three_confirmed(chain: Chain, lender: PartnerClient, invariants: Invariants) -> list[PartnerLoan]:
    """Loans of three users in one transaction, mined and confirmed, not settled."""
    for number, user in enumerate(chain.users[:3]):
        assert lender.borrow(user, 100 + number, f"loan-{number}").status_code == 202
    driver.drive_once()
    chain.mine()
    driver.drive_once()
    assert set(Operation.objects.values_list("state", flat=True)) == {"CONFIRMED"}
    return list(PartnerLoan.objects.order_by("partner_loan_id"))


def test_draws_of_different_positions_settle_in_one_transaction(
    three_confirmed: list[PartnerLoan], invariants: Invariants, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(settle, "_settle_one", _must_not_be_called)

    assert settle_due() == 3

    assert set(PartnerLoan.objects.values_list("status", flat=True)) == {LoanStatus.ACTIVE}
    partner = Partner.objects.get()
    assert (partner.active_loans, partner.total_borrowed) == (3, 303 * DOLLAR)
    assert set(OaidCredit.objects.values_list("reserved", flat=True)) == {0}
    told = AuditEntry.objects.filter(action="loan.borrowed").values_list("target", flat=True)
    assert sorted(told) == sorted(f"loan:{loan.internal_loan_id}" for loan in three_confirmed)
    assert books.discrepancies() == []
    assert invariants.violations_at_rest() == []


def test_one_draw_whose_books_are_wrong_undoes_nothing_of_the_others(three_confirmed: list[PartnerLoan]):
    wrong = three_confirmed[1]
    OaidCredit.objects.filter(oaid_token_id=wrong.oaid_token_id).update(reserved=0)

    assert settle_due() == 2

    wrong.refresh_from_db()
    assert (wrong.status, wrong.borrow_operation.acknowledged) == (LoanStatus.PENDING, False)
    assert PartnerLoan.objects.filter(status=LoanStatus.ACTIVE).count() == 2
    assert Partner.objects.get().active_loans == 2
    assert AuditEntry.objects.filter(action="loan.borrowed").count() == 2


def test_a_draw_that_another_sweep_settled_meanwhile_is_not_settled_twice(
    three_confirmed: list[PartnerLoan], monkeypatch: pytest.MonkeyPatch
):
    together = settle_together.settle_together

    def overtaken(operations: Any, loans: Any) -> bool:
        settle._settle_one(operations[0], Work(operations).end_of(operations[0]))
        return together(operations, loans)

    monkeypatch.setattr(settle_together, "settle_together", overtaken)

    assert settle_due() == 2  # the third by the other sweep

    assert set(PartnerLoan.objects.values_list("status", flat=True)) == {LoanStatus.ACTIVE}
    assert (Partner.objects.get().active_loans, Partner.objects.get().total_borrowed) == (3, 303 * DOLLAR)
    assert books.discrepancies() == []


def test_a_run_has_each_position_once_and_keeps_the_order_of_the_chain(three_confirmed: list[PartnerLoan]):
    first, second, third = (loan.borrow_operation for loan in three_confirmed)
    loans = {loan.borrow_operation_id: loan for loan in three_confirmed}
    again = Operation(kind="borrow", state="CONFIRMED")
    repayment = Operation(kind="repay", state="CONFIRMED")
    refused = Operation(kind="borrow", state="REFUSED")
    loans |= {again.pk: three_confirmed[0], refused.pk: three_confirmed[2]}

    runs = list(settle_together.runs([first, second, again, repayment, third, refused], loans))

    assert runs == [[first, second], [again], [repayment], [third], [refused]]


def _must_not_be_called(*_: object) -> bool:
    raise AssertionError("settled on its own")
