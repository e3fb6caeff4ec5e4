"""A repayment as the contract shows it (`loans.api.repayments.RepaymentAnswer`)."""

from chain.selectors import KnownBlocks
from loans.models import PartnerLoan, Repayment, RepaymentStatus
from loans.objects.evidence import evidence_of_repayment
from loans.transactions import REPAYMENT_STATUSES
from partner_platform.core.clock import isoformat

STATUSES: dict[str, str] = {row: shown for shown, row in REPAYMENT_STATUSES.items()}


def present_repayment(repayment: Repayment, loan: PartnerLoan, known: KnownBlocks) -> dict[str, object]:
    """The repayment's fields; `loan` is the one that it repays. Amounts are base units."""
    settled = repayment.status == RepaymentStatus.SETTLED
    return {
        "repaymentId": str(repayment.pk),
        "partnerLoanId": loan.partner_loan_id,
        "internalLoanId": str(loan.internal_loan_id),
        "amount": str(repayment.amount),
        "principalPaid": str(repayment.principal_paid),
        "interestPaid": str(repayment.interest_paid),
        "status": STATUSES[repayment.status],
        "repaidBy": repayment.repaid_by,
        "funding": repayment.funding,
        "txHash": repayment.tx_hash or repayment.evidence_tx_hash or None,  # of a FAILED one only the latter is known
        "failureCode": repayment.failure_code or None,
        "failureReason": repayment.failure_reason or None,
        "createdAt": isoformat(repayment.created_at),
        "settledAt": isoformat(repayment.settled_at) if settled else None,
        "evidence": evidence_of_repayment(repayment, known),
        "finishedAt": isoformat(repayment.settled_at),
        "loanStatus": loan.status,
    }
