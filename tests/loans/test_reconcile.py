"""The reconciliation finds each planted discrepancy and nothing else, freezes what disagrees, repairs what it can."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import F
from prometheus_client import REGISTRY

from audit.models import AuditEntry
from chain.events.second_reading import EVERY_BLOCKS
from chain.models import ChainEvent, FundingTransfer, PlatformWallet, WalletStatus
from loans.models import OaidCredit, PartnerLoan, ReconciliationRun, SolvencyPosition
from loans.reconciliation import own_events
from loans.reconciliation.run import reconcile
from loans.services import follow
from partners.figures.daily_figures import COLUMNS
from partners.models import Partner, PartnerDailyUsage, PartnerStatus
from tests.factories import DOLLAR
from tests.support.actors import repay_on_chain, set_interest_rate, transfer_usdc
from tests.support.chain import FINAL_AFTER_BLOCKS
from tests.support.commands import type_command

pytestmark = pytest.mark.django_db(transaction=True)

MONTH = 30 * 86_400


@pytest.fixture
def history(chain, make_client, settle):
    """Two partners, three loans at 5 %, payments of all kinds, a payoff, one loan in motion at the end of each day."""
    set_interest_rate(chain, 500)
    first, second, user = make_client(0), make_client(1), chain.users[1]
    first.borrow(user, 5_000, "a")
    second.borrow(user, 3_000, "b")
    settle()
    chain.pass_time(MONTH)
    tx_hash = transfer_usdc(chain, first.partner.settlement_address, chain.addresses["executor"], 500 * DOLLAR)
    first.repay(400 * DOLLAR, "a", repaymentTxHash=tx_hash)
    second.borrow(chain.users[0], 700, "c")
    settle()
    chain.pass_time(MONTH)
    repay_on_chain(chain, user.wallet, user, 100 * DOLLAR)
    second.repay(int(second.get("/partners/loan/c/payoff").json()["payoffAmount"]), "c")
    settle()
    follow.follow_chain()
    return first, second


def loan(name: str) -> Any:
    return PartnerLoan.objects.filter(partner_loan_id=name)


def position(chain: Any) -> Any:
    return SolvencyPosition.objects.filter(position_id=chain.users[1].position_id)


def partner(client: Any) -> Any:
    return Partner.objects.filter(pk=client.partner.pk)


def day_of(client: Any) -> Any:
    """The usage row of the day on which the partner borrowed; payments made others."""
    return PartnerDailyUsage.objects.filter(partner=client.partner, borrowed__gt=0)


def plant(rows: Any, name: str, change: int = 7) -> Callable[[], None]:
    return lambda: rows.update(**{name: F(name) + change})


PLANTS: dict[str, Callable[..., Any]] = {
    "a loan's outstanding principal": lambda chain, a, b: (loan("a"), "outstanding_principal", "loan"),
    "what a loan repaid": lambda chain, a, b: (loan("b"), "total_repaid", "loan"),
    "a partner's outstanding": lambda chain, a, b: (partner(a), "current_outstanding", "partner"),
    "what a partner borrowed": lambda chain, a, b: (partner(b), "total_borrowed", "partner"),
    "a partner's day": lambda chain, a, b: (day_of(a), "borrowed", "partner"),
    "what was paid out of a day's": lambda chain, a, b: (day_of(a), "drawn", "analytics"),
    "a day's loans": lambda chain, a, b: (day_of(a), "drawn_loans", "analytics"),
    "a day's fees": lambda chain, a, b: (day_of(a), "fees", "analytics"),
    "what was repaid on a day": lambda chain, a, b: (day_of(a), "repaid", "analytics"),
    "the loans repaid on a day": lambda chain, a, b: (day_of(a), "repaid_loans", "analytics"),
    "the loans that defaulted on a day": lambda chain, a, b: (day_of(a), "defaulted_loans", "analytics"),
    "an OAID's reservations": lambda chain, a, b: (
        OaidCredit.objects.filter(oaid_token_id=chain.users[1].oaid_token_id),
        "reserved",
        "oaid",
    ),
    "a position's partner debt": lambda chain, a, b: (position(chain), "total_partner_debt", "position"),
    "a position's debt at the pool": lambda chain, a, b: (position(chain), "pool_principal", "position"),
    "a wallet's nonce": lambda chain, a, b: (PlatformWallet.objects.all(), "next_nonce", "wallet"),
    "a transfer's use": lambda chain, a, b: (FundingTransfer.objects.all(), "used", "transfer"),
}


def test_a_history_of_everything_agrees_with_itself_and_the_chain(chain, history):
    report = reconcile()

    assert report.findings == []
    assert report.in_motion == []
    assert report.checked == {"position": 3, "wallet": 1, "account": 1, "transfer": 1, "loan": 3, "repayment": 2}
    assert ReconciliationRun.objects.get().finding_count == 0


def test_what_is_final_is_found_by_its_place_and_no_operation_is_read_for_it(chain, history, monkeypatch):
    chain.mine(FINAL_AFTER_BLOCKS + EVERY_BLOCKS)
    follow.follow_chain()
    follow.follow_chain()  # what is final was read twice by now
    monkeypatch.setattr(own_events, "_operations", lambda **_: pytest.fail("an operation is read"))
    assert reconcile().checked["loan"] == 3


@pytest.mark.parametrize("what", PLANTS)
def test_each_planted_discrepancy_is_found_and_nothing_else(chain, history, what):
    rows, column, kind = PLANTS[what](chain, *history)
    plant(rows, column)()

    report = reconcile()

    assert len(report.findings) == 1, report.findings
    assert report.findings[0].kind == kind
    assert int(report.findings[0].booked) - int(report.findings[0].actual) == 7


def test_a_loans_wrong_fee_is_missed_on_the_platform_account_and_in_the_days_fees(chain, history):
    plant(loan("a"), "platform_fee_charged")()

    found = [
        (finding.kind, finding.what.partition(" ")[0], int(finding.booked) - int(finding.actual))
        for finding in reconcile().findings
    ]

    assert found == [("analytics", "fees", -7), ("account", "usdc", 7)]


def test_ten_discrepancies_at_once_are_each_found_and_nothing_else(chain, history):
    for build in PLANTS.values():
        rows, column, _ = build(chain, *history)
        plant(rows, column)()

    found = reconcile().findings

    assert sorted((finding.kind, finding.what.partition(" of ")[0]) for finding in found) == sorted(
        [
            ("loan", "outstanding_principal"),
            ("loan", "total_repaid"),
            ("partner", "current_outstanding"),
            ("partner", "total_borrowed"),
            ("partner", "daily usage"),
            *(("analytics", name) for name in COLUMNS),
            ("oaid", "reserved"),
            ("position", "total_partner_debt"),
            ("position", "debt"),
            ("wallet", "next_nonce"),
            ("transfer", "used"),
        ]
    )


def test_a_repair_puts_derived_sums_right_and_leaves_the_rest_frozen(chain, history, capsys):
    first, second = history
    plant(partner(first), "current_outstanding")()
    plant(position(chain), "pool_principal")()
    assert reconcile(freeze=True, repair=True).unconfirmed == 2
    chain.mine()

    with pytest.raises(SystemExit) as ended:
        type_command("reconcile", "--json", "-", "--freeze", "--repair")

    assert ended.value.code == 1
    body = json.loads(capsys.readouterr().out)
    assert [(finding["what"], finding["stands"]) for finding in body["findings"]] == [
        ("current_outstanding", True),
        ("debt", True),
    ]
    assert len(body["repaired"]) == 1
    assert body["frozen"] == [f"position:{chain.users[1].position_id}"]
    assert partner(first).get().status == PartnerStatus.ACTIVE
    assert AuditEntry.objects.get(action="books.repaired").after.keys() == {"current_outstanding"}
    refused = second.borrow(chain.users[1], 10, "frozen")
    assert (refused.status_code, refused.json()["code"]) == (409, "position_frozen")
    assert REGISTRY.get_sample_value("reconciliation_discrepancies", {"kind": "position"}) == 1

    plant(position(chain), "pool_principal", -7)()
    type_command("reconcile", "--repair")
    assert second.borrow(chain.users[1], 10, "thawed").status_code == 202
    assert REGISTRY.get_sample_value("reconciliation_discrepancies", {"kind": "position"}) == 0


def test_a_wrong_partner_is_suspended_and_a_wrong_account_stops_the_wallet(chain, history):
    first, _ = history
    plant(partner(first), "total_repaid")()
    plant(loan("a"), "platform_fee_charged")()

    reconcile(freeze=True)
    chain.mine()
    report = reconcile(freeze=True)

    assert len(report.frozen) == 2
    assert partner(first).get().status == PartnerStatus.SUSPENDED
    assert PlatformWallet.objects.get().status == WalletStatus.FROZEN


def test_what_is_in_motion_is_no_discrepancy(chain, history):
    from chain.settlement import driver

    first, _ = history
    first.borrow(chain.users[1], 50, "moving")
    driver.drive_once()
    chain.mine()  # landed, and the driver has not seen it

    report = reconcile()

    assert report.findings == []
    moving = {motion.subject: motion.since_block for motion in report.in_motion}
    assert moving[f"position:{chain.users[1].position_id}"] == report.block_number
    assert not any(motion.overdue for motion in report.in_motion)


def test_an_event_that_is_missing_is_found(chain, history):
    ours = ChainEvent.objects.filter(name="SolvencyVault.LoanRepaid").exclude(operation_uid="")
    ours.order_by("block_number").first().delete()

    assert [finding.what for finding in reconcile().findings] == ["amount"]
