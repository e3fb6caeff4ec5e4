"""Examples of events of loans, as the platform would tell them: one story of a loan, and its other ends.

Each is the whole event: the loan as of it, its times in their order, its place among the loan's events.
"""

from collections.abc import Mapping
from typing import Any

from events.kinds import EventType
from loans.api.common import EVIDENCE_OF_BORROW_EXAMPLE, EVIDENCE_OF_REPAYMENT_EXAMPLE, EXAMPLE_REPAY_TX
from loans.api.loan import LOAN_EXAMPLE
from loans.api.repayments import REPAYMENT_ANSWER_EXAMPLE
from loans.debt.schedules import DUE, MISSED
from loans.models import LoanStatus, RepaymentSource, RepaymentStatus
from loans.objects.repayment import STATUSES
from webhooks.api.feed import EVENT_EXAMPLE

Example = Mapping[str, Any]

_PRINCIPAL = str(LOAN_EXAMPLE["principalAmount"])
_BORROWED = str(LOAN_EXAMPLE["borrowedAt"])
_PAID = "2026-01-10T15:20:00Z"  # the time of the payment's block, as in the history of `LOAN_EXAMPLE`

_ACTIVE: Example = {
    **LOAN_EXAMPLE,
    "status": LoanStatus.ACTIVE.value,
    "remainingDebt": _PRINCIPAL,
    "outstandingPrincipal": _PRINCIPAL,
    "totalRepaid": "0",
    "evidence": EVIDENCE_OF_BORROW_EXAMPLE,
    "repayTxHash": None,
    "repaymentHistory": [],
}
_FAILED: Example = {
    **_ACTIVE,
    "status": LoanStatus.FAILED.value,
    "remainingDebt": "0",
    "outstandingPrincipal": "0",
    "borrowedAt": None,
    "borrowTxHash": None,
    "borrowEvidence": None,
    "evidence": None,
    "failureReason": "CreditLineNotActive",
}
_DEFAULTED: Example = {
    **_ACTIVE,
    "status": LoanStatus.DEFAULTED.value,
    "defaultedAt": "2026-02-20T09:00:00Z",
    "defaultReason": "The borrower is insolvent",
}
_RECOVERED, _LOST = "3000000000", "2000000000"
_LIQUIDATED: Example = {
    **LOAN_EXAMPLE,
    "status": LoanStatus.LIQUIDATED.value,
    "totalRepaid": _RECOVERED,
    "writtenOff": _LOST,
    "repaymentHistory": [
        {
            "amount": _RECOVERED,
            "timestamp": _PAID,
            "txHash": EXAMPLE_REPAY_TX,
            "repaidBy": RepaymentSource.LIQUIDATION.value,
        }
    ],
}
_DUE_DATES = ("2026-02-04", "2026-03-06", "2026-04-05", "2026-05-05", "2026-06-04")
_SCHEDULE = [
    {"number": number, "dueAt": f"{day}T10:30:00Z", "amount": "1000000000", "status": DUE}
    for number, day in enumerate(_DUE_DATES, 1)
]
_IN_FIVE_PARTS: Example = {
    **_ACTIVE,
    "loanDuration": 150 * 24 * 60 * 60,
    "numberOfInstallments": len(_SCHEDULE),
    "schedule": _SCHEDULE,
}
_MISSED = {**_SCHEDULE[0], "status": MISSED}
_ONE_MISSED: Example = {**_IN_FIVE_PARTS, "schedule": [_MISSED, *_SCHEDULE[1:]]}

_REFUSED: Example = {
    **REPAYMENT_ANSWER_EXAMPLE,
    "createdAt": "2026-01-10T15:19:56Z",
    "finishedAt": _PAID,
}
_SETTLED: Example = {
    **_REFUSED,
    "status": STATUSES[RepaymentStatus.SETTLED],
    "principalPaid": _PRINCIPAL,
    "txHash": EXAMPLE_REPAY_TX,
    "failureCode": None,
    "failureReason": None,
    "settledAt": _PAID,
    "loanStatus": LoanStatus.REPAID.value,
    "evidence": EVIDENCE_OF_REPAYMENT_EXAMPLE,
}
_UNDONE_PAYMENT: Example = {
    **_REFUSED,
    "status": STATUSES[RepaymentStatus.PENDING],
    "failureCode": None,
    "failureReason": None,
    "finishedAt": None,
}


def _event(
    sequence: int, happened: str, recorded: str, loan: Example, *, repayment: Example | None = None, **more: object
) -> Example:
    """The fields beside `id` and `type`; `happened` and `recorded` are its `timestamp` and `createdAt`."""
    data: dict[str, object] = {"loan": loan, **more}
    if repayment is not None:
        data["repayment"] = repayment
    return {
        **EVENT_EXAMPLE,
        "createdAt": recorded,
        "sequence": sequence,
        "internalLoanId": loan["internalLoanId"],
        "totalRepaid": loan["totalRepaid"],
        "timestamp": happened,
        "data": data,
    }


LOAN_EVENTS: Mapping[EventType, Example] = {
    EventType.LOAN_BORROWED: _event(1, _BORROWED, "2026-01-05T10:30:04Z", _ACTIVE),
    EventType.LOAN_FAILED: _event(1, "2026-01-05T10:30:04Z", "2026-01-05T10:30:04Z", _FAILED),
    EventType.LOAN_REPAYMENT: _event(2, _PAID, "2026-01-10T15:20:04Z", LOAN_EXAMPLE, repayment=_SETTLED),
    EventType.LOAN_REPAID: _event(3, _PAID, "2026-01-10T15:20:04Z", LOAN_EXAMPLE, repayment=_SETTLED),
    EventType.REPAYMENT_FAILED: _event(2, _PAID, _PAID, _ACTIVE, repayment=_REFUSED),
    EventType.LOAN_UNDONE: _event(
        4,
        "2026-01-10T15:21:00Z",
        "2026-01-10T15:21:00Z",
        {**_ACTIVE, "repaymentInFlight": True},
        repayment=_UNDONE_PAYMENT,
        undone=EventType.LOAN_REPAYMENT.value,
        reason="a reorganization of the chain",
    ),
    EventType.LOAN_LIQUIDATED: _event(3, _PAID, "2026-01-10T15:20:04Z", _LIQUIDATED),
    EventType.LOAN_DEFAULTED: _event(2, "2026-02-20T09:00:00Z", "2026-02-20T09:00:00Z", _DEFAULTED),
    EventType.LOAN_CURED: _event(3, "2026-02-23T09:00:00Z", "2026-02-23T09:00:00Z", _ACTIVE),
    EventType.PAYMENT_DUE_SOON: _event(
        2, "2026-02-01T10:30:03Z", "2026-02-01T10:30:04Z", _IN_FIVE_PARTS, installment=_SCHEDULE[0]
    ),
    EventType.PAYMENT_MISSED: _event(
        3, "2026-02-04T10:30:03Z", "2026-02-04T10:30:04Z", _ONE_MISSED, installment=_MISSED
    ),
}
