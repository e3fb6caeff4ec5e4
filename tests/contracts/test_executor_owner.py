"""PlatformExecutor's owner: who runs bundles, where fees go, and the pause."""

from typing import Any

import pytest
from eth_abi.abi import encode

from chain.lending import deployment
from chain.lending.contracts import artifact
from chain.lending.encoding import Call, encode_call
from chain.lending.revert_data import describe_revert
from tests.contracts.lab import USDC, Borrower, Lab

OTHER = "0x00000000000000000000000000000000000000bb"
ZERO = "0x" + "00" * 20


def order(lab: Lab, signature: str, *args: Any) -> dict[str, Any]:
    """The receipt of a call that the owner made."""
    (receipt,) = lab.send(lab.owner, Call(lab.executor, 0, encode_call(signature, args)))
    return receipt


def test_a_paused_executor_runs_nothing_until_it_is_unpaused(lab: Lab, borrower: Borrower) -> None:
    bundle = lab.bundle(("loan", lab.borrow_calls(borrower.position, USDC)))
    lab.send(lab.owner, Call(lab.executor, 0, encode_call("pause()")))
    assert lab.refusal(lab.operator.address, bundle) == "EnforcedPause()"

    lab.send(lab.owner, Call(lab.executor, 0, encode_call("unpause()")))
    assert lab.refusal(lab.operator.address, bundle) is None


def test_fees_go_to_the_treasury_by_the_owner_alone(lab: Lab, borrower: Borrower) -> None:
    lab.run(("loan", lab.borrow_calls(borrower.position, 1_000 * USDC, 995 * USDC)))
    withdraw = Call(lab.executor, 0, encode_call("withdrawFees(uint256)", [3 * USDC]))
    for nobody in (lab.operator, lab.stranger):
        assert lab.refusal(nobody.address, withdraw) == f"OwnableUnauthorizedAccount(account={nobody.address})"

    (receipt,) = lab.send(lab.owner, withdraw)

    assert lab.balance(lab.treasury) == 3 * USDC
    assert lab.balance(lab.executor) == 2 * USDC
    withdrawn = lab.events(receipt, "PlatformExecutor", "FeesWithdrawn")
    assert withdrawn == [{"treasury": lab.treasury, "amount": 3 * USDC}]


@pytest.mark.parametrize(
    ("signature", "args"),
    [
        ("setOperator(address,bool)", [OTHER, True]),
        ("setTreasury(address)", [OTHER]),
        ("withdrawFees(uint256)", [0]),
        ("pause()", []),
        ("unpause()", []),
        ("transferOwnership(address)", [OTHER]),
    ],
)
def test_the_owners_functions_refuse_operators_strangers_and_operations(lab: Lab, signature: str, args: list) -> None:
    call = Call(lab.executor, 0, encode_call(signature, args))

    for nobody in (lab.operator.address, lab.stranger.address):
        assert lab.refusal(nobody, call) == f"OwnableUnauthorizedAccount(account={nobody})"
    (outcome,) = lab.simulate(("escalate", [call]))
    assert describe_revert(outcome.reason) == f"OwnableUnauthorizedAccount(account={lab.executor})"


def test_ownership_moves_only_when_the_new_owner_accepts(lab: Lab) -> None:
    lab.send(lab.owner, Call(lab.executor, 0, encode_call("transferOwnership(address)", [lab.stranger.address])))
    assert lab.read("PlatformExecutor", lab.executor, "owner") == lab.owner.address

    lab.send(lab.stranger, Call(lab.executor, 0, encode_call("acceptOwnership()")))
    assert lab.read("PlatformExecutor", lab.executor, "owner") == lab.stranger.address


def test_an_executor_without_operator_or_treasury_cannot_be_deployed(lab: Lab) -> None:
    zero = "0x" + "00" * 20
    for operator, treasury in ((zero, lab.treasury), (lab.operator.address, zero)):
        with pytest.raises(deployment.DeploymentFailed):
            deployment.deploy_executor(
                client=lab.client,
                owner_key=lab.owner.private_key,
                operator_address=operator,
                treasury=treasury,
                usdc=lab.usdc,
            )


def test_an_operator_that_the_owner_names_runs_bundles_beside_the_first(lab: Lab) -> None:
    receipt = order(lab, "setOperator(address,bool)", lab.stranger.address, True)

    named = [{"account": lab.stranger.address, "allowed": True}]
    assert lab.events(receipt, "PlatformExecutor", "OperatorSet") == named
    assert lab.refusal(lab.stranger.address, lab.bundle()) is None
    assert lab.refusal(lab.operator.address, lab.bundle()) is None

    receipt = order(lab, "setOperator(address,bool)", lab.stranger.address, False)
    dismissed = [{"account": lab.stranger.address, "allowed": False}]
    assert lab.events(receipt, "PlatformExecutor", "OperatorSet") == dismissed
    assert lab.read("PlatformExecutor", lab.executor, "isOperator", lab.stranger.address) is False


def test_fees_go_to_the_treasury_that_was_named_last(lab: Lab) -> None:
    lab.fund_usdc(lab.executor, 3 * USDC)
    receipt = order(lab, "setTreasury(address)", OTHER)
    assert [event["treasury"].lower() for event in lab.events(receipt, "PlatformExecutor", "TreasurySet")] == [OTHER]

    order(lab, "withdrawFees(uint256)", 3 * USDC)

    assert lab.balance(OTHER) == 3 * USDC
    assert lab.balance(lab.treasury) == 0


def test_nobody_is_neither_operator_nor_treasury(lab: Lab) -> None:
    for signature, args in (("setOperator(address,bool)", [ZERO, True]), ("setTreasury(address)", [ZERO])):
        call = Call(lab.executor, 0, encode_call(signature, args))
        assert lab.refusal(lab.owner.address, call) == "ZeroAddress()"


def test_a_deployment_says_who_its_operator_and_its_treasury_are(lab: Lab) -> None:
    executor = lab.deploy_executor()
    logs = {"logs": _logs_of(lab, executor)}

    named = [{"account": lab.operator.address, "allowed": True}]
    assert lab.events(logs, "PlatformExecutor", "OperatorSet") == named
    assert lab.events(logs, "PlatformExecutor", "TreasurySet") == [{"treasury": lab.treasury}]
    assert lab.read("PlatformExecutor", executor, "usdc") == lab.usdc


def test_it_belongs_to_whom_the_deployer_names(lab: Lab) -> None:
    types = ["address", "address", "address", "address", "uint256"]
    args = encode(types, [lab.stranger.address, lab.operator.address, lab.usdc, lab.treasury, 400_000])
    (receipt,) = lab.send(lab.owner, Call("", 0, artifact("PlatformExecutor").bytecode + args.hex()))

    assert lab.read("PlatformExecutor", receipt["contractAddress"], "owner") == lab.stranger.address


def test_it_takes_tokens_that_are_sent_safely(lab: Lab, borrower: Borrower) -> None:
    """An ERC-721 asks whoever it is sent to whether it can hold it."""
    args = [borrower.keys.address, lab.executor, borrower.oaid]
    lab.send(borrower.keys, Call(lab.oaid, 0, encode_call("safeTransferFrom(address,address,uint256)", args)))

    assert lab.read("OAID", lab.oaid, "ownerOf", borrower.oaid) == lab.executor


def _logs_of(lab: Lab, address: str) -> list[dict[str, Any]]:
    query = {"address": address, "fromBlock": "earliest", "toBlock": "latest"}
    logs: list[dict[str, Any]] = lab.client.call("eth_getLogs", [query])
    return logs
