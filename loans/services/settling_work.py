"""The rows that a sweep needs to settle some operations: their loans, repayments and positions."""

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from chain.models import Operation, OperationState
from loans.models import PartnerLoan, Repayment, SolvencyPosition
from loans.positions import holding
from loans.positions.rows import mirrored
from loans.services.settle_borrow import settle_borrow
from loans.services.settle_repayment import settle_repayment

FIRST_OF_A_POSITION = 20
NO_POSITION = 0  # the vault counts positions from 1


class UnknownOperation(Exception):
    """No loan and no repayment was made for the operation."""


class Work:
    """Operations in the order of the chain, with the rows that settling them reads.

    Where a position was held, its first operations on the chain are always among them, so that operations of one
    position are settled in their order, whichever of them are tried.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.loans: dict[UUID, PartnerLoan] = {}
        self._repayments: dict[UUID, Repayment] = {}
        self.rows: dict[int, SolvencyPosition] = {}
        self.stopped: set[int] = set()  # positions with an operation that failed now: later ones wait
        found = {operation.pk: operation for operation in operations}
        self._load(list(found.values()))
        holding.end_holds_that_are_over(self.rows.values())
        earlier = {operation.pk: operation for operation in self._first_of_held()}
        if added := [operation for key, operation in earlier.items() if key not in found]:
            self._load(added)
        self.operations = sorted([*found.values(), *added], key=holding.place_of)

    def position_of(self, operation: Operation) -> SolvencyPosition | None:
        """The position whose ledger the operation moves; None where it moved nothing."""
        if operation.state != OperationState.CONFIRMED:
            return None
        return self.rows.get(self.position_id_of(operation))

    def must_wait(self, operation: Operation) -> bool:
        """True where something earlier on its position cannot be applied now."""
        row = self.position_of(operation)
        if row is None:
            return False
        return row.position_id in self.stopped or holding.must_wait(row, operation.block_number or 0)

    def end_of(self, operation: Operation) -> Callable[[], None]:
        """The function that settles the operation, to be called in a transaction. Raises `UnknownOperation`."""
        if (loan := self.loans.get(operation.pk)) is not None:
            return partial(settle_borrow, loan, operation)
        if (repayment := self._repayments.get(operation.pk)) is not None:
            return partial(settle_repayment, repayment, operation)
        raise UnknownOperation(f"no loan and no repayment was made for {operation.key}")

    def position_id_of(self, operation: Operation) -> int:
        """The position it belongs to; `NO_POSITION` where no loan and no repayment was made for it."""
        loan, repayment = self.loans.get(operation.pk), self._repayments.get(operation.pk)
        if loan is None and repayment is not None:
            loan = repayment.loan
        return NO_POSITION if loan is None else loan.solvency_position_id

    def _load(self, operations: Sequence[Operation]) -> None:
        loans = PartnerLoan.objects.filter(borrow_operation__in=[operation.pk for operation in operations])
        self.loans |= {loan.borrow_operation_id: loan for loan in loans}
        others = [operation.pk for operation in operations if operation.pk not in self.loans]
        repayments = Repayment.objects.filter(operation__in=others).select_related("loan") if others else []
        self._repayments |= {row.operation_id: row for row in repayments if row.operation_id is not None}
        positions = {self.position_id_of(operation) for operation in operations}
        self.rows |= mirrored(positions - set(self.rows) - {NO_POSITION})

    def _first_of_held(self) -> list[Operation]:
        return [
            operation
            for row in self.rows.values()
            if holding.is_due(row)
            for operation in holding.first_waiting(row.position_id, FIRST_OF_A_POSITION)
        ]
