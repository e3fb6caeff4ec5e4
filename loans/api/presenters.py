"""Answers of the partner API: field names, formats and sentences of the contract."""

from collections.abc import Iterable
from typing import Any

from chain.lending.readings import OaidReading, PositionReading
from loans.consent.message import Borrow, typed_data
from loans.consent.verification import unsigned
from loans.debt import payoffs
from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus
from loans.selectors import Payment
from loans.transactions import status_of_repayment
from partner_platform.core.clock import isoformat
from partner_platform.core.web.pagination import Page


def credit_line(reading: OaidReading) -> dict[str, Any]:
    """Endpoint 1."""
    return {
        "oaidTokenId": reading.oaid_token_id,
        "oaidTokenIdString": str(reading.oaid_token_id),
        "creditLimit": str(reading.credit_limit),
        "creditUsed": str(reading.credit_used),
        "availableCredit": str(reading.available),
        "active": reading.active,
        "owner": reading.owner,
    }


def position(reading: PositionReading) -> dict[str, Any]:
    """Endpoint 2; `healthFactor` is collateral value over debt, null without debt."""
    debt = reading.usdc_borrowed
    return {
        "positionId": reading.position_id,
        "positionIdString": str(reading.position_id),
        "user": reading.user,
        "collateralToken": reading.collateral_token,
        "collateralAmount": str(reading.collateral_amount),
        "collateralValueUSD": str(reading.collateral_value_usd),
        "usdcBorrowed": str(debt),
        "healthFactor": round(reading.collateral_value_usd / debt, 4) if debt else None,
        "active": reading.active,
        "tokenType": reading.token_type,
    }


def borrowed(loan: PartnerLoan) -> dict[str, Any]:
    """Endpoint 3, settled or still PENDING."""
    body = {
        "success": True,
        "internalLoanId": str(loan.internal_loan_id),
        "borrowedAmount": str(loan.principal_amount),
        "netAmountTransferred": str(loan.net_amount),
        "platformFee": str(loan.platform_fee_charged),
        "remainingCredit": str(loan.remaining_credit),
    }
    if loan.status == LoanStatus.PENDING:
        return {**body, "status": "PENDING", "message": "Loan accepted, settlement is pending"}
    return {**body, "txHash": loan.borrow_tx_hash, "message": "Loan successfully processed"}


def repaid(repayment: Repayment, loan: PartnerLoan) -> dict[str, Any]:
    """Endpoint 4, settled or PENDING; the debt is that of the loan's last event, a settled repayment's own block."""
    debt = payoffs.debt_at(loan, loan.interest_since)
    body = {
        "success": True,
        "repaymentId": str(repayment.pk),
        "remainingDebt": str(debt),
        "loanStatus": loan.status,
    }
    if repayment.status == RepaymentStatus.PENDING:
        return {**body, "status": "PENDING", "message": "Repayment accepted, settlement is pending"}
    message = "Loan fully repaid" if loan.status == LoanStatus.REPAID else "Partial repayment processed"
    return {**body, "txHash": repayment.tx_hash, "message": message}


def repayment_details(repayment: Repayment) -> dict[str, Any]:
    """A repayment as it is now; what it paid is 0 until it is settled."""
    return {
        "repaymentId": str(repayment.pk),
        "partnerLoanId": repayment.loan.partner_loan_id,
        "amount": str(repayment.amount),
        "status": str(status_of_repayment(repayment)),
        "failureReason": repayment.failure_reason or None,
        "txHash": repayment.tx_hash or None,
        "repaidBy": repayment.repaid_by,
        "principalPaid": str(repayment.principal_paid),
        "interestPaid": str(repayment.interest_paid),
        "createdAt": isoformat(repayment.created_at),
        "finishedAt": isoformat(repayment.settled_at),
        "loanStatus": repayment.loan.status,
    }


def payoff(loan: PartnerLoan, moment: int) -> dict[str, Any]:
    """What closes the loan, and until when that holds."""
    quote = payoffs.quote(loan, moment)
    return {
        "partnerLoanId": loan.partner_loan_id,
        "payoffAmount": str(quote.amount),
        "remainingDebt": str(quote.debt),
        "outstandingPrincipal": str(loan.outstanding_principal),
        "accruedInterest": str(payoffs.accrued_interest(loan, moment)),
        "interestRate": loan.interest_rate,
        "validUntil": isoformat(quote.valid_until),
    }


def loan_details(loan: PartnerLoan, moment: int, history: Iterable[Payment]) -> dict[str, Any]:
    """Endpoint 5; debt and interest as of `moment`, seconds since the epoch, `history` oldest first."""
    return {
        "partnerLoanId": loan.partner_loan_id,
        "internalLoanId": str(loan.internal_loan_id),
        "userWallet": loan.user_wallet,
        "oaidTokenId": loan.oaid_token_id,
        "oaidTokenIdString": str(loan.oaid_token_id),
        "principalAmount": str(loan.principal_amount),
        "outstandingPrincipal": str(loan.outstanding_principal),
        "accruedInterest": str(payoffs.accrued_interest(loan, moment)),
        "remainingDebt": str(payoffs.debt_at(loan, moment)),
        "totalRepaid": str(loan.total_repaid),
        "interestPaid": str(loan.interest_paid),
        "interestRate": loan.interest_rate,
        "platformFee": str(loan.platform_fee_charged),
        "netAmountTransferred": str(loan.net_amount),
        "status": loan.status,
        "borrowedAt": isoformat(loan.borrowed_at),
        "borrowTxHash": loan.borrow_tx_hash or None,
        "repayTxHash": loan.repay_tx_hash or None,
        "failureReason": loan.failure_reason or None,
        "repaymentInFlight": loan.repayment_in_flight,
        "repaymentHistory": [_history_row(payment) for payment in history],
        "loanDuration": loan.loan_duration,
        "numberOfInstallments": loan.number_of_installments,
        "schedule": loan.schedule,
        "defaultedAt": isoformat(loan.defaulted_at),
        "defaultReason": loan.default_reason or None,
        "writtenOff": str(loan.written_off_principal + loan.written_off_interest),
        "metadata": loan.metadata,
    }


def _history_row(payment: Payment) -> dict[str, Any]:
    return {
        "amount": str(payment.amount),
        "timestamp": isoformat(payment.settled_at),
        "txHash": payment.tx_hash,
        "repaidBy": payment.repaid_by,
    }


def loan_row(loan: PartnerLoan, moment: int) -> dict[str, Any]:
    """A row of endpoint 6; the debt as of `moment`."""
    return {
        "partnerLoanId": loan.partner_loan_id,
        "principalAmount": str(loan.principal_amount),
        "remainingDebt": str(payoffs.debt_at(loan, moment)),
        "status": loan.status,
        "borrowedAt": isoformat(loan.borrowed_at),
    }


def page(page: Page, *, limit: int, offset: int) -> dict[str, Any]:
    """What every list says of its page, beside the rows."""
    return {"total": page.total, "limit": limit, "offset": offset, "hasMore": page.has_more, "next": page.next}


def consent(borrow: Borrow, version: str) -> dict[str, Any]:
    """The typed data of a borrow, and its `userAuthorization`, but for the signature."""
    return {"typedData": typed_data(borrow, version), "userAuthorization": unsigned(borrow, version)}
