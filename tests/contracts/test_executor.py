"""PlatformExecutor: operations are atomic, isolated, and run once."""

from typing import Any

from chain.lending.bundles import OutcomeStatus
from chain.lending.encoding import Call, address_topic, encode_call, uid_of
from chain.lending.revert_data import describe_revert, error_selector
from tests.contracts.lab import CREDIT, USDC, Borrower, Lab

OTHER = "0x00000000000000000000000000000000000000bb"


def outcomes_of(lab: Lab, receipt: dict[str, Any]) -> list[str]:
    return [outcome for _, outcome in lab.outcomes(receipt)]


def test_a_borrow_pays_net_to_the_settlement_address_and_keeps_the_fee(lab: Lab, borrower: Borrower) -> None:
    receipt = lab.run(("loan", lab.borrow_calls(borrower.position, 1_000 * USDC, 995 * USDC)))

    assert lab.outcomes(receipt) == [(uid_of("loan"), "EXECUTED")]
    assert lab.balance(lab.settlement.address) == 995 * USDC
    assert lab.balance(lab.executor) == 5 * USDC
    assert lab.debt(borrower.position) == 1_000 * USDC
    assert lab.credit_line(borrower.oaid) == (CREDIT, 1_000 * USDC, True)
    assert lab.executed("loan") is True


def test_only_operators_run_bundles(lab: Lab, borrower: Borrower) -> None:
    bundle = lab.bundle(("loan", lab.borrow_calls(borrower.position, USDC)))

    assert lab.refusal(lab.operator.address, bundle) is None
    for nobody in (lab.stranger, lab.owner, borrower.keys):
        assert lab.refusal(nobody.address, bundle) == f"NotOperator(caller={nobody.address})"


def test_nobody_calls_the_inner_functions_from_outside(lab: Lab, borrower: Borrower) -> None:
    run = Call(
        lab.executor,
        0,
        encode_call("run((bytes32,(address,uint256,bytes)[]))", [(bytes(32), [(lab.usdc, 0, b"")])]),
    )
    repay = lab.repay_call(borrower.position, 1)
    payoff = lab.payoff_call(borrower.position, (1, 0, 0, 0, 0, 0), most=1, payer=lab.settlement.address)
    for caller in (lab.operator.address, lab.owner.address, lab.stranger.address):
        for inner in (run, repay, payoff):
            assert lab.refusal(caller, inner) == f"OnlySelf(caller={caller})"


def test_who_began_the_transaction_does_not_count(lab: Lab, borrower: Borrower) -> None:
    """An operator that is led to call a stranger's contract lends it none of its rights."""
    wallet = lab.wallet_of(lab.operator)
    bundle = lab.bundle(("loan", lab.borrow_calls(borrower.position, USDC)))

    refused = [lab.refusal(lab.operator.address, lab.through(wallet, call)) for call in (bundle, lab.repay_call(1, 1))]

    assert refused == [
        f"CallFailed(reason={error_selector('PlatformExecutor', name)}{address_topic(wallet)[2:]})"
        for name in ("NotOperator", "OnlySelf")
    ]


def test_an_operator_that_is_dismissed_runs_nothing_more(lab: Lab) -> None:
    dismiss = encode_call("setOperator(address,bool)", [lab.operator.address, False])
    lab.send(lab.owner, Call(lab.executor, 0, dismiss))

    assert lab.refusal(lab.operator.address, lab.bundle()) == f"NotOperator(caller={lab.operator.address})"


def test_one_bad_operation_among_ten_leaves_the_other_nine(lab: Lab, borrower: Borrower) -> None:
    operations = [(f"loan-{n}", lab.borrow_calls(borrower.position, 10 * USDC, 9 * USDC)) for n in range(10)]
    operations[4] = ("loan-4", lab.borrow_calls(borrower.position, CREDIT, CREDIT))

    happened = outcomes_of(lab, lab.run(*operations))

    refused = f"InsufficientCredit(tokenId={borrower.oaid}, available={CREDIT - 40 * USDC}, requested={CREDIT})"
    assert happened == ["EXECUTED"] * 4 + [refused] + ["EXECUTED"] * 5
    assert lab.debt(borrower.position) == 90 * USDC
    assert lab.balance(lab.settlement.address) == 81 * USDC
    assert lab.executed("loan-4") is False


def test_a_pay_out_that_fails_undoes_the_borrow(lab: Lab, borrower: Borrower) -> None:
    block = encode_call("setBlocked(address,bool)", [lab.settlement.address, True])
    lab.send(lab.owner, Call(lab.usdc, 0, block))

    happened = outcomes_of(lab, lab.run(("loan", lab.borrow_calls(borrower.position, 1_000 * USDC))))

    assert happened == [f"Blocked(account={lab.settlement.address})"]
    assert lab.debt(borrower.position) == 0
    assert lab.credit_line(borrower.oaid) == (CREDIT, 0, True)
    assert lab.balance(lab.executor) == 0


def test_a_uid_runs_once_in_one_bundle_and_in_two(lab: Lab, borrower: Borrower) -> None:
    loan = ("loan", lab.borrow_calls(borrower.position, 100 * USDC))

    assert outcomes_of(lab, lab.run(loan, loan)) == ["EXECUTED", "SKIPPED"]
    assert outcomes_of(lab, lab.run(loan)) == ["SKIPPED"]
    assert lab.debt(borrower.position) == 100 * USDC
    assert lab.balance(lab.settlement.address) == 100 * USDC


def test_a_uid_does_not_run_again_from_within_itself(lab: Lab, borrower: Borrower) -> None:
    calls = lab.borrow_calls(borrower.position, 100 * USDC)
    receipt = lab.run(("loan", [*calls, lab.bundle(("loan", calls))]))

    assert outcomes_of(lab, receipt) == ["SKIPPED", "EXECUTED"]
    assert lab.debt(borrower.position) == 100 * USDC


def test_a_failed_uid_may_be_tried_again(lab: Lab, borrower: Borrower) -> None:
    loan = ("loan", lab.borrow_calls(borrower.position, 100 * USDC))
    suspend, resume = (
        Call(lab.oaid, 0, encode_call("setActive(uint256,bool)", [borrower.oaid, active])) for active in (False, True)
    )
    lab.send(lab.owner, suspend)
    assert outcomes_of(lab, lab.run(loan)) == [f"CreditLineInactive(tokenId={borrower.oaid})"]
    assert lab.executed("loan") is False

    lab.send(lab.owner, resume)
    assert outcomes_of(lab, lab.run(loan)) == ["EXECUTED"]
    assert lab.debt(borrower.position) == 100 * USDC


def test_one_eth_call_shows_that_operations_fail_together_which_pass_alone(lab: Lab, borrower: Borrower) -> None:
    one, two = (lab.borrow_calls(borrower.position, 6_000 * USDC) for _ in range(2))
    small = lab.borrow_calls(borrower.position, 4_000 * USDC)
    assert [lab.simulate(("x", calls))[0].status for calls in (one, two)] == [OutcomeStatus.EXECUTED] * 2

    together = lab.simulate(("one", one), ("two", two), ("small", small), ("one", one))

    assert [outcome.status.name for outcome in together] == ["EXECUTED", "FAILED", "EXECUTED", "SKIPPED"]
    assert describe_revert(together[1].reason) == (
        f"InsufficientCredit(tokenId={borrower.oaid}, available={4_000 * USDC}, requested={6_000 * USDC})"
    )
    assert lab.debt(borrower.position) == 0


def test_a_call_to_an_address_without_code_fails(lab: Lab) -> None:
    receipt = lab.run(("loan", [Call(OTHER, 0, encode_call("transfer(address,uint256)", [OTHER, 1]))]))

    assert [outcome.lower() for outcome in outcomes_of(lab, receipt)] == [f"notacontract(to={OTHER})"]


def test_ether_is_sent_where_a_call_says_so(lab: Lab) -> None:
    lab.send(lab.owner, Call(lab.executor, 5, "0x"))

    assert outcomes_of(lab, lab.run(("gift", [Call(OTHER, 3, "0x")]), ("too much", [Call(OTHER, 3, "0x")]))) == [
        "EXECUTED",
        "reverted without a reason",
    ]
    assert int(lab.client.call("eth_getBalance", [OTHER, "latest"]), 16) == 3


def test_at_no_gas_limit_does_a_shortage_look_like_a_failed_operation(lab: Lab, borrower: Borrower) -> None:
    operations = [(f"loan-{n}", lab.borrow_calls(borrower.position, 10 * USDC)) for n in range(4)]
    bundle = lab.bundle(*operations)
    refusals = [lab.refusal(lab.operator.address, bundle, gas=gas) for gas in range(60_000, 1_000_000, 20_000)]

    enough = refusals.index(None)
    assert set(refusals[enough:]) == {None}
    assert "CarrierOutOfGas()" in refusals[:enough]

    for gas in range(100_000, 1_000_000, 100_000):
        receipt = lab.mine_unsigned(lab.operator.address, bundle, gas)
        if receipt["status"] == "0x1":
            assert outcomes_of(lab, receipt) in (["EXECUTED"] * 4, ["SKIPPED"] * 4)
        else:
            assert lab.debt(borrower.position) == 0
    assert lab.debt(borrower.position) == 40 * USDC


def test_an_operation_that_burns_all_its_gas_leaves_the_others_theirs(lab: Lab, borrower: Borrower) -> None:
    lab.client.call("anvil_setCode", [OTHER, "0x5b600056"])  # JUMPDEST PUSH1 0 JUMP: for ever

    happened = outcomes_of(
        lab,
        lab.run(
            ("burner", [Call(OTHER, 0, "0x")]),
            ("loan", lab.borrow_calls(borrower.position, 10 * USDC)),
        ),
    )

    assert happened == ["reverted without a reason", "EXECUTED"]


def test_of_a_long_reason_the_beginning_is_kept(lab: Lab, borrower: Borrower) -> None:
    lab.client.call("anvil_setCode", [OTHER, "0x62004e206000fd"])  # reverts with 20,000 zero bytes

    long, loan = lab.simulate(
        ("long", [Call(OTHER, 0, "0x")]), ("loan", lab.borrow_calls(borrower.position, 10 * USDC))
    )

    assert (long.status, long.reason) == (OutcomeStatus.FAILED, "0x" + "00" * 512)
    assert loan.status == OutcomeStatus.EXECUTED


def test_a_bundle_may_bring_the_ether_that_its_operations_send(lab: Lab) -> None:
    bundle = lab.bundle(("gift", [Call(OTHER, 3, "0x")]))
    (receipt,) = lab.send(lab.operator, Call(bundle.to, 5, bundle.data))

    assert outcomes_of(lab, receipt) == ["EXECUTED"]
    assert [int(lab.client.call("eth_getBalance", [who, "latest"]), 16) for who in (OTHER, lab.executor)] == [3, 2]


def test_an_operation_of_no_calls_is_executed(lab: Lab) -> None:
    assert outcomes_of(lab, lab.run(("nothing", []))) == ["EXECUTED"]
    assert lab.executed("nothing") is True


def test_no_operations_are_no_events(lab: Lab) -> None:
    assert lab.run()["logs"] == []
