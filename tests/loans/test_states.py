"""The table of a loan's life: every edge there is, and every one there is not."""

import itertools

import pytest

from loans.models import LoanStatus
from loans.states import ROLLBACKS, TRANSITIONS, IllegalTransition, require_rollback, require_transition

P, A, R, D, L, F = (
    *(LoanStatus.PENDING, LoanStatus.ACTIVE, LoanStatus.REPAID),
    *(LoanStatus.DEFAULTED, LoanStatus.LIQUIDATED, LoanStatus.FAILED),
)
ALLOWED = {(P, A), (P, F), (A, R), (A, D), (A, L), (D, A), (D, R), (D, L)}
UNDONE = {(A, P), (A, D), (D, P), (R, A), (R, D), (L, A), (L, D), (F, P)}
EVERY_EDGE = sorted(itertools.product(LoanStatus, LoanStatus))


def test_the_tables_know_every_status() -> None:
    assert set(TRANSITIONS) == set(ROLLBACKS) == set(LoanStatus)


@pytest.mark.parametrize(("current", "new"), [edge for edge in EVERY_EDGE if edge in ALLOWED])
def test_a_loan_may_go_along_an_edge(current: LoanStatus, new: LoanStatus) -> None:
    require_transition(current, new)


@pytest.mark.parametrize(("current", "new"), [edge for edge in EVERY_EDGE if edge not in ALLOWED])
def test_a_loan_goes_nowhere_else(current: LoanStatus, new: LoanStatus) -> None:
    with pytest.raises(IllegalTransition, match=f"from {current} to {new}"):
        require_transition(current, new)


@pytest.mark.parametrize(("current", "former"), EVERY_EDGE)
def test_a_reorg_takes_a_loan_back_along_these_edges_only(current: LoanStatus, former: LoanStatus) -> None:
    if (current, former) in UNDONE:
        require_rollback(current, former)
    else:
        with pytest.raises(IllegalTransition):
            require_rollback(current, former)
