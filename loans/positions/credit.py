"""Reserving an OAID's credit: what is accepted and not yet on the chain never passes what the chain still allows (M1).

A reading of the chain is of one block B. Reserving against it is safe only if no loan that was drawn after B has ended
its reservation already: such a loan would be counted nowhere. `OaidCredit.settled_block` is the newest block of a
draw, and the guarded update demands a reading at least as new. The other way round, a loan that was drawn by B but is
not settled in the books yet is counted twice; where that would refuse a borrow, the executor is asked which of the
open uids it had run at B. That limit holds for the very reservations it was computed from: every change of them is
counted in `OaidCredit.version`, for one loan may end while another of the same amount begins.
"""

from contextlib import suppress
from dataclasses import dataclass

from django.db import IntegrityError
from django.db.models import F

from chain.lending import readings
from chain.lending.readings import OaidReading
from loans import selectors
from loans.models import OaidCredit
from partner_platform.core.errors import BadRequest, Conflict, ErrorCode, Unavailable
from partner_platform.core.invariants import InvariantViolation
from partner_platform.core.money import MAX_BASE_UNITS, format_dollars

MAX_READINGS = 25


class ReadingTooOld(Exception):
    """A loan of this OAID was drawn after the reading's block, or the row changed: read the chain again."""


class CreditContended(Exception):
    """The reservations of loans in flight leave too little; some of them may be in the reading already."""


@dataclass(frozen=True)
class CreditLimit:
    """What may be reserved in all (base units), as of one block; only for `seen_version` where that is set."""

    oaid_token_id: int
    headroom: int
    block_number: int
    seen_version: int | None = None


def limit_of(reading: OaidReading, *, exactly: bool) -> CreditLimit:
    """The limit as the chain shows it, which counts a loan twice between its draw and its settlement.

    `exactly`: with every open loan that the reading already contains counted once; costs two queries and one call.
    """
    headroom = min(reading.available, MAX_BASE_UNITS)
    if not exactly:
        return CreditLimit(reading.oaid_token_id, headroom, reading.block_number)
    version = selectors.credit_version(reading.oaid_token_id)  # read first: a change from here on is detected
    in_flight = selectors.operations_in_flight(reading.oaid_token_id)
    executed = readings.read_executed(list(in_flight), reading.block_number) if in_flight else set()
    counted = sum(principal for (_, uid), principal in in_flight.items() if uid in executed)
    return CreditLimit(reading.oaid_token_id, headroom + counted, reading.block_number, seen_version=version)


def reserve_credit(limit: CreditLimit, amount: int) -> int:
    """Reserve `amount` inside the caller's transaction; returns the credit that remains, in base units.

    Raises `ReadingTooOld` (read again), `CreditContended` (judge exactly), 409 `position_frozen`, or the refusal of
    check 1c, 400 `insufficient_credit`.
    """
    row = OaidCredit.objects.filter(
        oaid_token_id=limit.oaid_token_id,
        settled_block__lte=limit.block_number,
        reserved__lte=limit.headroom - amount,
        frozen__in=[False],
    )
    if limit.seen_version is not None:
        row = row.filter(version=limit.seen_version)
    reserved_now = row.update(**_changed_by(amount)) if amount <= limit.headroom else 0
    current = OaidCredit.objects.get(oaid_token_id=limit.oaid_token_id)
    if reserved_now:
        return limit.headroom - current.reserved
    _refuse(current, limit, amount)
    # On PostgreSQL the row may appear or change between the two statements: try again.
    raise CreditContended if limit.seen_version is None and current.reserved else ReadingTooOld


def check_credit(limit: CreditLimit, amount: int) -> int:
    """What `reserve_credit` would return or raise now, with nothing reserved; an OAID without a row has reserved
    nothing.
    """
    current = OaidCredit.objects.filter(oaid_token_id=limit.oaid_token_id).first()
    if current is None:
        current = OaidCredit(oaid_token_id=limit.oaid_token_id)
    _refuse(current, limit, amount)
    return limit.headroom - current.reserved - amount


def _refuse(current: OaidCredit, limit: CreditLimit, amount: int) -> None:
    """Raise why the amount cannot be reserved as the row is; return where it can."""
    if current.frozen:
        raise _position_frozen()
    if current.settled_block > limit.block_number:
        raise ReadingTooOld
    if limit.seen_version not in (None, current.version):
        raise ReadingTooOld
    if amount <= limit.headroom - current.reserved:
        return
    if limit.seen_version is None and current.reserved:
        raise CreditContended  # even where it is refused in any case: the refusal names the exact available credit
    raise _insufficient_credit(limit.headroom - current.reserved)


def ensure_row(oaid_token_id: int) -> None:
    """Make the OAID's row where there is none; to be called outside a transaction."""
    if OaidCredit.objects.filter(oaid_token_id=oaid_token_id).exists():
        return
    with suppress(IntegrityError):  # another request made it at the same moment: the unique constraint keeps it one
        OaidCredit.objects.create(oaid_token_id=oaid_token_id)


def end_reservation(oaid_token_id: int, amount: int, block_number: int) -> None:
    """The loan is on the chain since `block_number`: the chain counts it now, the reservation ends."""
    mine = OaidCredit.objects.filter(oaid_token_id=oaid_token_id, reserved__gte=amount)
    moved = mine.filter(settled_block__lt=block_number).update(
        **_changed_by(-amount), settled_block=block_number
    ) or mine.filter(settled_block__gte=block_number).update(**_changed_by(-amount))
    _require_one(moved, oaid_token_id, amount)


def restore_reservation(oaid_token_id: int, amount: int) -> None:
    """A reorg undid the loan's draw, or its failure: the amount is reserved again."""
    moved = OaidCredit.objects.filter(oaid_token_id=oaid_token_id).update(**_changed_by(amount))
    _require_one(moved, oaid_token_id, amount)


def release_reservation(oaid_token_id: int, amount: int) -> None:
    """The loan never happened: the reservation ends."""
    mine = OaidCredit.objects.filter(oaid_token_id=oaid_token_id, reserved__gte=amount)
    moved = mine.update(**_changed_by(-amount))
    _require_one(moved, oaid_token_id, amount)


def unsettled_chain() -> Unavailable:
    """503: the chain's readings were older than what is settled already, however often it was read."""
    return Unavailable(ErrorCode.CHAIN_UNAVAILABLE, "The chain's answers are behind; this request reserved nothing")


def _insufficient_credit(available: int) -> BadRequest:
    """The refusal of check 1c; `available` in base units."""
    available = max(available, 0)
    return BadRequest(
        ErrorCode.INSUFFICIENT_CREDIT,
        f"Insufficient credit. Available: {format_dollars(available)}",
        details={"availableCredit": str(available)},
    )


def _position_frozen() -> Conflict:
    """The books and the chain disagree about the position: no new loan is drawn until that is resolved."""
    return Conflict(ErrorCode.POSITION_FROZEN, "The position is under review; no loan can be drawn on it now")


def _changed_by(amount: int) -> dict[str, object]:
    """The update by which `reserved` changes, always with `version`."""
    return {"reserved": F("reserved") + amount, "version": F("version") + 1}


def _require_one(moved: int, oaid_token_id: int, amount: int) -> None:
    if moved != 1:
        raise InvariantViolation(f"M1: OAID {oaid_token_id} holds no reservation of {amount}")
