"""What a borrow costs in a bundle of ten, beside two transactions of an operator's own account."""

from collections.abc import Callable

import pytest

from chain.lending.encoding import Call, encode_call
from tests.contracts.lab import USDC, Borrower, Lab

LOANS = 10
MOST = 0.80
AMOUNT, NET = 100 * USDC, 99 * USDC


def _ten_borrowers(lab: Lab) -> list[Borrower]:
    """Distinct positions on which the executor and the operator's own account may borrow; the accounts hold USDC."""
    borrowers = [lab.borrower(f"gas-{number}") for number in range(LOANS)]
    for borrower in borrowers:
        allow = encode_call("setOperator(address,bool)", [lab.operator.address, True])
        lab.send(borrower.keys, Call(lab.vault, 0, allow))
    for address in (lab.executor, lab.operator.address, lab.settlement.address):
        lab.fund_usdc(address, USDC)
    return borrowers


def _gas_separately(lab: Lab, borrowers: list[Borrower]) -> int:
    pay_out = Call(lab.usdc, 0, encode_call("transfer(address,uint256)", [lab.settlement.address, NET]))
    receipts = [lab.send(lab.operator, lab.vault_borrow(each.position, AMOUNT), pay_out) for each in borrowers]
    return sum(int(receipt["gasUsed"], 16) for pair in receipts for receipt in pair) // len(borrowers)


def _gas_in_bundle(lab: Lab, borrowers: list[Borrower], name: str) -> int:
    operations = [(f"{name}-{each.position}", lab.borrow_calls(each.position, AMOUNT, NET)) for each in borrowers]
    receipt = lab.run(*operations)
    assert [outcome for _, outcome in lab.outcomes(receipt)] == ["EXECUTED"] * len(borrowers)
    return int(receipt["gasUsed"], 16) // len(borrowers)


@pytest.mark.parametrize("first", [True, False], ids=["the first borrow of each position", "a later borrow"])
def test_a_borrow_in_a_bundle_of_ten_costs_at_most_four_fifths_of_two_transactions(
    lab: Lab, first: bool, record_property: Callable[[str, object], None]
) -> None:
    borrowers = _ten_borrowers(lab)
    if not first:
        _gas_in_bundle(lab, borrowers, "before")
    snapshot = lab.client.call("evm_snapshot")
    separately = _gas_separately(lab, borrowers)
    lab.client.call("evm_revert", [snapshot])
    together = _gas_in_bundle(lab, borrowers, "loan")

    record_property("gas a loan", f"{separately} separately, {together} in a bundle of ten")
    assert together <= MOST * separately
