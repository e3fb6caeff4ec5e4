"""Credit staff in the console: a default is marked with a reason and cured, near liquidation is a filter."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from audit.models import AuditEntry
from loans import tasks
from loans.models import PartnerLoan
from loans.services import follow
from loans.services.lifecycle import cure, mark_defaulted
from tests.factories import DOLLAR
from tests.support import acting, console
from tests.support.actors import revalue

pytestmark = pytest.mark.django_db(transaction=True)

LOANS = "/console/loans/partnerloan/"
POSITIONS = "/console/loans/solvencyposition/"


@pytest.fixture
def staff() -> Client:
    get_user_model().objects.create_superuser("ann", "ann@example.com", "a long password for ann")
    client = Client()
    assert client.login(username="ann", password="a long password for ann")
    return client


def act(staff: Client, action: str, reason: str = "") -> str:
    answer = console.act(staff, LOANS, action, *PartnerLoan.objects.all(), reason=reason)
    assert answer.status_code == 200
    return str(answer.content.decode())


def confirm(staff: Client, page: str) -> str:
    """Answer the console's question with all that its page says, as a browser does."""
    return str(staff.post(LOANS, console.hidden_fields(page), follow=True).content.decode())


def test_staff_marks_a_default_and_cures_it(chain, lender, settle, staff):
    lender.borrow(chain.users[0], 900)
    settle()

    assert "A default needs a reason" in act(staff, "default_loans")
    assert lender.loan()["status"] == "ACTIVE"
    act(staff, "default_loans", "bankrupt")
    assert (lender.loan()["status"], lender.loan()["defaultReason"]) == ("DEFAULTED", "bankrupt")
    assert "cannot become defaulted" in act(staff, "default_loans", "again")
    page = act(staff, "cure_loans")
    assert "is DEFAULTED, because bankrupt" in page
    assert lender.loan()["status"] == "DEFAULTED"  # asked first
    confirm(staff, page)

    assert lender.loan()["status"] == "ACTIVE"
    entries = AuditEntry.objects.filter(action__in=["loan.defaulted", "loan.cured"])
    assert {entry.actor for entry in entries} == {"staff:ann"}


def test_a_loan_that_defaulted_anew_since_it_was_shown_is_not_cured(chain, lender, settle, staff):
    lender.borrow(chain.users[0], 900)
    settle()
    loan = PartnerLoan.objects.get()
    mark_defaulted(loan_id=loan.pk, actor=acting.staff("bob"), reason="a due date")
    page = act(staff, "cure_loans")
    cure(loan_id=loan.pk, actor=acting.staff("bob"))
    mark_defaulted(loan_id=loan.pk, actor=acting.staff("bob"), reason="fraud")

    assert "Loan defaulted anew since it was shown: fraud. Look again" in confirm(staff, page)

    assert (lender.loan()["status"], lender.loan()["defaultReason"]) == ("DEFAULTED", "fraud")
    confirm(staff, act(staff, "cure_loans"))
    assert lender.loan()["status"] == "ACTIVE"


def test_positions_near_liquidation_are_a_list(chain, lender, settle, staff):
    lender.borrow(chain.users[0], 7_000)
    settle()
    assert chain.users[0].wallet not in staff.get(POSITIONS, {"risk": "near"}).content.decode()

    revalue(chain, chain.users[0], 9_500 * DOLLAR)
    follow.follow_chain()
    tasks.watch_loans()

    for risk in ("near", "warned"):
        assert chain.users[0].wallet in staff.get(POSITIONS, {"risk": risk}).content.decode()
