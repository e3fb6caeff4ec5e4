"""The rows a reconciliation reads, a bounded number at a time: positions in ranges of their keys, and what is theirs.

Rows are as the database stores them (`core.database.rows`): keys and uint256 are compared, and converted only where
shown.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Q
from django.db.models.fields.json import KT

from chain.models import ChainEvent
from chain.reconciling import VAULTS
from loans.chain_order import order_of
from loans.models import PartnerLoan, Repayment, SolvencyPosition
from partner_platform.core.database.batches import batched
from partner_platform.core.database.rows import stored_rows
from partner_platform.core.fields import MAX_UINT256

ROWS_AT_ONCE = 10_000  # about so many loans, repayments and events are in memory
FIRST_WIDTH, WIDEST = 50, 1_000
IDS_PER_QUERY = 1_000  # of the loans of a group, whose repayments are read together
DRAWS = tuple(f"{vault}.USDCBorrowed" for vault in VAULTS)
PAYMENTS = tuple(f"{vault}.LoanRepaid" for vault in VAULTS)


class LoanRecord(NamedTuple):
    """A loan's row, its columns by their names."""

    pk: Any
    internal_loan_id: Any
    partner_id: Any
    solvency_position_id: str
    principal_amount: int
    outstanding_principal: int
    bearing_principal: int
    accrued_scaled: str
    interest_rate_bps: int
    interest_since: int
    draw_order: int
    interest_paid: int
    written_off_principal: int
    total_repaid: int
    platform_fee_charged: int
    status: str
    repayment_in_flight: Any
    daily_usage_day: Any
    last_repayment_at: Any
    default_day: Any
    borrow_operation_id: Any


class RepaymentRecord(NamedTuple):
    """A repayment's row, its columns by their names."""

    pk: Any
    loan_id: Any
    amount: int
    status: str
    repaid_by: str
    funding: str
    principal_paid: int
    interest_paid: int
    platform_covered: int
    chain_order: int
    operation_id: Any
    settled_at: Any


class EventRecord(NamedTuple):
    """The vault's event of a draw or a repayment in an operation of ours; `account` is the executor that ran it."""

    position_id: str
    block_number: int
    log_index: int
    name: str
    operation_uid: str
    amount: str
    account: str

    @property
    def order(self) -> int:
        return order_of(self.block_number, self.log_index)


@dataclass(slots=True)
class PositionRecord:
    """A position's row, its columns by their names; `loans.positions.mirror` and `ledger` take it for one."""

    pk: Any
    position_id: int
    user_wallet: str
    collateral_amount: int
    collateral_value_usd: int
    active: bool
    liquidated_at: Any
    total_partner_debt: int
    synced_block: int
    pool_principal: int
    pool_accrued_scaled: int
    pool_rate_bps: int
    pool_since: int
    loans_principal: int
    loans_accrued_scaled: int
    ledger_order: int

    @property
    def subject(self) -> str:
        return f"position:{self.position_id}"


POSITION_COLUMNS = tuple(PositionRecord.__slots__)


class PositionGroup(NamedTuple):
    """Positions to compare together: those whose key is from `first` to `last`, both included, or `chosen`.

    Both bounds are always there: with one alone SQLite reads a table by another index.
    """

    first: int = 0
    last: int = MAX_UINT256
    chosen: tuple[int, ...] = ()

    def where(self, name: str) -> Q:
        """The condition on a column that names the position."""
        if self.chosen:
            return Q(**{f"{name}__in": self.chosen})
        return Q(**{f"{name}__gte": self.first, f"{name}__lte": self.last})


class PositionGroups:
    """All positions in ranges, or some of them in groups; call `adapt_width` after each with the rows it had.

    The ranges have no holes, so that a loan whose position was not mirrored yet is in one too.
    """

    def __init__(self, chosen: Collection[int] | None = None) -> None:
        self._chosen = None if chosen is None else sorted(chosen)
        self._width = FIRST_WIDTH

    def adapt_width(self, rows: int) -> None:
        """Make the next group wider where there were few rows, narrower where there were many."""
        fitting = self._width * ROWS_AT_ONCE // max(rows, 1)
        self._width = max(1, min(fitting, self._width * 4, WIDEST))

    def __iter__(self) -> Iterator[PositionGroup]:
        return self._ranges() if self._chosen is None else self._groups(self._chosen)

    def _groups(self, chosen: Sequence[int]) -> Iterator[PositionGroup]:
        start = 0
        while start < len(chosen):
            width = self._width
            yield PositionGroup(chosen=tuple(chosen[start : start + width]))
            start += width

    def _ranges(self) -> Iterator[PositionGroup]:
        first = 0
        while True:
            keys = SolvencyPosition.objects.filter(position_id__gte=first).order_by("position_id")
            found = list(keys.values_list("position_id", flat=True)[: self._width])
            last = found[-1] if len(found) == self._width else MAX_UINT256
            yield PositionGroup(first, last)
            if last == MAX_UINT256:
                return
            first = last + 1


def positions(group: PositionGroup) -> dict[int, PositionRecord]:
    """The mirrored positions of the group, by their key."""
    rows = SolvencyPosition.objects.filter(group.where("position_id")).values_list(*POSITION_COLUMNS)
    return {row[1]: PositionRecord(*row) for row in rows}


def loans(group: PositionGroup) -> list[LoanRecord]:
    """The loans drawn, or to be drawn, on the group's positions."""
    query = PartnerLoan.objects.filter(group.where("solvency_position_id")).values_list(*LoanRecord._fields)
    return [LoanRecord._make(row) for row in stored_rows(query)]


def repayments(loan_keys: Sequence[Any]) -> dict[Any, list[RepaymentRecord]]:
    """The repayments of these loans, by the loan's key."""
    found: dict[Any, list[RepaymentRecord]] = {}
    for chosen in batched(loan_keys, IDS_PER_QUERY):
        query = Repayment.objects.filter(loan_id__stored_in=chosen).values_list(*RepaymentRecord._fields)
        for row in map(RepaymentRecord._make, stored_rows(query)):
            found.setdefault(row.loan_id, []).append(row)
    return found


def events(group: PositionGroup, *, until: int, account: str) -> dict[str, list[EventRecord]]:
    """Draws and repayments in operations of ours up to block `until`, by position, in the order of the chain.

    `account` is the executor that ran them all, empty where there is more than one: then each event is asked for it.
    """
    query = ChainEvent.objects.filter(group.where("position_id"), block_number__lte=until, name__in=DRAWS + PAYMENTS)
    columns: list[Any] = ["position_id", "block_number", "log_index", "name", "operation_uid", KT("args__amount")]
    if not account:
        columns += [KT("args__borrower"), KT("args__payer")]
    found: dict[str, list[EventRecord]] = {}
    for row in stored_rows(query.exclude(operation_uid="").values_list(*columns)):
        event = EventRecord._make([*row[:6], account or row[6] or row[7]])
        found.setdefault(event.position_id, []).append(event)
    for of_position in found.values():
        of_position.sort(key=lambda event: (event.block_number, event.log_index))
    return found
