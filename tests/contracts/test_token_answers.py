"""What a token answers: a call that moves tokens must answer true, or nothing; whatever else it answers, it failed."""

import pytest

from chain.lending.bundles import OutcomeStatus
from chain.lending.encoding import Call, encode_call
from chain.lending.revert_data import describe_revert
from tests.contracts.lab import USDC, Borrower, Lab

TOKEN = "0x00000000000000000000000000000000000070c3"
OTHER = "0x00000000000000000000000000000000000000bb"

# Runtime code that answers every call alike.
FALSE = "0x60206000f3"  # 32 zero bytes
NOTHING = "0x00"
TRUE = "0x600160005260206000f3"
TRUE_AND_MORE = "0x600160005260406000f3"  # 64 bytes that begin with true
TWO = "0x600260005260206000f3"
SHORT = "0x600160005360016000f3"  # one byte, 0x01
LATE = "0x601f6000f3"  # 31 zero bytes
FAR = "0x600160205260406000f3"  # 64 bytes, true in the second word

MOVING = [
    ("transfer(address,uint256)", [OTHER, 1]),
    ("transferFrom(address,address,uint256)", [OTHER, OTHER, 1]),
    ("approve(address,uint256)", [OTHER, 1]),
    ("increaseAllowance(address,uint256)", [OTHER, 1]),
    ("decreaseAllowance(address,uint256)", [OTHER, 1]),
    ("increaseApproval(address,uint256)", [OTHER, 1]),
    ("decreaseApproval(address,uint256)", [OTHER, 1]),
    ("transferAndCall(address,uint256)", [OTHER, 1]),
    ("transferAndCall(address,uint256,bytes)", [OTHER, 1, b""]),
    ("transferFromAndCall(address,address,uint256)", [OTHER, OTHER, 1]),
    ("transferFromAndCall(address,address,uint256,bytes)", [OTHER, OTHER, 1, b""]),
    ("approveAndCall(address,uint256)", [OTHER, 1]),
    ("approveAndCall(address,uint256,bytes)", [OTHER, 1, b""]),
]


def answering(lab: Lab, code: str, address: str = TOKEN) -> None:
    lab.client.call("anvil_setCode", [address, code])


def what_becomes_of(lab: Lab, signature: str, args: list) -> str:
    """What `execute` says of an operation with this one call to the token."""
    (outcome,) = lab.simulate(("move", [Call(TOKEN, 0, encode_call(signature, args))]))
    return describe_revert(outcome.reason) if outcome.status == OutcomeStatus.FAILED else outcome.status.name


def refused(token: str = TOKEN) -> str:
    return f"tokenrefused(token={token.lower()})"


@pytest.mark.parametrize(("signature", "args"), MOVING)
def test_false_fails_every_call_that_moves_tokens(lab: Lab, signature: str, args: list) -> None:
    answering(lab, FALSE)
    assert what_becomes_of(lab, signature, args).lower() == refused()

    answering(lab, TRUE)
    assert what_becomes_of(lab, signature, args) == "EXECUTED"


@pytest.mark.parametrize("code", [TRUE, TRUE_AND_MORE, NOTHING], ids=["true", "true and more", "nothing"])
def test_true_and_nothing_are_successes(lab: Lab, code: str) -> None:
    answering(lab, code)
    assert what_becomes_of(lab, *MOVING[0]) == "EXECUTED"


@pytest.mark.parametrize("code", [TWO, SHORT, LATE, FAR], ids=["a 2", "one byte", "31 bytes", "true too late"])
def test_garbage_is_a_failure(lab: Lab, code: str) -> None:
    answering(lab, code)
    assert what_becomes_of(lab, *MOVING[0]).lower() == refused()


def test_what_lies_in_memory_behind_a_short_answer_is_no_part_of_it(lab: Lab) -> None:
    """The call's own data lie there: of one of these amounts the byte that would make it true."""
    answering(lab, LATE)
    for bits in range(0, 256, 8):
        assert what_becomes_of(lab, "transfer(address,uint256)", [OTHER, 1 << bits]).lower() == refused(), bits


@pytest.mark.parametrize(
    ("signature", "args"),
    [
        ("borrowUSDC(uint256,uint256)", [1, 1]),
        ("repayLoan(uint256,uint256)", [1, 1]),
        ("balanceOf(address)", [OTHER]),
        ("setApprovalForAll(address,bool)", [OTHER, True]),
        ("mint(address,uint256)", [OTHER, 1]),
    ],
)
@pytest.mark.parametrize("code", [FALSE, TWO, SHORT])
def test_what_other_functions_answer_is_no_failure(lab: Lab, code: str, signature: str, args: list) -> None:
    answering(lab, code)
    assert what_becomes_of(lab, signature, args) == "EXECUTED"


def test_a_call_with_less_than_a_selector_moves_no_tokens(lab: Lab) -> None:
    answering(lab, FALSE)
    transfer = encode_call(*MOVING[0])
    for length in (2, 4, 6):
        (outcome,) = lab.simulate(("short", [Call(TOKEN, 0, transfer[: 2 + length])]))
        assert outcome.status == OutcomeStatus.EXECUTED, length
    (outcome,) = lab.simulate(("a whole selector", [Call(TOKEN, 0, transfer[:10])]))
    assert describe_revert(outcome.reason).lower() == refused()


def test_a_pay_out_that_answers_false_undoes_the_borrow_and_leaves_the_others(lab: Lab, borrower: Borrower) -> None:
    """The vault lends USDC; the pay-out is asked of a token that says no without a revert."""
    answering(lab, FALSE)
    borrow, _ = lab.borrow_calls(borrower.position, 100 * USDC)
    pay_out = Call(TOKEN, 0, encode_call("transfer(address,uint256)", [lab.settlement.address, 100 * USDC]))

    receipt = lab.run(("loan", [borrow, pay_out]), ("another", lab.borrow_calls(borrower.position, USDC)))

    assert [outcome.lower() for _, outcome in lab.outcomes(receipt)] == [refused(), "executed"]
    assert lab.debt(borrower.position) == USDC
    assert lab.balance(lab.executor) == 0
    assert lab.executed("loan") is False


def test_a_refusal_at_the_last_call_undoes_what_the_first_ones_did(lab: Lab) -> None:
    answering(lab, FALSE)
    lab.fund_usdc(lab.executor, 5 * USDC)
    pay = Call(lab.usdc, 0, encode_call("transfer(address,uint256)", [lab.treasury, 5 * USDC]))

    lab.run(("pay", [pay, Call(TOKEN, 0, encode_call(*MOVING[2]))]))

    assert (lab.balance(lab.treasury), lab.balance(lab.executor)) == (0, 5 * USDC)


class TestAnExecutorWhoseUsdcAnswersFalse:
    """Its own calls of the token are judged alike: `repay`, `payoff` and `withdrawFees` fail."""

    @pytest.fixture
    def executor(self, lab: Lab) -> str:
        """An executor for `TOKEN`, and a vault at `OTHER` that says of any position that it owes 1 and takes it."""
        answering(lab, FALSE)
        answering(lab, TRUE, OTHER)
        return lab.deploy_executor(usdc=TOKEN)

    def failure(self, lab: Lab, executor: str, call: Call) -> str:
        (outcome,) = lab.simulate(("one", [call]), executor=executor)
        return describe_revert(outcome.reason) if outcome.status == OutcomeStatus.FAILED else outcome.status.name

    def test_repays_nothing(self, lab: Lab, executor: str) -> None:
        args = [OTHER, 1, 1, False]
        repay = Call(executor, 0, encode_call("repay(address,uint256,uint256,bool)", args))
        assert "SafeERC20FailedOperation" in self.failure(lab, executor, repay)
        answering(lab, NOTHING)
        assert self.failure(lab, executor, repay) == "EXECUTED"

    @pytest.mark.parametrize("pulled", [True, False])
    def test_pays_nothing_off(self, lab: Lab, executor: str, pulled: bool) -> None:
        payer = lab.settlement.address if pulled else "0x" + "00" * 20
        payoff = lab.payoff_call(1, (1, 0, 0, 0, 0, 0), most=1, payer=payer, vault=OTHER, executor=executor)
        assert "SafeERC20FailedOperation" in self.failure(lab, executor, payoff)
        answering(lab, NOTHING)
        assert self.failure(lab, executor, payoff) == "EXECUTED"

    def test_withdraws_nothing(self, lab: Lab, executor: str) -> None:
        withdraw = Call(executor, 0, encode_call("withdrawFees(uint256)", [1]))
        assert "SafeERC20FailedOperation" in str(lab.refusal(lab.owner.address, withdraw))
        answering(lab, NOTHING)
        assert lab.refusal(lab.owner.address, withdraw) is None
