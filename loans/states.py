"""The one table of a loan's life: which status may follow which.

PENDING --confirmed--> ACTIVE --paid off--> REPAID
   |                     |  ^
   v                     v  |cured
 FAILED              DEFAULTED --paid off--> REPAID
                         |
ACTIVE, DEFAULTED --liquidated--> LIQUIDATED
"""

from loans.models import LoanStatus

TRANSITIONS: dict[LoanStatus, frozenset[LoanStatus]] = {
    LoanStatus.PENDING: frozenset({LoanStatus.ACTIVE, LoanStatus.FAILED}),
    LoanStatus.ACTIVE: frozenset({LoanStatus.REPAID, LoanStatus.DEFAULTED, LoanStatus.LIQUIDATED}),
    LoanStatus.DEFAULTED: frozenset({LoanStatus.ACTIVE, LoanStatus.REPAID, LoanStatus.LIQUIDATED}),
    LoanStatus.REPAID: frozenset(),
    LoanStatus.LIQUIDATED: frozenset(),
    LoanStatus.FAILED: frozenset(),
}

REPAYABLE = frozenset({LoanStatus.ACTIVE, LoanStatus.DEFAULTED})


class IllegalTransition(Exception):
    """A loan was asked to go where the table has no edge: a bug, never a caller's error."""


def require_transition(current: str, new: str) -> None:
    """Raise `IllegalTransition` where the table does not allow `current -> new`."""
    if LoanStatus(new) not in TRANSITIONS[LoanStatus(current)]:
        raise IllegalTransition(f"a loan cannot go from {current} to {new}")
