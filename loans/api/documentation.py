"""The partner API's endpoints as the OpenAPI schema tells them: sentences, examples, and each one's errors."""

from typing import Any

from loans.api import answers, requests
from loans.api.examples import (
    BORROW,
    BORROW_WITH_CONSENT,
    BORROWED,
    CREDIT_LINE,
    CSV_TEXT,
    LOAN,
    LOAN_PAGE,
    PAYOFF,
    POSITION,
    REPAID,
    REPAY,
    REPAY_BY_TRANSFER,
    REPAYMENT,
    STATS,
    TRANSACTION_PAGE,
    TYPED_DATA,
    WANTED,
    pending,
)
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    CSV,
    IDEMPOTENCY_ERRORS,
    Answer,
    Caller,
    Link,
    Operation,
)

_MONEY_HEADERS = (headers.IDEMPOTENCY_KEY, headers.PREFER)
_PENDING = "Accepted and being settled; it will end by itself. Read Location, or repeat the request with its key"
_PUBLIC = (ErrorCode.INVALID_REQUEST, ErrorCode.UNSUPPORTED_API_VERSION)
_PENDING_HEADERS = ("Location", "RetryAfter")
_OF_REPAYMENT = {
    "TheRepayment": Link(operation="getRepayment", parameters={"repaymentId": "$response.body#/repaymentId"})
}


def _of_loan(expression: str) -> dict[str, Link]:
    """What a client does with a loan, whose id `expression` finds."""
    loan = {"partnerLoanId": expression}
    return {
        "TheLoan": Link(operation="getLoan", parameters=loan),
        "ItsPayoff": Link(operation="getPayoff", parameters=loan),
        "ItsRepayment": Link(operation="repay", body={**loan, "repaymentAmount": "1000000"}),
    }


def _answer(when: str, body: Any, example: Any, **more: Any) -> Answer:
    return Answer(status=200, when=when, body=body, example=example, **more)


credit_line = Operation(
    id="getCreditLine",
    tag="Public",
    caller=Caller.ANYBODY,
    summary="An OAID's credit line",
    description="As of the newest block.",
    path=requests.TokenIdPath,
    answers=(_answer("The credit line", answers.CreditLine, CREDIT_LINE),),
    errors=(*_PUBLIC, ErrorCode.OAID_NOT_FOUND, ErrorCode.CHAIN_UNAVAILABLE),
)

position_details = Operation(
    id="getPosition",
    tag="Public",
    caller=Caller.ANYBODY,
    summary="A collateral position",
    description="As of the newest block.",
    path=requests.PositionIdPath,
    answers=(_answer("The position", answers.Position, POSITION),),
    errors=(*_PUBLIC, ErrorCode.POSITION_NOT_FOUND, ErrorCode.CHAIN_UNAVAILABLE),
)

borrow = Operation(
    id="borrow",
    tag="Loans",
    summary="Borrow for a user",
    description="Checked, reserved and accepted in one transaction, then settled on the chain.",
    headers=_MONEY_HEADERS,
    body=requests.BorrowBody,
    body_examples={"borrow": BORROW, "withConsent": BORROW_WITH_CONSENT},
    answers=(
        Answer(
            status=201,
            when="The loan is drawn and paid out",
            body=answers.Borrowed,
            example=BORROWED,
            links=_of_loan("$request.body#/partnerLoanId"),
        ),
        Answer(
            status=202,
            when=_PENDING,
            body=answers.BorrowPending,
            example=pending(BORROWED, "Loan accepted, settlement is pending"),
            headers=_PENDING_HEADERS,
            links=_of_loan("$request.body#/partnerLoanId"),
        ),
    ),
    errors=(
        *BODY_ERRORS,
        *IDEMPOTENCY_ERRORS,
        ErrorCode.LOAN_BELOW_MINIMUM,
        ErrorCode.CONSENT_REQUIRED,
        ErrorCode.CONSENT_EXPIRED,
        ErrorCode.CONSENT_INVALID,
        ErrorCode.OAID_NOT_FOUND,
        ErrorCode.NOT_OAID_OWNER,
        ErrorCode.CREDIT_LINE_INACTIVE,
        ErrorCode.INSUFFICIENT_CREDIT,
        ErrorCode.POSITION_FROZEN,
        ErrorCode.DAILY_LIMIT_EXCEEDED,
        ErrorCode.TOTAL_LIMIT_EXCEEDED,
        ErrorCode.DUPLICATE_LOAN_ID,
        ErrorCode.CONSENT_USED,
        ErrorCode.NO_ACTIVE_POSITION,
        ErrorCode.POSITION_HAS_LOAN,
        ErrorCode.SETTLEMENT_FAILED,
        ErrorCode.QUEUE_UNAVAILABLE,
        ErrorCode.CHAIN_UNAVAILABLE,
    ),
)

typed_data = Operation(
    id="getTypedData",
    tag="Loans",
    summary="What the user signs for a borrow",
    description="The EIP-712 message of a borrow, and the `userAuthorization` to send with it, but for the signature. "
    "`nonce` and `deadline` are made where they are not given; fee and settlement address are yours as they are now.",
    body=requests.TypedDataBody,
    body_examples={"borrow": WANTED},
    answers=(_answer("The message", answers.TypedData, TYPED_DATA),),
    errors=(*BODY_ERRORS, ErrorCode.LOAN_BELOW_MINIMUM),
)

repay = Operation(
    id="repay",
    tag="Loans",
    summary="Repay a loan, in part or in full",
    description="Paid by the transfer that `repaymentTxHash` names, or pulled from the settlement address by its "
    "allowance. An amount that covers the debt closes the loan.",
    headers=_MONEY_HEADERS,
    body=requests.RepayBody,
    body_examples={"pulled": REPAY, "byTransfer": REPAY_BY_TRANSFER},
    answers=(
        _answer(
            "The repayment is settled",
            answers.Repaid,
            REPAID,
            links={**_of_loan("$request.body#/partnerLoanId"), **_OF_REPAYMENT},
        ),
        Answer(
            status=202,
            when=_PENDING,
            body=answers.RepaymentPending,
            example=pending(REPAID, "Repayment accepted, settlement is pending"),
            headers=("LocationOfRepayment", "RetryAfter"),
            links={**_of_loan("$request.body#/partnerLoanId"), **_OF_REPAYMENT},
        ),
    ),
    errors=(
        *BODY_ERRORS,
        *IDEMPOTENCY_ERRORS,
        ErrorCode.LOAN_NOT_FOUND,
        ErrorCode.LOAN_ALREADY_REPAID,
        ErrorCode.LOAN_NOT_REPAYABLE,
        ErrorCode.REPAYMENT_IN_PROGRESS,
        ErrorCode.REPAYMENT_EXCEEDS_DEBT,
        ErrorCode.TRANSFER_NOT_FOUND,
        ErrorCode.TRANSFER_UNCONFIRMED,
        ErrorCode.TRANSFER_REORGED,
        ErrorCode.TRANSFER_REVERTED,
        ErrorCode.TRANSFER_NOT_TO_PLATFORM,
        ErrorCode.TRANSFER_ALREADY_USED,
        ErrorCode.TRANSFER_INSUFFICIENT,
        ErrorCode.REPAYMENT_NOT_FUNDED,
        ErrorCode.SETTLEMENT_FAILED,
        ErrorCode.QUEUE_UNAVAILABLE,
        ErrorCode.CHAIN_UNAVAILABLE,
    ),
)

repayment = Operation(
    id="getRepayment",
    tag="Loans",
    summary="A repayment",
    description="What became of a repayment, by the `repaymentId` of its answer: `failureReason` says why one failed.",
    path=requests.RepaymentIdPath,
    answers=(_answer("The repayment", answers.RepaymentState, REPAYMENT),),
    errors=(ErrorCode.REPAYMENT_NOT_FOUND,),
)

loan = Operation(
    id="getLoan",
    tag="Loans",
    summary="A loan",
    path=requests.LoanIdPath,
    answers=(_answer("The loan", answers.Loan, LOAN, links=_of_loan("$request.path.partnerLoanId")),),
    errors=(ErrorCode.LOAN_NOT_FOUND,),
)

payoff = Operation(
    id="getPayoff",
    tag="Loans",
    summary="What closes a loan, and until when that holds",
    path=requests.LoanIdPath,
    answers=(
        _answer(
            "The quote",
            answers.Payoff,
            PAYOFF,
            links={
                "Close": Link(
                    operation="repay",
                    body={
                        "partnerLoanId": "$response.body#/partnerLoanId",
                        "repaymentAmount": "$response.body#/payoffAmount",
                    },
                )
            },
        ),
    ),
    errors=(ErrorCode.LOAN_NOT_FOUND, ErrorCode.LOAN_ALREADY_REPAID, ErrorCode.LOAN_NOT_REPAYABLE),
)

user_loans = Operation(
    id="listUserLoans",
    tag="Loans",
    summary="A user's loans through this partner, newest first",
    query=requests.UserLoansQuery,
    answers=(
        _answer(
            "A page of loans",
            answers.LoanPage,
            LOAN_PAGE,
            links={
                "NextPage": Link(
                    operation="listUserLoans",
                    parameters={"userWallet": "$request.path.userWallet", "cursor": "$response.body#/next"},
                ),
                "FirstLoan": Link(
                    operation="getLoan", parameters={"partnerLoanId": "$response.body#/loans/0/partnerLoanId"}
                ),
            },
        ),
    ),
    errors=(ErrorCode.INVALID_REQUEST,),
)

stats = Operation(
    id="getStats",
    tag="Reports",
    summary="Limits, today's use and lifetime sums",
    answers=(_answer("The figures", answers.Stats, STATS),),
)

transactions = Operation(
    id="listTransactions",
    tag="Reports",
    summary="Borrows and repayments, newest first",
    description="A page as JSON; with `Accept: text/csv` all rows as CSV, streamed, where `limit`, `offset` and "
    "`cursor` are refused. A loan's id that begins with a dash has a `'` before it there, so that no spreadsheet "
    "takes it for a formula.",
    query=requests.TransactionsQuery,
    answers=(
        _answer(
            "A page of transactions, or all rows as CSV",
            answers.TransactionPage,
            TRANSACTION_PAGE,
            links={"NextPage": Link(operation="listTransactions", parameters={"cursor": "$response.body#/next"})},
        ),
        _answer("A page of transactions, or all rows as CSV", {"type": "string"}, CSV_TEXT, media_type=CSV),
    ),
    errors=(ErrorCode.INVALID_REQUEST,),
)
