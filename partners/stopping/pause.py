"""The platform's pause of new borrows. Repayments, reads and the settlement of what was accepted go on.

What refuses a borrow is `Partner.borrowing_paused`: authentication reads the partner's row in any case, and the update
that reserves the limits demands that the flag is false, so the pause costs a borrow no query. A pause is written once
for the platform (`BorrowingPause`) and then carried to every partner's row, each in a transaction of its own: in one
transaction of all partners MongoDB would end it for any borrow that runs meanwhile.

When `pause_borrowing` returns, every partner's row is written: a borrow that is being accepted at that moment was
accepted before, and counts, or is refused. The orders that keep it exact:

1. Whoever writes a partner's flag (`_carry`, `join_platform`) writes the platform's row in the same transaction, so
   that it and a later change run one after the other.
2. `_carry` demands the change that it carries; one that was overtaken writes nothing, and the later one does the rest.
3. A new partner takes the flag from the platform's row (`join_platform`).

Where the process ends in the middle, `carry_to_partners` (a task of the beat) does the rest.
"""

import uuid
from collections.abc import Callable
from functools import partial

from django.db import IntegrityError
from django.db.models import F

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.text.wording import joined
from partners import selectors
from partners.models import BorrowingPause, Partner
from partners.rules import require_reason

PAUSE_ID = selectors.PAUSE_ID
TARGET = "platform:borrowing"


@needs(Right.PAUSE_BORROWING)
def pause_borrowing(*, actor: str, reason: str) -> BorrowingPause:
    """Refuse new borrows of all partners with 503 `borrowing_paused`; returns the pause, carried to every partner.

    Where they are paused already, this reason is added. Raises 400 `invalid_request` without a reason.
    """
    reason = require_reason(reason)

    def write() -> BorrowingPause:
        before = selectors.borrowing_pause()
        if not before.is_paused:
            return _change(before, is_paused=True, reason=reason, actor=actor)
        reasons = joined(before.reason, reason)
        return before if reasons == before.reason else _add_reason(before, reasons, actor)

    return _write_and_carry(write)


@needs(Right.RESUME_BORROWING)
def resume_borrowing(*, actor: str, reason: str) -> BorrowingPause:
    """Take new borrows again; returns the platform's state, carried to every partner. 400 without a reason."""
    reason = require_reason(reason)

    def write() -> BorrowingPause:
        before = selectors.borrowing_pause()
        return _change(before, is_paused=False, reason=reason, actor=actor) if before.is_paused else before

    return _write_and_carry(write)


def carry_to_partners() -> int:
    """Write the platform's state to each partner's row that differs; returns how many were written."""
    state = selectors.borrowing_pause()
    behind = Partner.objects.filter(borrowing_paused__in=[not state.is_paused]).values_list("pk", flat=True)
    return sum(run_in_transaction(partial(_carry, pk, state)) for pk in sorted(behind))


def ensure_pause_row() -> None:
    """Make the platform's row where there is none; before the transaction that needs it."""
    if BorrowingPause.objects.filter(pk=PAUSE_ID).exists():
        return
    try:
        run_in_transaction(lambda: BorrowingPause.objects.create(id=PAUSE_ID))
    except IntegrityError:  # another request made it at the same moment
        if not BorrowingPause.objects.filter(pk=PAUSE_ID).exists():
            raise


def join_platform() -> bool:
    """In the transaction that inserts a partner: whether its borrows are paused from the start."""
    BorrowingPause.objects.filter(pk=PAUSE_ID).update(carried=F("carried") + 1)
    return selectors.borrowing_pause().is_paused


def _write_and_carry(write: Callable[[], BorrowingPause]) -> BorrowingPause:
    def write_alone() -> BorrowingPause:
        BorrowingPause.objects.filter(pk=PAUSE_ID).update(carried=F("carried") + 1)  # changes made at once wait here
        return write()

    ensure_pause_row()
    state = run_in_transaction(write_alone)
    carry_to_partners()
    return state


def _change(before: BorrowingPause, *, is_paused: bool, reason: str, actor: str) -> BorrowingPause:
    action = "borrowing.paused" if is_paused else "borrowing.resumed"
    values = {"is_paused": is_paused, "actor": actor, "since": clock.now(), "reason": reason}
    return _update(before, values, actor=actor, action=action)


def _add_reason(before: BorrowingPause, reasons: str, actor: str) -> BorrowingPause:
    return _update(before, {"reason": reasons}, actor=actor, action="borrowing.paused")


def _update(before: BorrowingPause, values: dict[str, object], *, actor: str, action: str) -> BorrowingPause:
    """In a transaction that has written the row already, so that it is still as it was read."""
    BorrowingPause.objects.filter(pk=PAUSE_ID).update(**values, changes=F("changes") + 1)
    after = selectors.borrowing_pause()
    record_change(actor=actor, action=action, target=TARGET, before=_as_audited(before), after=_as_audited(after))
    return after


def _as_audited(state: BorrowingPause) -> dict[str, object]:
    return {"isPaused": state.is_paused, "reason": state.reason}


def _carry(partner_pk: uuid.UUID, state: BorrowingPause) -> bool:
    still = BorrowingPause.objects.filter(pk=PAUSE_ID, changes=state.changes)
    if still.update(carried=F("carried") + 1) != 1:
        return False
    return Partner.objects.filter(pk=partner_pk).update(borrowing_paused=state.is_paused) == 1
