"""SolvencyVault and OAID: who borrows how much, and what becomes of a position that is worth too little."""

from typing import Any

import pytest

from chain.lending.encoding import Call, encode_call
from tests.contracts.lab import CREDIT, USDC, Borrower, Lab

NO_DEBT = 2**256 - 1


def position_of(lab: Lab, borrower: Borrower) -> dict:
    names = ("user", "token", "amount", "value", "debt", "oaid", "type", "active")
    values = lab.read("SolvencyVault", lab.vault, "positions", borrower.position)
    return dict(zip(names, values, strict=True))


def liquidate(lab: Lab, borrower: Borrower) -> Call:
    return Call(lab.vault, 0, encode_call("liquidate(uint256)", [borrower.position]))


@pytest.mark.parametrize(("token_type", "ltv_percent"), [("RWA", 70), ("PRIVATE_ASSET", 60)])
def test_the_credit_limit_is_the_loan_to_value_of_the_asset(lab: Lab, token_type: str, ltv_percent: int) -> None:
    borrower = lab.borrower(credit=CREDIT, token_type=token_type)
    value = position_of(lab, borrower)["value"]

    assert value * ltv_percent // 100 == CREDIT
    assert lab.credit_line(borrower.oaid) == (CREDIT, 0, True)
    assert lab.refusal(borrower.keys.address, lab.vault_borrow(borrower.position, CREDIT)) is None
    assert lab.refusal(borrower.keys.address, lab.vault_borrow(borrower.position, CREDIT + 1)) == (
        f"InsufficientCredit(tokenId={borrower.oaid}, available={CREDIT}, requested={CREDIT + 1})"
    )


def test_interest_counts_against_the_loan_to_value(lab: Lab, borrower: Borrower) -> None:
    lab.set_rate(1_000)
    receipt = lab.send(borrower.keys, lab.vault_borrow(borrower.position, CREDIT - USDC))[0]
    lab.next_block_at(lab.block_time(receipt) + 365 * 86_400)
    lab.client.call("evm_mine")

    debt = CREDIT - USDC + (CREDIT - USDC) // 10
    assert lab.debt(borrower.position) == debt
    assert lab.refusal(borrower.keys.address, lab.vault_borrow(borrower.position, USDC)) == (
        f"LtvExceeded(positionId={borrower.position}, debt={debt + USDC}, maxDebt={CREDIT})"
    )


def test_only_the_user_and_their_operators_borrow(lab: Lab, borrower: Borrower) -> None:
    borrow = lab.vault_borrow(borrower.position, USDC)
    refused = f"NotPositionOperator(positionId={borrower.position}, caller={lab.stranger.address})"

    assert lab.refusal(lab.stranger.address, borrow) == refused
    assert lab.refusal(lab.owner.address, borrow) is not None
    assert lab.refusal(borrower.keys.address, borrow) is None
    assert lab.refusal(lab.executor, borrow) is None


def test_an_operator_whom_the_user_dismisses_borrows_no_more(lab: Lab, borrower: Borrower) -> None:
    dismiss = encode_call("setOperator(address,bool)", [lab.executor, False])
    lab.send(borrower.keys, Call(lab.vault, 0, dismiss))

    receipt = lab.run(("loan", lab.borrow_calls(borrower.position, USDC)))

    refused = f"NotPositionOperator(positionId={borrower.position}, caller={lab.executor})"
    assert [outcome for _, outcome in lab.outcomes(receipt)] == [refused]
    assert lab.debt(borrower.position) == 0


def test_an_operator_of_one_user_is_none_of_another(lab: Lab, borrower: Borrower) -> None:
    other = lab.borrower("other")
    allow = encode_call("setOperator(address,bool)", [lab.stranger.address, True])
    lab.send(other.keys, Call(lab.vault, 0, allow))

    assert lab.refusal(lab.stranger.address, lab.vault_borrow(other.position, USDC)) is None
    assert "NotPositionOperator" in str(lab.refusal(lab.stranger.address, lab.vault_borrow(borrower.position, USDC)))


def test_the_usdc_of_a_borrow_goes_to_who_called(lab: Lab, borrower: Borrower) -> None:
    (receipt,) = lab.send(borrower.keys, lab.vault_borrow(borrower.position, 5 * USDC))

    borrowed = lab.events(receipt, "SolvencyVault", "USDCBorrowed")
    assert borrowed == [{"positionId": borrower.position, "borrower": borrower.keys.address, "amount": 5 * USDC}]
    assert lab.balance(borrower.keys.address) == 5 * USDC
    assert position_of(lab, borrower)["debt"] == 5 * USDC


def test_nothing_is_borrowed_from_nowhere(lab: Lab, borrower: Borrower) -> None:
    assert lab.refusal(borrower.keys.address, lab.vault_borrow(999, USDC)) == "PositionNotActive(positionId=999)"
    assert lab.refusal(borrower.keys.address, lab.vault_borrow(borrower.position, 0)) == "ZeroAmount()"


def test_health_is_value_over_debt(lab: Lab, borrower: Borrower) -> None:
    assert lab.read("SolvencyVault", lab.vault, "healthFactor", borrower.position) == NO_DEBT
    lab.send(borrower.keys, lab.vault_borrow(borrower.position, 4_000 * USDC))
    lab.revalue(borrower.position, 8_000 * USDC)

    assert lab.read("SolvencyVault", lab.vault, "healthFactor", borrower.position) == 20_000


@pytest.mark.parametrize(("token_type", "threshold_percent"), [("RWA", 80), ("PRIVATE_ASSET", 70)])
def test_a_debt_above_the_threshold_is_liquidated_and_not_one_unit_earlier(
    lab: Lab, token_type: str, threshold_percent: int
) -> None:
    borrower = lab.borrower(token_type=token_type)
    debt = threshold_percent * USDC
    lab.send(borrower.keys, lab.vault_borrow(borrower.position, debt))
    lab.fund_usdc(lab.stranger.address, debt)
    lab.approve(lab.stranger, lab.vault, debt)
    lab.revalue(borrower.position, 100 * USDC)
    assert lab.refusal(lab.stranger.address, liquidate(lab, borrower)) == (
        f"PositionHealthy(positionId={borrower.position}, debt={debt}, threshold={debt})"
    )

    collateral = position_of(lab, borrower)["amount"]
    lab.revalue(borrower.position, 100 * USDC - 2)
    (receipt,) = lab.send(lab.stranger, liquidate(lab, borrower))

    assert lab.events(receipt, "SolvencyVault", "PositionLiquidated") == [
        {
            "positionId": borrower.position,
            "liquidator": lab.stranger.address,
            "debtPaid": debt,
            "collateralAmount": collateral,
        }
    ]
    assert lab.balance(lab.stranger.address) == 0
    token = lab.system["collateralToken"]
    assert lab.read("CollateralToken", token, "balanceOf", lab.stranger.address) == collateral
    after = position_of(lab, borrower)
    assert (after["debt"], after["amount"], after["active"]) == (0, 0, False)
    assert lab.credit_line(borrower.oaid) == (0, 0, False)
    assert lab.refusal(lab.executor, lab.vault_borrow(borrower.position, 1)) is not None


def test_a_lower_value_lowers_the_limit_and_leaves_no_credit_below_what_is_used(lab: Lab, borrower: Borrower) -> None:
    lab.send(borrower.keys, lab.vault_borrow(borrower.position, 80 * USDC))
    lab.revalue(borrower.position, 100 * USDC)

    assert lab.credit_line(borrower.oaid) == (70 * USDC, 80 * USDC, True)
    assert lab.refusal(borrower.keys.address, lab.vault_borrow(borrower.position, 1)) == (
        f"InsufficientCredit(tokenId={borrower.oaid}, available=0, requested=1)"
    )


def test_a_position_without_debt_is_closed_by_its_user_who_gets_the_collateral(lab: Lab, borrower: Borrower) -> None:
    close = Call(lab.vault, 0, encode_call("closePosition(uint256)", [borrower.position]))
    collateral = position_of(lab, borrower)["amount"]
    assert "NotPositionOperator" in str(lab.refusal(lab.executor, close))

    lab.send(borrower.keys, lab.vault_borrow(borrower.position, USDC))
    assert lab.refusal(borrower.keys.address, close) == f"DebtOutstanding(positionId={borrower.position}, debt={USDC})"

    lab.approve(borrower.keys, lab.vault, USDC)
    repay = encode_call("repayLoan(uint256,uint256)", [borrower.position, USDC])
    lab.send(borrower.keys, Call(lab.vault, 0, repay), close)
    token = lab.system["collateralToken"]
    assert lab.read("CollateralToken", token, "balanceOf", borrower.keys.address) == collateral
    assert lab.credit_line(borrower.oaid) == (0, 0, False)


def test_what_belongs_to_the_owner_or_the_vault_refuses_everybody_else(lab: Lab, borrower: Borrower) -> None:
    nobody = lab.stranger.address
    not_owner, not_vault = f"OwnableUnauthorizedAccount(account={nobody})", f"OnlyVault(caller={nobody})"
    guarded: list[tuple[str, str, list[Any], str]] = [
        (lab.vault, "setCollateralValue(uint256,uint256)", [borrower.position, 1], not_owner),
        (lab.oaid, "setActive(uint256,bool)", [borrower.oaid, False], not_owner),
        (lab.oaid, "setVault(address)", [nobody], not_owner),
        (lab.oaid, "issue(address,uint256)", [nobody, 1], not_vault),
        (lab.oaid, "draw(uint256,uint256)", [borrower.oaid, 1], not_vault),
        (lab.oaid, "restore(uint256,uint256)", [borrower.oaid, 1], not_vault),
        (lab.oaid, "setLimit(uint256,uint256)", [borrower.oaid, 1], not_vault),
        (lab.oaid, "close(uint256)", [borrower.oaid], not_vault),
        (lab.pool, "setVault(address)", [nobody], not_owner),
        (lab.pool, "setInterestRateBps(uint16)", [1], not_owner),
        (lab.pool, "withdrawLiquidity(uint256)", [1], not_owner),
        (lab.pool, "draw(uint256,uint256,address)", [borrower.position, 1, nobody], not_vault),
        (lab.pool, "repay(uint256,uint256)", [borrower.position, 1], not_vault),
        (lab.usdc, "mint(address,uint256)", [nobody, 1], not_owner),
        (lab.usdc, "setBlocked(address,bool)", [nobody, True], not_owner),
    ]
    for contract, signature, args, refused in guarded:
        assert lab.refusal(nobody, Call(contract, 0, encode_call(signature, args))) == refused, signature


def test_the_vault_is_named_once(lab: Lab) -> None:
    for contract in (lab.oaid, lab.pool):
        again = Call(contract, 0, encode_call("setVault(address)", [lab.stranger.address]))
        assert lab.refusal(lab.owner.address, again) == "VaultAlreadySet()"


def test_an_unknown_oaid_has_no_credit_line(lab: Lab) -> None:
    ask = Call(lab.oaid, 0, encode_call("getCreditLine(uint256)", [999]))
    assert lab.refusal(lab.stranger.address, ask) == "ERC721NonexistentToken(tokenId=999)"
