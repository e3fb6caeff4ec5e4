"""Examples of the OpenAPI schema: the plan's, with what the API adds; tests hold each against its schema."""

from typing import Any

_WALLET = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"
_LOAN_ID = "xyz_loan_12345"
_BORROW_TX = "0x" + "a1" * 32
_REPAY_TX = "0x" + "b2" * 32
_INTERNAL_ID = "7c3f4b1e-52a6-4d8e-9a58-0f6f1d0e2b11"
_NEXT = "WyIyMDI2LTAxLTA1VDEwOjMwOjAwWiIsIjdjM2YiLDIzNCwiYWJjIl0.q0xPjm6r0n5hJt3sVd9wYk2uCz8bLe4fAo1iGpTnRMs"

CREDIT_LINE = {
    "oaidTokenId": 123,
    "oaidTokenIdString": "123",
    "creditLimit": "10000000000",
    "creditUsed": "2000000000",
    "availableCredit": "8000000000",
    "active": True,
    "owner": _WALLET,
}
POSITION = {
    "positionId": 42,
    "positionIdString": "42",
    "user": _WALLET,
    "collateralToken": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
    "collateralAmount": "50000000000000000000",
    "collateralValueUSD": "4000000000",
    "usdcBorrowed": "2000000000",
    "healthFactor": 2.0,
    "active": True,
    "tokenType": "RWA",
}

WANTED: dict[str, Any] = {
    "oaidTokenId": 123,
    "userWallet": _WALLET,
    "borrowAmount": "5000000000",
    "partnerLoanId": _LOAN_ID,
}
BORROW = {**WANTED, "metadata": {"partnerUserId": "user_xyz_456", "loanPurpose": "working_capital"}}
_MESSAGE = {
    "partner": "partner_xyz_001",
    "oaidTokenId": "123",
    "amount": "5000000000",
    "partnerLoanId": _LOAN_ID,
    "loanDuration": "0",
    "numberOfInstallments": "0",
    "platformFee": "25000000",
    "settlementAddress": _WALLET,
    "nonce": "271828182845904523536028747135",
    "deadline": "1767612600",
}
UNSIGNED = {"version": "2", "deadline": 1767612600, "nonce": _MESSAGE["nonce"], "message": _MESSAGE}
BORROW_WITH_CONSENT = {**WANTED, "userAuthorization": {**UNSIGNED, "signature": "0x" + "5c" * 65}}
BORROWED = {
    "success": True,
    "internalLoanId": _INTERNAL_ID,
    "borrowedAmount": "5000000000",
    "netAmountTransferred": "4975000000",
    "platformFee": "25000000",
    "remainingCredit": "3000000000",
    "txHash": _BORROW_TX,
    "message": "Loan successfully processed",
}
TYPED_DATA = {
    "typedData": {
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}],
            "Borrow": [{"name": "nonce", "type": "uint256"}],
        },
        "primaryType": "Borrow",
        "domain": {"name": "Partner Platform", "version": "2", "chainId": 5003, "verifyingContract": _WALLET},
        "message": _MESSAGE,
    },
    "userAuthorization": UNSIGNED,
}

REPAY = {"partnerLoanId": _LOAN_ID, "repaymentAmount": "5000000000"}
REPAY_BY_TRANSFER = {**REPAY, "repaymentTxHash": "0x" + "d3" * 32}
_REPAYMENT_ID = "1f0c8a52-9c3f-4a57-8a14-52d9a8f0f6b7"
REPAID = {
    "success": True,
    "repaymentId": _REPAYMENT_ID,
    "remainingDebt": "0",
    "loanStatus": "REPAID",
    "txHash": _REPAY_TX,
    "message": "Loan fully repaid",
}

REPAYMENT = {
    "repaymentId": _REPAYMENT_ID,
    "partnerLoanId": _LOAN_ID,
    "amount": "5000000000",
    "status": "FAILED",
    "failureReason": "ERC20InsufficientAllowance",
    "txHash": None,
    "repaidBy": "PARTNER",
    "principalPaid": "0",
    "interestPaid": "0",
    "createdAt": "2026-01-05T10:30:00Z",
    "finishedAt": "2026-01-05T10:30:04Z",
    "loanStatus": "ACTIVE",
}

_ROW = {
    "partnerLoanId": _LOAN_ID,
    "principalAmount": "5000000000",
    "remainingDebt": "0",
    "status": "REPAID",
    "borrowedAt": "2026-01-05T10:30:00Z",
}
LOAN = {
    **_ROW,
    "internalLoanId": _INTERNAL_ID,
    "userWallet": _WALLET,
    "oaidTokenId": 123,
    "oaidTokenIdString": "123",
    "outstandingPrincipal": "0",
    "accruedInterest": "0",
    "totalRepaid": "5000000000",
    "interestPaid": "0",
    "interestRate": 0,
    "platformFee": "25000000",
    "netAmountTransferred": "4975000000",
    "borrowTxHash": _BORROW_TX,
    "repayTxHash": _REPAY_TX,
    "failureReason": None,
    "repaymentInFlight": False,
    "repaymentHistory": [
        {"amount": "5000000000", "timestamp": "2026-01-10T15:20:00Z", "txHash": _REPAY_TX, "repaidBy": "PARTNER"}
    ],
    "loanDuration": None,
    "numberOfInstallments": None,
    "schedule": [],
    "defaultedAt": None,
    "defaultReason": None,
    "writtenOff": "0",
    "metadata": {"partnerUserId": "user_xyz_456"},
}
PAYOFF = {
    "partnerLoanId": _LOAN_ID,
    "payoffAmount": "5004110000",
    "remainingDebt": "5004109589",
    "outstandingPrincipal": "5000000000",
    "accruedInterest": "4109589",
    "interestRate": 500,
    "validUntil": "2026-01-11T10:45:00Z",
}
_PAGE = {"total": 234, "limit": 10, "offset": 0, "hasMore": True, "next": _NEXT}
LOAN_PAGE = {**_PAGE, "loans": [{**_ROW, "remainingDebt": "3000000000", "status": "ACTIVE"}]}
TRANSACTION_PAGE = {
    **_PAGE,
    "transactions": [
        {
            "timestamp": "2026-01-05T10:30:00Z",
            "type": "BORROW",
            "partnerLoanId": _LOAN_ID,
            "amount": "5000000000",
            "userWallet": _WALLET,
            "txHash": _BORROW_TX,
            "status": "SUCCESS",
            "repaymentId": None,
            "failureReason": None,
        }
    ],
}
CSV_TEXT = (
    "timestamp,type,partnerLoanId,amount,userWallet,txHash,status,repaymentId,failureReason\r\n"
    f"2026-01-05T10:30:00Z,BORROW,{_LOAN_ID},5000000000,{_WALLET},{_BORROW_TX},SUCCESS,,\r\n"
)
STATS = {
    "partnerId": "partner_xyz_lending_001",
    "partnerName": "XYZ Lending",
    "tier": "PREMIUM",
    "status": "ACTIVE",
    "limits": {
        "dailyBorrowLimit": "100000000000",
        "totalBorrowLimit": "500000000000",
        "currentOutstanding": "25000000000",
    },
    "usage": {
        "dailyBorrowed": "5000000000",
        "dailyRemaining": "95000000000",
        "totalRemaining": "475000000000",
        "utilizationRate": "5.0%",
    },
    "lifetime": {
        "totalBorrowed": "150000000000",
        "totalRepaid": "125000000000",
        "activeLoans": 12,
        "repaidLoans": 87,
    },
}


def pending(example: dict[str, Any], message: str) -> dict[str, Any]:
    """The answer while it is settled: a status in place of the transaction's hash."""
    told = {name: value for name, value in example.items() if name != "txHash"}
    if "loanStatus" in told:
        told |= {"remainingDebt": "5000000000", "loanStatus": "ACTIVE"}
    return {**told, "status": "PENDING", "message": message}
