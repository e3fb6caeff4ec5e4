"""What moved since the last run: the audit trail says which loans, the events which positions.

Each change of a loan has its entry in the trail, in the same transaction (M6), and entries are sealed in blocks once
they are committed: whatever has a newer block than the last run saw, or none yet, may have come since. None of that
depends on clocks.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from audit import selectors as audit_selectors
from chain.models import ChainEvent
from loans.chain_order import order_of
from loans.models import PartnerLoan, Repayment, SolvencyPosition
from partner_platform.core.database.batches import batched

# Where more moved, everything is compared: that costs no more then.
MOST_ENTRIES, MOST_LOANS = 200_000, 50_000


class MovedLoan(NamedTuple):
    """A loan that moved, and what it counts in."""

    pk: UUID
    partner_id: UUID
    daily_usage_day: Any
    oaid_token_id: int
    solvency_position_id: int


@dataclass(frozen=True)
class Moved:
    """The loans, and every position that is to be compared."""

    loans: list[MovedLoan]
    positions: set[int]


class TooMany(Exception):
    """So much moved that everything is compared."""


def moved_since(*, audit_block: int, block_number: int, in_motion: Collection[str]) -> Moved:
    """What moved after the audit trail's `audit_block` and the chain's `block_number`, and what was in motion then.

    Raises `TooMany`.
    """
    targets = audit_selectors.changed_since(audit_block, prefix="loan:", most=MOST_ENTRIES)
    if targets is None or len(targets) > MOST_LOANS:
        raise TooMany
    names = {UUID(target.partition(":")[2]) for target in targets}
    names |= {UUID(subject.partition(":")[2]) for subject in in_motion if subject.startswith("loan:")}
    paying = [subject.partition(":")[2] for subject in in_motion if subject.startswith("repayment:")]
    loans = _loans(internal_loan_id=names)
    loans += _loans(pk=Repayment.objects.filter(pk__in=paying).values_list("loan_id", flat=True))
    positions = {loan.solvency_position_id for loan in loans}
    positions |= {int(subject.partition(":")[2]) for subject in in_motion if subject.startswith("position:")}
    return Moved(loans, positions | _positions_since(block_number))


def transfers_of(loans: Iterable[MovedLoan]) -> set[UUID]:
    """The transfers that fund repayments of these loans."""
    found: set[UUID] = set()
    for chosen in batched([loan.pk for loan in loans]):
        funded = Repayment.objects.filter(loan_id__in=chosen, funding_transfer_id__isnull=False)
        found |= set(funded.values_list("funding_transfer_id", flat=True))
    return found


def _loans(**wanted: Iterable[object]) -> list[MovedLoan]:
    [(name, values)] = wanted.items()
    found: list[MovedLoan] = []
    for chosen in batched(values):
        query = PartnerLoan.objects.filter(**{f"{name}__in": chosen})
        found += [MovedLoan(*row) for row in query.values_list(*MovedLoan._fields)]
    return found


def _positions_since(block_number: int) -> set[int]:
    """Those with events in later blocks, and those whose ledger is past the block."""
    events = ChainEvent.objects.filter(block_number__gt=block_number, position_id__isnull=False)
    moved = SolvencyPosition.objects.filter(ledger_order__gte=order_of(block_number + 1, 0))
    named = {number for number in events.values_list("position_id", flat=True) if number is not None}
    return named | set(moved.values_list("position_id", flat=True))
