"""The ledger of a position: what each event at the pool does to the loans' shares of the position's debt (M5).

Every event (a draw, a payment, a liquidation) is applied once and in the order of the chain: the position's row carries
the place of the last one, `ledger_order`, and every write demands that it is where it was read. The pool's own figures
after the event (`DebtUpdated`) are compared with ours: where they differ, an event in between is missing, and nothing
is written (`LedgerGap`) until it was fetched. Functions here run inside the caller's transaction.

A draw costs the same however many loans a position has; a payment looks at all of them only where interest runs.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet, Sum

from chain.lending.operations import PoolDebt
from loans.debt import interest
from loans.debt.interest import OWN, Part, PositionDebt
from loans.models import LedgerEntry, LedgerEntryKind, PartnerLoan, SolvencyPosition
from loans.states import CLOSED, REPAYABLE
from partner_platform.core.invariants import InvariantViolation

LOGS_PER_BLOCK = 2**20
# What an event changes, and what is put back where it is undone.
POOL_FIELDS = (
    *("pool_principal", "pool_accrued", "pool_rate", "pool_since", "loans_principal", "loans_accrued"),
    *("ledger_order", "total_partner_debt"),
)
PART_FIELDS = ("bearing_principal", "accrued_scaled", "prior_principal", "prior_accrued", "interest_since")
CREDIT_FIELDS = (
    *("status", "outstanding_principal", "interest_paid", "total_repaid", "written_off_principal"),
    *("written_off_interest", "last_repayment_at", "repay_tx_hash", "schedule", "next_due_at", "defaulted_at"),
)


class LedgerGap(Exception):
    """The event does not follow the last one applied: something in between is not known yet, or it is known already."""


class LedgerPassed(LedgerGap):
    """The ledger is past the event's place already and has not got it: what was applied after it came too early."""

    def __init__(self, movement: "Movement") -> None:
        super().__init__(f"position {movement.position_id} is past block {movement.block_number} already")
        self.position_id, self.order = movement.position_id, movement.order


class LedgerContended(Exception):
    """Another worker moved the position at the same moment: run the transaction again."""


@dataclass(frozen=True, kw_only=True)
class Movement:
    """An event at the pool: where and when it happened, and the position's debt after it, as the pool told."""

    position_id: int
    block_number: int
    log_index: int
    moment: int  # block time, seconds since the epoch
    tx_hash: str
    after: PoolDebt | None

    @property
    def order(self) -> int:
        """Its place on the chain, as one number."""
        return order_of(self.block_number, self.log_index)


@dataclass(frozen=True)
class Credit:
    """What a payment did to one loan, in base units; `changes` are its new figures at the pool."""

    loan: PartnerLoan
    paid: int
    owed_before: int
    changes: dict[str, Any] = field(default_factory=dict)
    lost: int = 0  # in a liquidation
    is_target: bool = False  # the loan that a repayment was made for, though it may not have owed anything any more

    @property
    def interest(self) -> int:
        """The part of the payment that was interest: interest first, then principal."""
        return min(self.paid, self.owed_before - self.loan.outstanding_principal)

    @property
    def principal(self) -> int:
        return self.paid - self.interest

    @property
    def closes(self) -> bool:
        """True where the loan owes nothing any more."""
        return self.paid > 0 and not self.changes["bearing_principal"] and not self.changes["accrued_scaled"]


Act = Callable[[PositionDebt], tuple[PositionDebt, Mapping[str, int]]]


def order_of(block_number: int, log_index: int) -> int:
    """A place on the chain as one number that sorts."""
    return block_number * LOGS_PER_BLOCK + log_index


def draw_by_user(movement: Movement, amount: int) -> None:
    """Apply a draw by the position's owner, who borrowed from the pool without us."""
    _, entry = _draw(read(movement.position_id), movement, amount, None)
    entry.save(force_insert=True)


def draw_each(draws: Sequence[tuple[Movement, PartnerLoan]]) -> list[dict[str, Any]]:
    """Apply draws by loans of different positions; answers each loan's figures at the pool, in the same order."""
    rows = {row.position_id: row for row in _rows([movement.position_id for movement, _ in draws])}
    done: dict[int, tuple[dict[str, Any], LedgerEntry]] = {}
    for movement, loan in sorted(draws, key=lambda drawn: drawn[0].position_id):
        row = rows.get(movement.position_id)
        if row is None:
            raise LedgerGap(f"position {movement.position_id} is not mirrored yet")
        done[movement.position_id] = _draw(row, movement, loan.principal_amount, loan)
    LedgerEntry.objects.bulk_create([entry for _, entry in done.values()])
    return [done[movement.position_id][0] for movement, _ in draws]


def _draw(
    row: SolvencyPosition, movement: Movement, amount: int, loan: PartnerLoan | None
) -> tuple[dict[str, Any], LedgerEntry]:
    """Move the position's row; the loan's figures, and the entry that is still to be written."""
    before = _pool_before(row, movement, drawn=amount)
    rate = before.rate if before.principal or before.accrued else (movement.after.rate_bps if movement.after else 0)
    prior = _loans_part(row, before)
    _demand_match(movement, before.principal + amount, before.accrued)
    is_loan = loan is not None
    _write(
        row,
        movement,
        pool=Part(before.principal + amount, before.accrued),
        loans=Part(prior.principal + amount * is_loan, prior.accrued),
        rate=rate,
        partner_debt=amount if is_loan else 0,
    )
    entry = _entry(row, movement, LedgerEntryKind.DRAW, amount, drawn_by=loan)
    if not is_loan:
        return {}, entry
    figures = {
        "interest_rate": rate,
        "bearing_principal": amount,
        "accrued_scaled": 0,
        "prior_principal": prior.principal,
        "prior_accrued": prior.accrued,
        "interest_since": movement.moment,
        "draw_order": movement.order,
    }
    return figures, entry


def pay(movement: Movement, act: Act, *, only: PartnerLoan | None = None, spare: int = 0) -> list[Credit]:
    """Apply a payment of the loans' debt; `act` says what it does to the debt and who paid how much of it.

    `only` is the loan it is for: where no interest runs, the others need not be looked at. `spare` is what the position
    owed on top of the debt before where the ledger begins with this event. Answers a credit for each loan concerned;
    their rows are the caller's to write, `changes` included.
    """
    if only is not None and only.status not in (*REPAYABLE, *CLOSED):
        raise LedgerGap(f"loan {only.internal_loan_id} is {only.status}: its draw comes first")
    row = read(movement.position_id)
    before = _pool_before(row, movement, paid=spare)
    loans = _loans_paid(movement.position_id, only, spare, before)
    debt = _with_own(before, loans, movement.moment)
    owed = debt.owed()
    after, paid = act(debt)
    _demand_match(movement, after.principal, after.accrued)
    credits_ = _credits(loans, owed, after, paid, movement.moment, only)
    _write(
        row,
        movement,
        pool=Part(after.principal, after.accrued),
        loans=_loans_after(row, before, debt, after),
        rate=after.rate,
        partner_debt=-sum(credit.principal for credit in credits_),
    )
    _entry(row, movement, LedgerEntryKind.PAYMENT, sum(paid.values()), credits_).save(force_insert=True)
    return credits_


def liquidate(movement: Movement, recovered: int) -> list[Credit]:
    """Apply a liquidation that paid `recovered` of the position's debt: nothing is owed any more.

    Answers each loan's share, pro rata of what it owed, with what of it is lost; the rows are the caller's to write.
    """
    row = read(movement.position_id)
    before = _pool_before(row, movement, paid=recovered)
    loans = live_loans(movement.position_id)
    debt = _with_own(before, loans, movement.moment)
    shares = interest.liquidate(debt, recovered, moment=movement.moment)
    _demand_match(movement, 0, 0)
    gone = dict.fromkeys(PART_FIELDS, 0) | {"interest_since": movement.moment}
    credits_ = [
        Credit(loan, paid, paid + lost, gone, lost=lost)
        for loan in loans
        for paid, lost in [shares.get(str(loan.pk), (0, 0))]
    ]
    outstanding = sum(loan.outstanding_principal for loan in loans)
    _write(row, movement, pool=interest.NOTHING, loans=interest.NOTHING, rate=before.rate, partner_debt=-outstanding)
    _entry(row, movement, LedgerEntryKind.LIQUIDATION, recovered, credits_).save(force_insert=True)
    return credits_


def read(position_id: int) -> SolvencyPosition:
    """The position's row; it was mirrored before anything was applied to it."""
    for row in _rows([position_id]):
        return row
    raise LedgerGap(f"position {position_id} is not mirrored yet")


def _rows(position_ids: list[int]) -> QuerySet[SolvencyPosition]:
    return SolvencyPosition.objects.filter(position_id__in=position_ids)


def _loans_paid(position_id: int, only: PartnerLoan | None, amount: int, before: PositionDebt) -> list[PartnerLoan]:
    """The loans that a payment of `amount` concerns: without interest the one it is for, where that owes so much.

    Somebody else may have paid that one since the payment was accepted: what it does not owe any more, the others get.
    """
    if only is not None and not before.rate and not before.accrued and amount <= only.bearing_principal:
        return [only]
    loans = live_loans(position_id)
    return loans if only is None or only.status in REPAYABLE else [*loans, only]


def live_loans(position_id: int) -> list[PartnerLoan]:
    """The position's loans that owe something, in the order they were drawn."""
    return sorted(live_loans_query(position_id), key=lambda loan: loan.draw_order)


def live_loans_query(position_id: int) -> Any:
    """The query of `live_loans`, for the index tests too."""
    return PartnerLoan.objects.filter(solvency_position_id=position_id, status__in=sorted(REPAYABLE))


def debt_of(row: SolvencyPosition, moment: int) -> PositionDebt:
    """The position's debt with every loan's part, grown until `moment`."""
    pool = PositionDebt({OWN: Part(row.pool_principal, row.pool_accrued)}, row.pool_rate, row.pool_since)
    return _with_own(pool.at(moment), live_loans(row.position_id), max(moment, row.pool_since))


def pool_debt_at(row: SolvencyPosition, moment: int) -> int:
    """What the position owes the pool at `moment`, interest included, in base units."""
    pool = PositionDebt({OWN: Part(row.pool_principal, row.pool_accrued)}, row.pool_rate, row.pool_since)
    return pool.at(moment).total


def _pool_before(row: SolvencyPosition, movement: Movement, *, drawn: int = 0, paid: int = 0) -> PositionDebt:
    """The pool's debt just before the event, as one part; from the event itself where the ledger begins with it."""
    if row.undo_from is not None:
        raise LedgerGap(f"position {row.position_id}: what a reorg undid is taken back first")
    if row.ledger_order >= movement.order:
        raise LedgerPassed(movement)
    if row.ledger_order:
        pool = Part(row.pool_principal, row.pool_accrued)
        return PositionDebt({OWN: pool}, row.pool_rate, row.pool_since).at(movement.moment)
    after = movement.after
    if after is None:
        sums = _bearing_sum(row.position_id)
        return PositionDebt({OWN: Part(sums, 0)}, 0, movement.moment)
    return PositionDebt({OWN: Part(after.principal - drawn + paid, after.accrued)}, after.rate_bps, movement.moment)


def _with_own(pool: PositionDebt, loans: list[PartnerLoan], moment: int) -> PositionDebt:
    parts = {str(loan.pk): part_of(loan, moment) for loan in loans}
    own = Part(
        pool.principal - sum(part.principal for part in parts.values()),
        pool.accrued - sum(part.accrued for part in parts.values()),
    )
    if own.principal < 0 or own.accrued < 0:
        raise InvariantViolation(f"M5: the loans of a position owe more than it does: {own}")
    if own != interest.NOTHING:
        parts[OWN] = own
    return PositionDebt(parts, pool.rate, moment)


def part_of(loan: PartnerLoan, moment: int) -> Part:
    """The loan's share of its position's debt, grown until `moment`."""
    growth = loan.interest_rate * max(moment - loan.interest_since, 0)
    return Part(loan.bearing_principal, loan.accrued_scaled + loan.bearing_principal * growth)


def _loans_part(row: SolvencyPosition, before: PositionDebt) -> Part:
    """The loans' share of the debt just before the event."""
    if not row.ledger_order:
        return Part(_bearing_sum(row.position_id), 0)
    growth = row.pool_rate * (before.since - row.pool_since)
    return Part(row.loans_principal, row.loans_accrued + row.loans_principal * growth)


def _loans_after(row: SolvencyPosition, before: PositionDebt, debt: PositionDebt, after: PositionDebt) -> Part:
    """The loans' share after a payment: what it was, changed by what the payment changed."""
    was = _loans_part(row, before)
    old, new = debt.parts, after.parts
    return Part(
        was.principal + sum(new.get(key, interest.NOTHING).principal - old[key].principal for key in old if key != OWN),
        was.accrued + sum(new.get(key, interest.NOTHING).accrued - old[key].accrued for key in old if key != OWN),
    )


def _bearing_sum(position_id: int) -> int:
    return live_loans_query(position_id).aggregate(total=Sum("bearing_principal"))["total"] or 0


def _demand_match(movement: Movement, principal: int, accrued: int) -> None:
    after = movement.after
    if after is not None and (after.principal, after.accrued) != (principal, accrued):
        raise LedgerGap(
            f"position {movement.position_id}: the pool says {after.principal} + {after.accrued} after block"
            f" {movement.block_number}, the ledger {principal} + {accrued}"
        )


def _credits(
    loans: list[PartnerLoan],
    owed: Mapping[str, int],
    after: PositionDebt,
    paid: Mapping[str, int],
    moment: int,
    only: PartnerLoan | None,
) -> list[Credit]:
    """A credit for each loan that paid, for the one that was to be paid, and for those whose figures it changed."""
    found, prior = [], interest.NOTHING
    for loan in loans:
        key = str(loan.pk)
        part = after.parts.get(key, interest.NOTHING)
        changes = {
            "bearing_principal": part.principal,
            "accrued_scaled": part.accrued,
            "prior_principal": prior.principal if after.rate else loan.prior_principal,
            "prior_accrued": prior.accrued,
            "interest_since": moment,
        }
        prior = Part(prior.principal + part.principal, prior.accrued + part.accrued)
        is_closed = bool(paid.get(key)) and part == interest.NOTHING
        is_target = only is not None and loan.pk == only.pk
        if paid.get(key) or after.rate or is_target:
            # A payoff reckoned before others paid may be base units off: what it paid is what was owed.
            owed_before = paid[key] if is_closed else owed.get(key, 0)
            found.append(Credit(loan, paid.get(key, 0), owed_before, changes, is_target=is_target))
    return found


def _write(row: SolvencyPosition, movement: Movement, *, pool: Part, loans: Part, rate: int, partner_debt: int) -> None:
    if row.total_partner_debt + partner_debt < 0:
        raise InvariantViolation(f"M4: position {row.position_id} does not carry {-partner_debt} of partner debt")
    mine = SolvencyPosition.objects.filter(
        pk=row.pk, ledger_order=row.ledger_order, total_partner_debt=row.total_partner_debt
    )
    moved = mine.update(
        pool_principal=pool.principal,
        pool_accrued=pool.accrued,
        pool_rate=rate,
        pool_since=movement.moment,
        loans_principal=loans.principal,
        loans_accrued=loans.accrued,
        ledger_order=movement.order,
        total_partner_debt=row.total_partner_debt + partner_debt,
    )
    if moved != 1:
        raise LedgerContended(f"position {row.position_id} moved meanwhile")


def _entry(
    row: SolvencyPosition,
    movement: Movement,
    kind: LedgerEntryKind,
    amount: int,
    credits_: list[Credit] | None = None,
    *,
    drawn_by: PartnerLoan | None = None,
) -> LedgerEntry:
    """The event with what stood there before it, to be written; a second one for one event breaks the unique
    constraint.
    """
    return LedgerEntry(
        position_id=row.position_id,
        order=movement.order,
        kind=kind,
        amount=amount,
        loan_id=drawn_by.pk if drawn_by is not None else None,
        moment=movement.moment,
        tx_hash=movement.tx_hash,
        before={
            "position": _snapshot(row, POOL_FIELDS),
            "loans": {str(credit.loan.pk): _loan_before(credit) for credit in credits_ or []},
        },
    )


def _loan_before(credit: Credit) -> dict[str, Any]:
    if not credit.paid and not credit.lost and not credit.is_target:
        return _snapshot(credit.loan, PART_FIELDS)
    return _snapshot(credit.loan, (*PART_FIELDS, *CREDIT_FIELDS))


def _snapshot(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Values as JSON holds them: numbers as strings, for exact interest is larger than MongoDB's."""
    return {name: _plain(getattr(row, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return str(value) if isinstance(value, int) else value
