"""The codes of status 400: what is wrong with a request, with a loan's terms or with the money behind it."""

from http import HTTPStatus

from rest_framework.exceptions import ErrorDetail

from partner_platform.core.error_catalogue.entry import Entry
from partner_platform.core.errors import ErrorCode

_ADDRESS = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"
_FUNDS = {
    "amount": "5000000000",
    "token": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
    "settlementAddress": _ADDRESS,
    "platformAccount": "0x580F5b09765E71D64613c8F4403234f8790DD7D3",
    "settlementBalance": "0",
    "settlementAllowance": "0",
}


def _transfer(when: str, problem: str, *, retry_after: int | None = None, **details: str) -> Entry:
    """A refusal of the transfer that should fund a repayment."""
    told = {"repaymentTxHash": [problem], **details}
    return Entry(HTTPStatus.BAD_REQUEST, when, f"repaymentTxHash: {problem}", told, retry_after)


INVALID_REQUESTS: dict[ErrorCode, Entry] = {
    ErrorCode.INVALID_REQUEST: Entry(
        HTTPStatus.BAD_REQUEST,
        "a field, a header or the JSON is not valid; `details` has each problem by field, `errors` the same as a list",
        "borrowAmount: Must be from 1 to 9223372036854775807 base units.",
        {"borrowAmount": [ErrorDetail("Must be from 1 to 9223372036854775807 base units.", code="max_value")]},
    ),
    ErrorCode.UNSUPPORTED_API_VERSION: Entry(
        HTTPStatus.BAD_REQUEST,
        "the `API-Version` that the call names is not supported; `details.supported` lists those that are",
        "This API-Version is not supported. Supported: 2026-01-05",
        {"supported": ["2026-01-05"]},
    ),
    ErrorCode.LOAN_BELOW_MINIMUM: Entry(
        HTTPStatus.BAD_REQUEST,
        "the amount is less than the smallest loan; `details.minimum` is that one",
        "The smallest loan is $1",
        {"minimum": "1000000"},
    ),
    ErrorCode.CREDIT_LINE_INACTIVE: Entry(
        HTTPStatus.BAD_REQUEST, "the OAID's credit line is not active", "OAID credit line is not active"
    ),
    ErrorCode.INSUFFICIENT_CREDIT: Entry(
        HTTPStatus.BAD_REQUEST,
        "the credit line has less left; `details.availableCredit` is what is left",
        "Insufficient credit. Available: $3000",
        {"availableCredit": "3000000000"},
    ),
    ErrorCode.NO_ACTIVE_POSITION: Entry(
        HTTPStatus.BAD_REQUEST,
        "no active collateral backs the OAID",
        "No active collateral position found for this OAID",
    ),
    ErrorCode.POSITION_HAS_LOAN: Entry(
        HTTPStatus.BAD_REQUEST,
        "the position takes one loan at a time, and has one that is not repaid",
        "The position has a loan that is not repaid, and takes one at a time",
        {"positionId": "42", "debt": "2000000000"},
    ),
    ErrorCode.LOAN_NOT_REPAYABLE: Entry(
        HTTPStatus.BAD_REQUEST,
        "the loan is pending (that is retryable), failed or liquidated",
        "Loan is pending and cannot be repaid",
        {"status": "PENDING"},
        retry_after=2,
    ),
    ErrorCode.LOAN_ALREADY_REPAID: Entry(
        HTTPStatus.BAD_REQUEST, "nothing is owed any more", "Loan already fully repaid"
    ),
    ErrorCode.REPAYMENT_EXCEEDS_DEBT: Entry(
        HTTPStatus.BAD_REQUEST,
        "less is owed; `details.remainingDebt` is what is owed",
        "Repayment exceeds remaining debt of $3000",
        {"remainingDebt": "3000000000"},
    ),
    ErrorCode.REPAYMENT_NOT_FUNDED: Entry(
        HTTPStatus.BAD_REQUEST,
        "neither a transfer nor an allowance pays it; `details` says where to send what",
        f"Repayment is not funded. Send $5000 USDC from {_ADDRESS} to {_FUNDS['platformAccount']} and pass its "
        "repaymentTxHash, or approve that account to pull it",
        _FUNDS,
    ),
    ErrorCode.TRANSFER_NOT_FOUND: _transfer("nobody knows the transaction", "no such transaction is mined"),
    ErrorCode.TRANSFER_UNCONFIRMED: _transfer(
        "the transaction waits, is not deep enough, or nodes disagree about it",
        "the transaction is not confirmed yet",
        retry_after=2,
    ),
    ErrorCode.TRANSFER_REORGED: _transfer(
        "a reorganization replaced the transaction's block",
        "a reorganization of the chain took the transaction out of its block",
        retry_after=2,
    ),
    ErrorCode.TRANSFER_REVERTED: _transfer("the transaction reverted", "the transaction reverted"),
    ErrorCode.TRANSFER_NOT_TO_PLATFORM: _transfer(
        "the transaction moved no USDC from the settlement address to the platform account",
        "no USDC transfer from the settlement address to the platform account",
    ),
    ErrorCode.TRANSFER_ALREADY_USED: _transfer(
        "all of the transfer has paid for repayments", "all of the transfer is used", unused="0"
    ),
    ErrorCode.TRANSFER_INSUFFICIENT: _transfer(
        "less than the amount is left of the transfer; `details.unused` is what is left",
        "$40 of the transfer is not yet used",
        unused="40000000",
    ),
    ErrorCode.SETTLEMENT_FAILED: Entry(
        HTTPStatus.BAD_REQUEST,
        "the chain refused what had been accepted; `details.reason` is the chain's",
        "Loan was refused by the chain: NotOperator",
        {"internalLoanId": "7c3f4b1e-52a6-4d8e-9a58-0f6f1d0e2b11", "reason": "NotOperator"},
    ),
    ErrorCode.ONBOARDING_INCOMPLETE: Entry(
        HTTPStatus.BAD_REQUEST,
        "the partner lacks something before it may act; `details.missing` says what",
        "Onboarding is not complete: kycVerified, contractSigned, stage LIVE",
        {"missing": ["kycVerified", "contractSigned", "stage LIVE"], "stage": "KYC"},
    ),
}
