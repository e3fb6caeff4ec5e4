"""What several groups of endpoints share: the base of their views (`partners.api.common`), and pieces of their
documentation.
"""

from partner_platform.core.openapi import headers
from partner_platform.core.openapi.operations import Link
from partners.api.common import PartnerViewSet, partner_of, returned, validated

__all__ = ["PartnerViewSet", "partner_of", "returned", "validated"]

# Values of the examples, the plan's where it has them.
EXAMPLE_WALLET = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"
EXAMPLE_LOAN_ID = "xyz_loan_12345"
EXAMPLE_INTERNAL_ID = "7c3f4b1e-52a6-4d8e-9a58-0f6f1d0e2b11"
EXAMPLE_BORROW_TX = "0x" + "a1" * 32
EXAMPLE_REPAY_TX = "0x" + "b2" * 32

MONEY_HEADERS = (headers.IDEMPOTENCY_KEY, headers.PREFER)
WHEN_PENDING = "Accepted and being settled; it will end by itself. Read Location, or repeat the request with its key"


def loan_links(expression: str) -> dict[str, Link]:
    """What a client can do next with the loan whose id the runtime expression finds."""
    loan = {"partnerLoanId": expression}
    return {
        "TheLoan": Link(operation="getLoan", parameters=loan),
        "ItsPayoff": Link(operation="getPayoff", parameters=loan),
        "ItsRepayment": Link(operation="repay", body={**loan, "repaymentAmount": "1000000"}),
    }


def pending_example(example: dict[str, object], message: str) -> dict[str, object]:
    """The example of the 202, made of the one of the settled response: a status in place of the transaction's hash."""
    fields = {name: value for name, value in example.items() if name != "txHash"}
    if "loanStatus" in fields:
        fields |= {"remainingDebt": "5000000000", "loanStatus": "ACTIVE"}
    return {**fields, "status": "PENDING", "message": message}
