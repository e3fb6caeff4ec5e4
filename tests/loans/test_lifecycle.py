"""Default and cure, by staff and by due dates; health, and the warning before liquidation."""

import pytest

from audit.models import AuditEntry
from loans import tasks
from loans.models import LoanStatus, PartnerLoan, SolvencyPosition
from loans.positions.health import health_of
from loans.services import follow
from loans.services.lifecycle import cure, mark_defaulted
from partner_platform.core.errors import BadRequest
from tests.factories import DOLLAR
from tests.support.acting import staff
from tests.support.actors import repay_on_chain, revalue, set_interest_rate

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 86_400
MONTH = 30 * DAY


@pytest.fixture
def in_three_months(chain, lender, settle):
    """$900 in three instalments of a month."""
    answer = lender.borrow(chain.users[0], 900, loanDuration=3 * MONTH, numberOfInstallments=3)
    assert answer.status_code == 202
    settle()
    return lender


def statuses(lender) -> list[str]:
    return [entry["status"] for entry in lender.loan()["schedule"]]


def test_a_loan_with_instalments_shows_its_schedule(chain, in_three_months):
    loan = in_three_months.loan()

    assert (loan["loanDuration"], loan["numberOfInstallments"]) == (3 * MONTH, 3)
    assert [(entry["number"], entry["amount"], entry["status"]) for entry in loan["schedule"]] == [
        (1, "300000000", "DUE"),
        (2, "300000000", "DUE"),
        (3, "300000000", "DUE"),
    ]
    row = PartnerLoan.objects.get()
    assert (row.next_due_at - row.borrowed_at).total_seconds() == MONTH


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"numberOfInstallments": 3}, "loanDuration"),
        ({"loanDuration": 2, "numberOfInstallments": 3}, "numberOfInstallments"),
        ({"loanDuration": 0}, "loanDuration"),
        ({"loanDuration": "100"}, "loanDuration"),
        ({"loanDuration": True}, "loanDuration"),
        ({"loanDuration": 100, "numberOfInstallments": 601}, "numberOfInstallments"),
    ],
)
def test_terms_that_make_no_schedule_are_refused_by_name(chain, lender, terms, field):
    answer = lender.borrow(chain.users[0], 900, **terms)

    assert (answer.status_code, list(answer.json()["details"])) == (400, [field])
    assert not PartnerLoan.objects.exists()


def test_a_missed_instalment_is_marked_and_the_loan_defaults_after_the_grace(chain, in_three_months, settings):
    settings.LOAN_DEFAULT_GRACE_SECONDS = 7 * DAY
    chain.pass_time(MONTH + DAY)
    tasks.watch_loans()
    assert statuses(in_three_months) == ["MISSED", "DUE", "DUE"]
    assert in_three_months.loan()["status"] == "ACTIVE"

    chain.pass_time(7 * DAY)
    tasks.watch_loans()
    tasks.watch_loans()

    loan = in_three_months.loan()
    assert (loan["status"], loan["defaultReason"]) == ("DEFAULTED", None)
    assert loan["defaultedAt"] is not None
    actions = (
        AuditEntry.objects.filter(target__startswith="loan:").order_by("timestamp").values_list("action", flat=True)
    )
    assert list(actions)[-2:] == ["loan.installment_missed", "loan.defaulted"]


def test_the_repayment_that_brings_it_up_to_date_cures_it(chain, in_three_months, settle):
    chain.pass_time(2 * MONTH + 8 * DAY)
    tasks.watch_loans()
    assert statuses(in_three_months) == ["MISSED", "MISSED", "DUE"]
    assert in_three_months.loan()["status"] == "DEFAULTED"

    in_three_months.repay(300 * DOLLAR)
    settle()
    assert (in_three_months.loan()["status"], statuses(in_three_months)) == ("DEFAULTED", ["PAID", "MISSED", "DUE"])
    in_three_months.repay(300 * DOLLAR)
    settle()

    assert (in_three_months.loan()["status"], statuses(in_three_months)) == ("ACTIVE", ["PAID", "PAID", "DUE"])
    assert in_three_months.loan()["defaultedAt"] is None
    assert AuditEntry.objects.filter(action="loan.cured").count() == 1
    in_three_months.repay(300 * DOLLAR)
    settle()
    assert (in_three_months.loan()["status"], statuses(in_three_months)) == ("REPAID", ["PAID", "PAID", "PAID"])
    assert PartnerLoan.objects.get().next_due_at is None


def test_a_users_own_repayment_cures_too(chain, in_three_months):
    chain.pass_time(MONTH + 8 * DAY)
    tasks.watch_loans()
    assert in_three_months.loan()["status"] == "DEFAULTED"

    repay_on_chain(chain, chain.users[0].wallet, chain.users[0], 300 * DOLLAR)
    follow.follow_chain()

    assert (in_three_months.loan()["status"], statuses(in_three_months)) == ("ACTIVE", ["PAID", "DUE", "DUE"])


def test_staff_marks_a_default_with_a_reason_and_cures_it(chain, lender, settle):
    lender.borrow(chain.users[0], 900)
    settle()
    loan = PartnerLoan.objects.get()

    with pytest.raises(BadRequest):
        mark_defaulted(loan_id=loan.pk, actor=staff("ann"), reason=" ")
    mark_defaulted(loan_id=loan.pk, actor=staff("ann"), reason="the user is bankrupt")
    assert (lender.loan()["status"], lender.loan()["defaultReason"]) == ("DEFAULTED", "the user is bankrupt")
    with pytest.raises(BadRequest, match="cannot become defaulted"):
        mark_defaulted(loan_id=loan.pk, actor=staff("ann"), reason="again")
    lender.repay(100 * DOLLAR)
    settle()
    assert lender.loan()["status"] == "DEFAULTED"

    cure(loan_id=loan.pk, actor=staff("ann"), reason="not bankrupt")

    assert lender.loan()["status"] == "ACTIVE"
    entry = AuditEntry.objects.get(action="loan.defaulted")
    assert (entry.actor, entry.after["reason"]) == ("staff:ann", "the user is bankrupt")
    with pytest.raises(BadRequest, match="cannot become active"):
        cure(loan_id=loan.pk, actor=staff("ann"))


def test_a_defaulted_loan_can_be_repaid_in_full(chain, lender, settle):
    lender.borrow(chain.users[0], 900)
    settle()
    mark_defaulted(loan_id=PartnerLoan.objects.get().pk, actor=staff("ann"), reason="late")

    lender.repay(900 * DOLLAR)
    settle()

    assert lender.loan()["status"] == "REPAID"
    assert PartnerLoan.objects.get().status == LoanStatus.REPAID


def test_a_position_near_liquidation_is_warned_about_once_until_it_recovers(chain, lender, settle):
    set_interest_rate(chain, 500)
    user = chain.users[0]
    lender.borrow(user, 7_000)
    settle()
    tasks.watch_loans()
    assert not AuditEntry.objects.filter(action="position.health_warning").exists()

    revalue(chain, user, 9_500 * DOLLAR)  # liquidated above $7,600: within a tenth of it
    follow.follow_chain()
    tasks.watch_loans()
    tasks.watch_loans()

    entry = AuditEntry.objects.get(action="position.health_warning")
    assert entry.target == f"position:{user.position_id}"
    assert entry.after["liquidationDebt"] == str(7_600 * DOLLAR)
    assert entry.after["liquidatable"] is False
    row = SolvencyPosition.objects.get(position_id=user.position_id)
    health = health_of(row, chain.now())
    assert (health.is_at_risk, health.factor_bps) == (True, 9_500 * 10_000 * DOLLAR // health.debt)
    assert row.health_warned_at is not None

    revalue(chain, user, 20_000 * DOLLAR)
    follow.follow_chain()
    tasks.watch_loans()
    row.refresh_from_db()
    assert not health_of(row, chain.now()).is_at_risk
    revalue(chain, user, 9_500 * DOLLAR)
    follow.follow_chain()
    tasks.watch_loans()
    assert AuditEntry.objects.filter(action="position.health_warning").count() == 2


def test_interest_alone_brings_a_position_near_liquidation(chain, lender, settle):
    set_interest_rate(chain, 500)
    lender.borrow(chain.users[0], 7_000)
    settle()

    chain.pass_time(10 * 365 * DAY)  # $10,500 of interest and principal against $11,428
    tasks.watch_loans()

    assert AuditEntry.objects.filter(action="position.health_warning").count() == 1
