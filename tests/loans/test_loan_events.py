"""Events of a loan on the real chain: the objects are the API's, the evidence is on the node, a reorg is told."""

import json
from typing import Any

import pytest

from events.models import Event
from events.numbering import number_events
from events.selectors import feed_of
from loans import tasks
from loans.models import PartnerLoan
from loans.services import follow
from tests.factories import DOLLAR
from tests.loans.conftest import PartnerClient
from tests.support.actors import repay_on_chain, set_interest_rate
from tests.support.chain import Chain
from tests.support.invariants import Invariants

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 86_400
MONTH = 30 * DAY


def bodies() -> list[dict[str, Any]]:
    return [json.loads(event.body) for event in Event.objects.order_by("loan_id", "sequence")]


def without_depth(loan: dict[str, Any]) -> dict[str, Any]:
    """All but how deep the evidence is, which grows."""
    shallow = dict(loan)
    for name in ("evidence", "borrowEvidence"):
        shallow[name] = {key: value for key, value in loan[name].items() if key != "depth"}
    return shallow


def is_on_the_node(chain: Chain, evidence: dict[str, Any]) -> bool:
    """Whether the pool's log is in that transaction of that block, by the node's own words."""
    block = chain.rpc("eth_getBlockByNumber", hex(evidence["blockNumber"]), False)
    if block["hash"] != evidence["blockHash"]:
        return False
    logs = chain.rpc("eth_getLogs", {"blockHash": evidence["blockHash"], "address": chain.addresses["seniorPool"]})
    return (evidence["txHash"], evidence["logIndex"]) in {
        (log["transactionHash"], int(log["logIndex"], 16)) for log in logs
    }


def test_each_event_carries_what_the_api_answers_and_its_evidence_is_on_the_node(
    chain: Chain, lender: PartnerClient, settle: Any
) -> None:
    invariants, user = Invariants(chain), chain.users[0]
    set_interest_rate(chain, 500)
    answered = []

    def settled() -> None:
        settle()
        follow.follow_chain()
        answered.append(lender.loan())

    lender.borrow(user, 1_000, metadata={"partnerUserId": "u-1"})
    settled()
    chain.pass_time(MONTH)
    lender.repay(100 * DOLLAR)
    settled()
    repay_on_chain(chain, user.wallet, user, 50 * DOLLAR)
    settled()
    lender.repay(int(lender.get("/partners/loan/loan-1/payoff").json()["payoffAmount"]))
    settled()

    told = bodies()
    assert [body["type"] for body in told] == ["loan.borrowed", *["loan.repayment"] * 3, "loan.repaid"]
    assert [body["sequence"] for body in told] == [1, 2, 3, 4, 5]
    assert [body["data"]["repayment"]["repaidBy"] for body in told[1:]] == ["PARTNER", "USER", "PARTNER", "PARTNER"]
    for body, answer in zip([*told[:3], told[4]], answered, strict=True):
        assert without_depth(body["data"]["loan"]) == without_depth(answer)
        assert is_on_the_node(chain, answer["evidence"])
    assert len({answer["evidence"]["blockNumber"] for answer in answered}) == 4
    assert all(is_on_the_node(chain, body["data"]["repayment"]["evidence"]) for body in told[1:])
    assert invariants.violations_at_rest() == []
    assert number_events() == 5
    assert [event.sequence for event in feed_of(lender.partner.pk, after=0, limit=9)] == [1, 2, 3, 4, 5]


def test_a_payment_that_a_reorg_takes_back_is_told_and_told_again_when_it_comes_anew(
    chain: Chain, lender: PartnerClient, settle: Any
) -> None:
    invariants, user = Invariants(chain), chain.users[0]
    lender.borrow(user, 1_000)
    settle()
    follow.follow_chain()
    block = chain.block_number()
    repay_on_chain(chain, user.wallet, user, 40 * DOLLAR)
    follow.follow_chain()
    replaced = bodies()[-1]["data"]["repayment"]["evidence"]

    chain.rpc("anvil_rollback", chain.block_number() - block)
    chain.mine(7)
    follow.follow_chain()
    assert not is_on_the_node(chain, replaced)
    repay_on_chain(chain, user.wallet, user, 40 * DOLLAR)
    follow.follow_chain()

    told = bodies()
    assert [body["type"] for body in told] == ["loan.borrowed", "loan.repayment", "loan.undone", "loan.repayment"]
    assert (told[2]["totalRepaid"], told[3]["totalRepaid"]) == ("0", str(40 * DOLLAR))
    assert is_on_the_node(chain, told[2]["data"]["loan"]["evidence"])  # the draw's again
    assert is_on_the_node(chain, told[3]["data"]["repayment"]["evidence"])
    assert invariants.violations_at_rest() == []


def test_the_sweep_tells_of_due_dates_by_the_chains_clock(
    chain: Chain, lender: PartnerClient, settle: Any, settings: Any
) -> None:
    settings.LOAN_DUE_SOON_SECONDS, settings.LOAN_DEFAULT_GRACE_SECONDS = 3 * DAY, 7 * DAY
    invariants = Invariants(chain)
    lender.borrow(chain.users[0], 900, loanDuration=3 * MONTH, numberOfInstallments=3)
    settle()

    tasks.watch_loans()
    for seconds in (MONTH - 2 * DAY, 3 * DAY, 8 * DAY):
        chain.pass_time(seconds)
        tasks.watch_loans()
        tasks.watch_loans()

    told = [(body["type"], body["data"].get("installment", {}).get("number")) for body in bodies()]
    assert told == [
        ("loan.borrowed", None),
        ("payment.due_soon", 1),
        ("payment.missed", 1),
        ("loan.defaulted", None),
    ]
    assert PartnerLoan.objects.get().event_sequence == 4
    assert invariants.violations() == []


@pytest.mark.parametrize("broken", ["lost", "invented", "wrong status", "missed"])
def test_m6_finds_an_event_that_is_lost_invented_or_wrong(
    chain: Chain, lender: PartnerClient, settle: Any, broken: str
) -> None:
    invariants = Invariants(chain)
    lender.borrow(chain.users[0], 1_000)
    settle()
    assert invariants.violations() == []
    loan, event = PartnerLoan.objects.get(), Event.objects.get()
    if broken == "lost":
        event.delete()
    elif broken == "invented":
        Event.objects.create(
            type="loan.repaid", partner_key=event.partner_key, loan_id=event.loan_id, sequence=2, body=event.body
        )
        PartnerLoan.objects.update(event_sequence=2)
    elif broken == "wrong status":
        Event.objects.update(body=event.body.replace('"status":"ACTIVE"', '"status":"PENDING"'))
    else:
        PartnerLoan.objects.update(schedule=[{"number": 1, "dueAt": "", "amount": "1", "status": "MISSED"}])

    found = invariants.violations()

    assert found
    assert all(sentence.startswith(f"M6: {loan}: ") for sentence in found)
