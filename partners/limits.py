"""The running sums of a partner, and the limits no interleaving of requests passes (invariants M1 and M4).

1. `ensure_day` makes the day's usage row exist, outside any transaction; after the first call of a day it costs
nothing.
2. `reserve_limits` takes an amount from the daily and the total limit, in the caller's transaction, with two guarded
updates. `check_limits` refuses the same and takes nothing.
3. `release_limits` gives a failed loan's amount back; `count_borrowed` and `count_repaid` add to the lifetime sums.
4. What passes 80 % or 100 % of a limit is told in the same transaction (`partners.notices.events`). The reservation's
update knows: it first demands a sum that stays between two marks, by figures that the caller has read already, so one
that passes no mark costs the same two updates. Only where that update finds no row the general one follows, and one
read.

Every update touches the partner's row before the day's row: one order, no deadlocks. The daily limit stands on the
partner's row, so the update of that row demands the very daily limit that the day's row is checked against; whoever
lowers it at the same moment waits for our commit or makes us look again. `partner_id` is the partner's primary key
(`Partner.id`, as in `loan.partner_id`), amounts are base units, `day` is a UTC day.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping

from django.db import IntegrityError
from django.db.models import F

from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Forbidden, Unavailable
from partner_platform.core.invariants import InvariantViolation
from partner_platform.core.money import format_dollars
from partners.models import Partner, PartnerDailyUsage, PartnerStatus
from partners.notices.events import tell_limit_used
from partners.notices.limit_marks import LimitType, LimitUse, Remaining, amounts_between_marks
from partners.rules import require_active, require_borrowing

MAX_LOOKS = 5

_known_days: dict[uuid.UUID, dt.date] = {}
# How many marks of the day's limit were reached when this process last saw that change. A wrong one costs two
# statements and nothing else.
_known_marks: dict[uuid.UUID, tuple[dt.date, int]] = {}


class DayMissing(InvariantViolation):
    """`reserve_limits` was called for a day that `ensure_day` had not made."""


def ensure_day(*, partner_id: uuid.UUID, day: dt.date) -> None:
    """Make sure the partner's usage row of `day` exists; call it before the transaction that reserves."""
    if _known_days.get(partner_id) == day:
        return
    if not PartnerDailyUsage.objects.filter(partner_id=partner_id, day=day).exists():
        try:
            run_in_transaction(lambda: PartnerDailyUsage.objects.create(partner_id=partner_id, day=day))
        except IntegrityError:
            # Another request made it first. Were it something else, the row is not there and that is raised.
            if not PartnerDailyUsage.objects.filter(partner_id=partner_id, day=day).exists():
                raise
    _known_days[partner_id] = day


def reserve_limits(
    *, partner_id: uuid.UUID, amount: int, day: dt.date, daily_limit: int | None = None, total: LimitUse | None = None
) -> None:
    """Take `amount` from the partner's daily and total limit, or raise 403 and leave the transaction to be rolled back.

    `daily_limit` and `total` (`total_of`) are the limits as the caller last read them (with the authenticated partner);
    they save a query each and are never trusted: a limit that changed since is read again. Raises `Forbidden` (partner
    not active), `Unavailable` (borrowing paused), `Forbidden` (daily limit, total limit), looked at in this order; it
    must leave the transaction.
    """
    _require_positive(amount)
    expected = daily_limit
    if expected is None:
        seen = _read(partner_id)
        expected, total = seen.daily_borrow_limit, total_of(seen)
    for _ in range(MAX_LOOKS):
        if _take_from_partner(partner_id, amount, daily_limit=expected, seen=total):
            _take_from_day(partner_id, amount, day, daily_limit=expected)
            return
        partner = _read(partner_id)
        _refuse(partner, amount, lambda: _borrowed_on(partner_id, day))
        # The terms or sums changed meanwhile: decide again by the present ones.
        expected, total = partner.daily_borrow_limit, total_of(partner)
    raise Unavailable(
        ErrorCode.DATABASE_UNAVAILABLE, "The partner's limits are changing; this request reserved nothing"
    )


def total_of(partner: Partner) -> LimitUse:
    """How much of the total limit is used, as the partner was read."""
    return LimitUse(partner.current_outstanding, partner.total_borrow_limit)


def check_limits(*, partner_id: uuid.UUID, amount: int, day: dt.date) -> Remaining:
    """Raise what `reserve_limits` would raise now; else what both limits would have left. Nothing is reserved.

    A partner without a row of the day has borrowed nothing on it.
    """
    _require_positive(amount)
    partner = _read(partner_id)
    usage = PartnerDailyUsage.objects.filter(partner_id=partner_id, day=day)
    borrowed = usage.values_list("borrowed", flat=True).first() or 0
    _refuse(partner, amount, lambda: borrowed)
    return Remaining(
        daily=partner.daily_borrow_limit - borrowed - amount,
        total=partner.total_borrow_limit - partner.current_outstanding - amount,
    )


def release_limits(*, partner_id: uuid.UUID, amount: int, day: dt.date) -> None:
    """Give back what `reserve_limits` took for a loan that failed; `day` is the day it was reserved on."""
    _require_positive(amount)
    partners = Partner.objects.filter(pk=partner_id, current_outstanding__gte=amount)
    _demand(partners.update(current_outstanding=F("current_outstanding") - amount), "outstanding", partner_id, amount)
    usage = PartnerDailyUsage.objects.filter(partner_id=partner_id, day=day, borrowed__gte=amount)
    _demand(usage.update(borrowed=F("borrowed") - amount), f"usage of {day}", partner_id, amount)


def count_borrowed(*, partner_id: uuid.UUID, amount: int, loans: int = 1) -> None:
    """Count loans that were paid out (`amount` in all) in the partner's lifetime sum and among its active loans."""
    _require_positive(amount)
    changed = Partner.objects.filter(pk=partner_id).update(
        total_borrowed=F("total_borrowed") + amount, active_loans=F("active_loans") + loans
    )
    _demand(changed, "total borrowed", partner_id, amount)


def count_repaid(
    *, partner_id: uuid.UUID, amount: int, principal: int | None = None, closes_loan: bool = False
) -> None:
    """Count `amount` in the partner's lifetime sum and take `principal` of it (all, without it) off its outstanding.

    The rest of `amount` is interest, which no limit counts. `closes_loan`: an active loan is a repaid one now.
    """
    _require_positive(amount)
    counted = {"active_loans": -1, "repaid_loans": 1} if closes_loan else {}
    _move_outstanding(partner_id, amount if principal is None else principal, repaid=amount, counted=counted)


def write_off(*, partner_id: uuid.UUID, principal: int) -> None:
    """A loan was liquidated: it is active no more, and the principal that was lost is no longer outstanding."""
    _move_outstanding(partner_id, principal, repaid=0, counted={"active_loans": -1})


def undo_repayment(
    *, partner_id: uuid.UUID, amount: int, principal: int, counted: Mapping[str, int] | None = None
) -> None:
    """Take back what a reorg undid: a payment of `amount`, and the principal it paid or a liquidation wrote off.

    `counted` says by how much the counters of loans move: `{"active_loans": 1, "repaid_loans": -1}` where it had closed
    its loan.
    """
    moves = counted or {}
    changed = Partner.objects.filter(pk=partner_id, total_repaid__gte=amount, **_at_least(moves)).update(
        current_outstanding=F("current_outstanding") + principal,
        total_repaid=F("total_repaid") - amount,
        **_moved(moves),
    )
    _demand(changed, "total repaid", partner_id, amount)
    if principal:
        _tell_total(partner_id, principal)


def undo_borrow(*, partner_id: uuid.UUID, amount: int) -> None:
    """Take a loan whose draw a reorg undid off the partner's lifetime sum; its reservation stands."""
    moves = {"active_loans": -1}
    changed = Partner.objects.filter(pk=partner_id, total_borrowed__gte=amount, **_at_least(moves)).update(
        total_borrowed=F("total_borrowed") - amount, **_moved(moves)
    )
    _demand(changed, "total borrowed", partner_id, amount)


def reserve_limits_again(*, partner_id: uuid.UUID, amount: int, day: dt.date) -> None:
    """Reserve for a loan whose failure a reorg undid: it may be paid out now, whatever the limits have left."""
    changed = Partner.objects.filter(pk=partner_id).update(current_outstanding=F("current_outstanding") + amount)
    _demand(changed, "outstanding", partner_id, amount)
    usage = PartnerDailyUsage.objects.filter(partner_id=partner_id, day=day)
    _demand(usage.update(borrowed=F("borrowed") + amount), f"usage of {day}", partner_id, amount)
    partner = _tell_total(partner_id, amount)
    if day == clock.today():
        _tell_day(partner, amount, day)


def _move_outstanding(partner_id: uuid.UUID, principal: int, *, repaid: int, counted: Mapping[str, int]) -> None:
    mine = Partner.objects.filter(pk=partner_id, current_outstanding__gte=principal, **_at_least(counted))
    changed = mine.update(
        current_outstanding=F("current_outstanding") - principal,
        total_repaid=F("total_repaid") + repaid,
        **_moved(counted),
    )
    _demand(changed, "outstanding", partner_id, principal)


def _moved(counted: Mapping[str, int]) -> dict[str, object]:
    return {name: F(name) + change for name, change in counted.items() if change}


def _at_least(counted: Mapping[str, int]) -> dict[str, int]:
    """No counter passes below zero."""
    return {f"{name}__gte": -change for name, change in counted.items() if change < 0}


def _take_from_partner(partner_id: uuid.UUID, amount: int, *, daily_limit: int, seen: LimitUse | None) -> bool:
    mine = Partner.objects.filter(
        pk=partner_id, status=PartnerStatus.ACTIVE, borrowing_paused=False, daily_borrow_limit=daily_limit
    )
    taken = {"current_outstanding": F("current_outstanding") + amount}
    between = amounts_between_marks(seen.limit, seen.marks_reached) if seen else None
    if seen and between and seen.used + amount < between[1]:
        low, high = between
        passing_none = mine.filter(
            total_borrow_limit=seen.limit, current_outstanding__gte=low, current_outstanding__lt=high - amount
        )
        if passing_none.update(**taken) == 1:
            return True
    if mine.filter(current_outstanding__lte=F("total_borrow_limit") - amount).update(**taken) != 1:
        return False
    _tell_total(partner_id, amount)
    return True


def _take_from_day(partner_id: uuid.UUID, amount: int, day: dt.date, *, daily_limit: int) -> None:
    mine = PartnerDailyUsage.objects.filter(partner_id=partner_id, day=day)
    taken = {"borrowed": F("borrowed") + amount}
    known_day, marks = _known_marks.get(partner_id, (day, 0))
    between = amounts_between_marks(daily_limit, marks if known_day == day else 0)
    if between and between[0] + amount < between[1]:
        low, high = between
        if mine.filter(borrowed__gte=low, borrowed__lt=high - amount).update(**taken) == 1:
            return
    if mine.filter(borrowed__lte=daily_limit - amount).update(**taken) != 1:
        raise _daily_limit_exceeded(daily_limit - _borrowed_on(partner_id, day))
    _tell_day(_read(partner_id), amount, day)


def _tell_total(partner_id: uuid.UUID, rise: int) -> Partner:
    """Tell of the marks of the total limit that a rise by this amount has just passed; returns the partner."""
    partner = _read(partner_id)
    after = total_of(partner)
    tell_limit_used(partner, LimitType.TOTAL, LimitUse(after.used - rise, after.limit), after)
    return partner


def _tell_day(partner: Partner, rise: int, day: dt.date) -> None:
    """The same for the daily limit."""
    after = LimitUse(_borrowed_on(partner.pk, day), partner.daily_borrow_limit)
    _known_marks[partner.pk] = (day, after.marks_reached)
    tell_limit_used(partner, LimitType.DAILY, LimitUse(after.used - rise, after.limit), after, day=day)


def _refuse(partner: Partner, amount: int, borrowed_today: Callable[[], int]) -> None:
    """Raise what stands against the amount now, in the plan's order; return where nothing does."""
    require_active(partner)
    require_borrowing(partner)
    daily_remaining = partner.daily_borrow_limit - borrowed_today()
    if amount > daily_remaining:
        raise _daily_limit_exceeded(daily_remaining)
    total_remaining = partner.total_borrow_limit - partner.current_outstanding
    if amount > total_remaining:
        raise _exceeded(ErrorCode.TOTAL_LIMIT_EXCEEDED, "total", total_remaining)


def _daily_limit_exceeded(remaining: int) -> Forbidden:
    return _exceeded(ErrorCode.DAILY_LIMIT_EXCEEDED, "daily", remaining)


def _exceeded(code: ErrorCode, which: str, remaining: int) -> Forbidden:
    remaining = max(remaining, 0)  # a limit lowered below what is used already leaves nothing, not less than nothing
    message = f"Partner {which} limit exceeded. Remaining: {format_dollars(remaining)}"
    return Forbidden(code, message, details={"remaining": str(remaining)})


def _read(partner_id: uuid.UUID) -> Partner:
    partner = Partner.objects.filter(pk=partner_id).first()
    if partner is None:
        raise InvariantViolation(f"there is no partner {partner_id}")
    return partner


def _borrowed_on(partner_id: uuid.UUID, day: dt.date) -> int:
    borrowed = (
        PartnerDailyUsage.objects.filter(partner_id=partner_id, day=day).values_list("borrowed", flat=True).first()
    )
    if borrowed is None:
        _known_days.pop(partner_id, None)
        raise DayMissing(f"partner {partner_id} has no usage row of {day}: call ensure_day before the transaction")
    return borrowed


def _require_positive(amount: int) -> None:
    if amount <= 0:
        raise ValueError(f"an amount is at least 1 base unit, not {amount}")


def _demand(changed: int, what: str, partner_id: uuid.UUID, amount: int) -> None:
    if changed != 1:
        raise InvariantViolation(f"partner {partner_id}: {what} could not move by {amount} base units")
