"""The one table of a loan's life: which status may follow which.

PENDING --confirmed--> ACTIVE --paid off--> REPAID
   |                     |  ^
   v                     v  |cured
 FAILED              DEFAULTED --paid off--> REPAID
                         |
ACTIVE, DEFAULTED --liquidated--> LIQUIDATED

A reorganization of the chain goes the other way, and only that: `ROLLBACKS`.
"""

from collections.abc import Mapping

from loans.models import LoanStatus

Table = Mapping[LoanStatus, frozenset[LoanStatus]]

TRANSITIONS: Table = {
    LoanStatus.PENDING: frozenset({LoanStatus.ACTIVE, LoanStatus.FAILED}),
    LoanStatus.ACTIVE: frozenset({LoanStatus.REPAID, LoanStatus.DEFAULTED, LoanStatus.LIQUIDATED}),
    LoanStatus.DEFAULTED: frozenset({LoanStatus.ACTIVE, LoanStatus.REPAID, LoanStatus.LIQUIDATED}),
    LoanStatus.REPAID: frozenset(),
    LoanStatus.LIQUIDATED: frozenset(),
    LoanStatus.FAILED: frozenset(),
}

ROLLBACKS: Table = {
    LoanStatus.PENDING: frozenset(),
    LoanStatus.ACTIVE: frozenset({LoanStatus.PENDING, LoanStatus.DEFAULTED}),  # its draw, or the payment that cured it
    LoanStatus.DEFAULTED: frozenset({LoanStatus.PENDING}),
    LoanStatus.REPAID: frozenset({LoanStatus.ACTIVE, LoanStatus.DEFAULTED}),
    LoanStatus.LIQUIDATED: frozenset({LoanStatus.ACTIVE, LoanStatus.DEFAULTED}),
    LoanStatus.FAILED: frozenset({LoanStatus.PENDING}),
}

REPAYABLE = frozenset({LoanStatus.ACTIVE, LoanStatus.DEFAULTED})
CLOSED = frozenset({LoanStatus.REPAID, LoanStatus.LIQUIDATED})


class IllegalTransition(Exception):
    """A loan was asked to go where the table has no edge: a bug, never a caller's error."""


def require_transition(current: str, new: str) -> None:
    """Raise `IllegalTransition` where the table does not allow `current -> new`."""
    _require(TRANSITIONS, current, new)


def require_rollback(current: str, former: str) -> None:
    """Raise `IllegalTransition` where a reorg cannot take a loan back from `current` to `former`."""
    _require(ROLLBACKS, current, former)


def _require(table: Table, current: str, new: str) -> None:
    if LoanStatus(new) not in table[LoanStatus(current)]:
        raise IllegalTransition(f"a loan cannot go from {current} to {new}")
