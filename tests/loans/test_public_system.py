"""The system as deployed in public, chosen by configuration: the same flows against a second set of contracts.

Borrowing takes a duration and instalments, a credit line is a struct, there is no `ownerOf`, one plan is active per
position, and paying too much reverts.
"""

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from chain.lending import deployment, readings
from chain.lending.contracts import artifact
from chain.lending.dialects import dialect
from chain.lending.encoding import Call, encode_call
from chain.lending.fast_codec import function
from chain.lending.revert_data import describe_revert
from chain.models import ChainEvent
from chain.rpc.clients import RpcError, get_client
from loans.models import PartnerLoan, SolvencyPosition
from loans.reconciliation.run import reconcile
from loans.services import follow
from tests.factories import DOLLAR
from tests.support.actors import fund_usdc, liquidate, repay_on_chain, revalue, set_interest_rate
from tests.support.chain import Chain

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 86_400
HEAD = "latest"


@pytest.fixture
def chain(anvil: Chain, settings) -> Iterator[Chain]:
    """A chain for one test with the public system on it, and the platform pointed at that."""
    from sandbox.furnish import build_world

    cache.clear()
    snapshot = anvil.rpc("evm_snapshot")
    settings.CHAIN_SYSTEM = "public"
    with anvil.automine():
        world = build_world(partners=["partner-1", "partner-2"])
    for name, value in world.environment().items():
        setattr(settings, name, value)
    settings.WATCH_FROM_BLOCK = anvil.block_number()
    readings._position_hints.clear()
    yield Chain(port=anvil.port, world=world)
    readings._position_hints.clear()
    assert anvil.rpc("evm_revert", snapshot) is True
    cache.clear()


def test_the_second_set_of_contracts_has_the_public_interface(chain):
    assert (dialect().vault, dialect().oaid) == ("PublicSolvencyVault", "PublicOAID")
    oaid = {item["name"]: item for item in artifact("PublicOAID").abi if item["type"] == "function"}
    [line] = oaid["getCreditLine"]["outputs"]
    assert [part["name"] for part in line["components"]] == ["user", "limit", "used", "positionId", "active"]
    assert "ownerOf" not in oaid
    borrow = function("PublicSolvencyVault", "borrowUSDC").selector
    assert borrow == encode_call("borrowUSDC(uint256,uint256,uint256,uint256)", [0] * 4)[:10]


def test_a_credit_line_reads_alike(chain, lender):
    user = chain.users[0]

    assert lender.get(f"/partners/public/oaid/{user.oaid_token_id}/credit-line").json() == {
        "oaidTokenId": user.oaid_token_id,
        "oaidTokenIdString": str(user.oaid_token_id),
        "creditLimit": "10000000000",
        "creditUsed": "0",
        "availableCredit": "10000000000",
        "active": True,
        "owner": user.wallet,
    }
    unknown = lender.get("/partners/public/oaid/4242/credit-line")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "oaid_not_found")
    stranger = lender.borrow(user, 100, userWallet=chain.users[1].wallet)
    assert (stranger.status_code, stranger.json()["code"]) == (403, "not_oaid_owner")


def test_a_loan_is_drawn_with_its_plan_repaid_in_parts_and_paid_off(chain, lender, settle):
    set_interest_rate(chain, 500)
    user, settlement = chain.users[0], lender.partner.settlement_address
    before = chain.usdc_balance(settlement)

    assert lender.borrow(user, 900, loanDuration=90 * DAY, numberOfInstallments=3).status_code == 202
    settle()
    follow.follow_chain()

    assert chain.usdc_balance(settlement) - before == 895_500_000
    drawn = ChainEvent.objects.get(name="PublicSolvencyVault.USDCBorrowed")
    assert (drawn.args["loanDuration"], drawn.args["numberOfInstallments"]) == (str(90 * DAY), "3")
    assert len(lender.loan()["schedule"]) == 3
    chain.pass_time(30 * DAY)
    lender.repay(300 * DOLLAR)
    settle()
    assert lender.loan()["remainingDebt"] == str(chain.debt(user.position_id))
    quote = lender.get("/partners/loan/loan-1/payoff").json()
    lender.repay(int(quote["payoffAmount"]))
    settle()
    follow.follow_chain()
    assert lender.loan()["status"] == "REPAID"
    assert chain.debt(user.position_id) == 0
    assert reconcile().findings == []
    assert lender.borrow(user, 100, "loan-2").status_code == 202
    settle()
    assert lender.loan("loan-2")["status"] == "ACTIVE"


def test_one_plan_is_active_per_position(chain, lender, settle):
    user = chain.users[0]
    lender.borrow(user, 900)
    lender.borrow(user, 100, "at-once")
    settle()

    later = lender.borrow(user, 100, "later")

    assert (later.status_code, later.json()["code"]) == (400, "position_has_loan")
    assert later.json()["details"] == {"positionId": str(user.position_id), "debt": "900000000"}
    duplicate = lender.borrow(user, 100)
    assert (duplicate.status_code, duplicate.json()["code"]) == (409, "duplicate_loan_id")  # named first
    assert lender.loan("at-once")["status"] == "FAILED"
    assert lender.loan("at-once")["failureReason"] == f"PlanActive(positionId={user.position_id})"
    assert PartnerLoan.objects.filter(status="ACTIVE").count() == 1


def test_paying_too_much_reverts(chain, lender, settle):
    user, vault = chain.users[0], chain.addresses["solvencyVault"]
    lender.borrow(user, 900)
    settle()
    fund_usdc(chain, user.wallet, 1_000 * DOLLAR)

    assert lender.repay(900 * DOLLAR + 1).json()["code"] == "repayment_exceeds_debt"
    with chain.automine():
        approve = Call(chain.addresses["usdc"], 0, encode_call("approve(address,uint256)", [vault, 10**12]))
        deployment.send(client=get_client(), key=user.private_key, calls=[approve])
    data = encode_call("repayLoan(uint256,uint256)", [user.position_id, 900 * DOLLAR + 1])
    with pytest.raises(RpcError) as refused:
        get_client().call("eth_call", [{"from": user.wallet, "to": vault, "data": data}, HEAD])
    assert describe_revert(refused.value.data).startswith("RepaymentExceedsDebt")


def test_the_users_own_repayment_and_a_liquidation_are_followed(chain, lender, settle):
    set_interest_rate(chain, 500)
    user = chain.users[0]
    lender.borrow(user, 5_000)
    settle()
    chain.pass_time(30 * DAY)
    repay_on_chain(chain, user.wallet, user, 1_000 * DOLLAR)
    follow.follow_chain()
    assert lender.loan()["repaymentHistory"][0]["repaidBy"] == "USER"
    assert lender.loan()["remainingDebt"] == str(chain.debt(user.position_id))

    revalue(chain, user, 3_000 * DOLLAR)
    liquidate(chain, chain.users[1].wallet, user, 3_000 * DOLLAR)
    follow.follow_chain()

    loan = lender.loan()
    assert (loan["status"], loan["totalRepaid"]) == ("LIQUIDATED", str(4_000 * DOLLAR))
    assert not SolvencyPosition.objects.get(position_id=user.position_id).active
    assert reconcile().findings == []
