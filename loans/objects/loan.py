"""A loan as the contract shows it (`loans.api.loan.Loan`, `loans.api.user_loans.LoanRow`)."""

from collections.abc import Iterable

from chain.selectors import KnownBlocks
from loans.debt import payoffs
from loans.models import PartnerLoan
from loans.objects.evidence import evidence_of_draw, evidence_of_loan
from loans.selectors import SettledPayment
from partner_platform.core.clock import isoformat


def present_loan(
    loan: PartnerLoan, moment: int, history: Iterable[SettledPayment], known: KnownBlocks
) -> dict[str, object]:
    """The fields of `Loan`; debt and interest as of `moment`, seconds since the epoch, `history` oldest first."""
    return {
        **present_row(loan, moment, known),
        "internalLoanId": str(loan.internal_loan_id),
        "userWallet": loan.user_wallet,
        "oaidTokenId": loan.oaid_token_id,
        "oaidTokenIdString": str(loan.oaid_token_id),
        "outstandingPrincipal": str(loan.outstanding_principal),
        "accruedInterest": str(payoffs.accrued_interest(loan, moment)),
        "totalRepaid": str(loan.total_repaid),
        "interestPaid": str(loan.interest_paid),
        "interestRate": loan.interest_rate_bps,
        "platformFee": str(loan.platform_fee_charged),
        "netAmountTransferred": str(loan.net_amount),
        "borrowTxHash": loan.borrow_tx_hash or None,
        "borrowEvidence": evidence_of_draw(loan, known),
        "repayTxHash": loan.repay_tx_hash or None,
        "failureReason": loan.failure_reason or None,
        "repaymentInFlight": loan.repayment_in_flight,
        "repaymentHistory": [_present_payment(payment) for payment in history],
        "loanDuration": loan.loan_duration,
        "numberOfInstallments": loan.number_of_installments,
        "schedule": loan.schedule,
        "defaultedAt": isoformat(loan.defaulted_at),
        "defaultReason": loan.default_reason or None,
        "writtenOff": str(loan.written_off_principal + loan.written_off_interest),
        "metadata": loan.metadata,
    }


def _present_payment(payment: SettledPayment) -> dict[str, object]:
    """The fields of `HistoryRow`."""
    return {
        "amount": str(payment.amount),
        "timestamp": isoformat(payment.settled_at),
        "txHash": payment.tx_hash,
        "repaidBy": payment.repaid_by,
    }


def present_row(loan: PartnerLoan, moment: int, known: KnownBlocks) -> dict[str, object]:
    """The fields of `LoanRow`; the debt as of `moment`, seconds since the epoch."""
    return {
        "partnerLoanId": loan.partner_loan_id,
        "principalAmount": str(loan.principal_amount),
        "remainingDebt": str(payoffs.debt_at(loan, moment)),
        "status": loan.status,
        "borrowedAt": isoformat(loan.borrowed_at),
        "evidence": evidence_of_loan(loan, known),
    }
