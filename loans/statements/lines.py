"""What a movement of money is as lines of a statement. Pure.

A line's `amount` is what moved, its `change` what that does to the balance; both are negative where a reorg undid the
line before. A line of nothing is left out.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from loans.models import LedgerEntryKind


class LineKind(StrEnum):
    """The names are part of the HTTP contract."""

    BORROW = "BORROW"  # the principal of a loan that was drawn
    FEE = "FEE"  # that the platform kept of it
    REPAYMENT_PRINCIPAL = "REPAYMENT_PRINCIPAL"
    REPAYMENT_INTEREST = "REPAYMENT_INTEREST"
    LIQUIDATION = "LIQUIDATION"  # the principal that a liquidation recovered
    WRITE_OFF = "WRITE_OFF"  # the principal that was lost in it
    UNDONE = "UNDONE"  # a line before, which a reorganization of the chain took back


# What a base unit of each does to the balance.
SIGNS: Mapping[LineKind, int] = {
    LineKind.BORROW: 1,
    LineKind.FEE: 0,
    LineKind.REPAYMENT_PRINCIPAL: -1,
    LineKind.REPAYMENT_INTEREST: 0,
    LineKind.LIQUIDATION: -1,
    LineKind.WRITE_OFF: -1,
}
# How the principal of a movement is called.
_PRINCIPAL: Mapping[LedgerEntryKind, LineKind] = {
    LedgerEntryKind.DRAW: LineKind.BORROW,
    LedgerEntryKind.PAYMENT: LineKind.REPAYMENT_PRINCIPAL,
    LedgerEntryKind.LIQUIDATION: LineKind.LIQUIDATION,
}


@dataclass(frozen=True, kw_only=True)
class Booked:
    """A movement as the books have it, in base units; `block` is None where none is known. `is_undone`: this is when a
    reorg took it back.
    """

    moment: dt.datetime
    kind: LedgerEntryKind
    partner_loan_id: str
    tx_hash: str
    block: int | None
    principal: int = 0
    fee: int = 0
    interest: int = 0
    written_off: int = 0
    is_undone: bool = False


@dataclass(frozen=True)
class BalanceLine:
    """A line; `undoes` is what kind of line an UNDONE one takes back."""

    moment: dt.datetime
    kind: LineKind
    undoes: LineKind | None
    partner_loan_id: str
    amount: int
    change: int
    tx_hash: str
    block: int | None

    @property
    def counts_as(self) -> LineKind:
        """The kind that its amount is added to in the totals."""
        return self.undoes or self.kind


def balance_lines(booked: Booked) -> Iterator[BalanceLine]:
    """The movement's lines."""
    parts = {
        _PRINCIPAL[booked.kind]: booked.principal,
        LineKind.FEE: booked.fee,
        LineKind.REPAYMENT_INTEREST: booked.interest,
        LineKind.WRITE_OFF: booked.written_off,
    }
    for kind, figure in parts.items():
        amount = -figure if booked.is_undone else figure
        if amount:
            yield BalanceLine(
                moment=booked.moment,
                kind=LineKind.UNDONE if booked.is_undone else kind,
                undoes=kind if booked.is_undone else None,
                partner_loan_id=booked.partner_loan_id,
                amount=amount,
                change=amount * SIGNS[kind],
                tx_hash=booked.tx_hash,
                block=booked.block,
            )


@dataclass
class Totals:
    """The sums of a statement's lines, in base units, less what was undone."""

    borrowed: int = 0
    repaid: int = 0  # principal and interest, what liquidations recovered included
    fees: int = 0
    interest: int = 0  # of `repaid`
    written_off: int = 0

    def add(self, line: BalanceLine) -> None:
        kind = line.counts_as
        if kind == LineKind.BORROW:
            self.borrowed += line.amount
        elif kind == LineKind.FEE:
            self.fees += line.amount
        elif kind == LineKind.WRITE_OFF:
            self.written_off += line.amount
        else:
            self.repaid += line.amount
            self.interest += line.amount if kind == LineKind.REPAYMENT_INTEREST else 0
