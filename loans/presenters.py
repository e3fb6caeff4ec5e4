"""Answers of the partner API: field names, formats and sentences of the contract."""

from typing import Any

from chain.system import OaidReading, PositionReading
from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus
from partner_platform.core.clock import isoformat


def credit_line(reading: OaidReading) -> dict[str, Any]:
    """Endpoint 1."""
    return {
        "oaidTokenId": reading.oaid_token_id,
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
    """Endpoint 4, settled or still PENDING (then debt and status are those before it)."""
    body = {"success": True, "remainingDebt": str(loan.outstanding_principal), "loanStatus": loan.status}
    if repayment.status == RepaymentStatus.PENDING:
        return {**body, "status": "PENDING", "message": "Repayment accepted, settlement is pending"}
    message = "Loan fully repaid" if loan.status == LoanStatus.REPAID else "Partial repayment processed"
    return {**body, "txHash": repayment.tx_hash, "message": message}


def loan_details(loan: PartnerLoan) -> dict[str, Any]:
    """Endpoint 5."""
    return {
        "partnerLoanId": loan.partner_loan_id,
        "internalLoanId": str(loan.internal_loan_id),
        "userWallet": loan.user_wallet,
        "oaidTokenId": loan.oaid_token_id,
        "principalAmount": str(loan.principal_amount),
        "outstandingPrincipal": str(loan.outstanding_principal),
        "accruedInterest": "0",
        "remainingDebt": str(loan.outstanding_principal),
        "totalRepaid": str(loan.total_repaid),
        "interestRate": loan.interest_rate,
        "platformFee": str(loan.platform_fee_charged),
        "netAmountTransferred": str(loan.net_amount),
        "status": loan.status,
        "borrowedAt": isoformat(loan.borrowed_at),
        "borrowTxHash": loan.borrow_tx_hash or None,
        "repayTxHash": loan.repay_tx_hash or None,
        "failureReason": loan.failure_reason or None,
        "repaymentHistory": loan.repayment_history,
        "metadata": loan.metadata,
    }


def loan_row(loan: PartnerLoan) -> dict[str, Any]:
    """A row of endpoint 6."""
    return {
        "partnerLoanId": loan.partner_loan_id,
        "principalAmount": str(loan.principal_amount),
        "remainingDebt": str(loan.outstanding_principal),
        "status": loan.status,
        "borrowedAt": isoformat(loan.borrowed_at),
    }
