"""The block list of wallets, and the most that all partners together lend to one wallet.

Both are judged in the transaction that accepts a borrow, by one guarded update of the wallet's row (`UserWallet`),
which comes before any other row of that transaction. So two borrows of a wallet run one after the other, whichever
partner and OAID they are of, and a block that is made at the same moment comes before a borrow, which is refused, or
after it.

What a wallet owes (`exposure_of`) is the sum of its open loans, accepted ones included, and no running sum: it is right
after every repayment, liquidation and reorg, also where the cap is set or changed later, and nothing of it can be
released twice. Without a cap (`WALLET_EXPOSURE_CAP`) it is not read. A reorg that takes a repayment back may lift it
above the cap, as it may lift a partner's limits.
"""

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.db.models import F, QuerySet, Sum

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from loans.models import LoanStatus, PartnerLoan, UserWallet
from loans.positions.credit import ReadingTooOld
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Forbidden, NotFound, invalid_fields
from partner_platform.core.ethereum import parse_address
from partner_platform.core.text.wording import joined
from partners.rules import require_reason

_OPEN = (LoanStatus.ACTIVE, LoanStatus.DEFAULTED, LoanStatus.PENDING)


@needs(Right.BLOCK_WALLETS)
def block_wallet(*, wallet: str, actor: str, reason: str) -> UserWallet:
    """Make no more loans to the wallet; what it owes can be repaid. Returns its row.

    Where it is blocked already, this reason is added. Raises 400 `invalid_request` naming `wallet` or `reason`.
    """
    address, reason = _address(wallet), require_reason(reason)

    def block() -> UserWallet:
        row = _touched(address)
        reasons = joined(row.block_reason, reason) if row.is_blocked else reason
        if row.is_blocked and reasons == row.block_reason:
            return row
        first: dict[str, Any] = {} if row.is_blocked else {"blocked_at": clock.now(), "blocked_by": actor}
        return _write(row, actor=actor, action="wallet.blocked", is_blocked=True, block_reason=reasons, **first)

    ensure_wallet(address)
    return run_in_transaction(block)


@needs(Right.UNBLOCK_WALLETS)
def unblock_wallet(*, wallet: str, actor: str, reason: str) -> UserWallet:
    """Take the wallet off the block list; returns its row.

    Raises 400 `invalid_request` naming `wallet` or `reason`, 404 `wallet_not_blocked` where it is not on the list.
    """
    address, reason = _address(wallet), require_reason(reason)

    def unblock() -> UserWallet:
        row = _touched(address) if UserWallet.objects.filter(address=address).exists() else UserWallet()
        if not row.is_blocked:
            raise NotFound(ErrorCode.WALLET_NOT_BLOCKED, "The wallet is not on the block list")
        cleared: dict[str, Any] = {"blocked_at": None, "blocked_by": "", "block_reason": ""}
        return _write(row, actor=actor, action="wallet.unblocked", why=reason, is_blocked=False, **cleared)

    return run_in_transaction(unblock)


def blocked_wallets() -> QuerySet[UserWallet]:
    """The block list, what was blocked last first."""
    return UserWallet.objects.filter(is_blocked__in=[True]).order_by("-blocked_at", "-id")


def lend_to_wallet(user_wallet: str, amount: int) -> None:
    """In the transaction that accepts a borrow of `amount` base units, before it writes anything else.

    Raises 403 `wallet_refused`, `UserWallet.DoesNotExist` where the wallet has no row yet (`ensure_wallet`), and
    `ReadingTooOld` where the row changed at this moment: all is to be tried again.
    """
    row = UserWallet.objects.filter(address=user_wallet)
    if row.filter(is_blocked=False).update(borrows=F("borrows") + 1) != 1:
        if row.get().is_blocked:
            raise wallet_refused()
        raise ReadingTooOld
    _require_within_cap(user_wallet, amount)


def check_wallet(user_wallet: str, amount: int) -> None:
    """Raise what `lend_to_wallet` would refuse now; nothing is written."""
    if UserWallet.objects.filter(address=user_wallet, is_blocked__in=[True]).exists():
        raise wallet_refused()
    _require_within_cap(user_wallet, amount)


def exposure_of(user_wallet: str) -> int:
    """What all partners lent to the wallet and did not get back, accepted borrows included; principal, in base units.

    One query. A loan that failed, was repaid or was liquidated owes nothing.
    """
    return open_loans(user_wallet).aggregate(total=Sum("outstanding_principal"))["total"] or 0


def open_loans(user_wallet: str) -> QuerySet[PartnerLoan]:
    """The loans of the wallet that may owe something, accepted ones included."""
    return PartnerLoan.objects.filter(user_wallet=user_wallet, status__in=[str(status) for status in _OPEN])


def ensure_wallet(user_wallet: str) -> None:
    """Make the wallet's row where there is none; to be called outside a transaction."""
    if UserWallet.objects.filter(address=user_wallet).exists():
        return
    with suppress(IntegrityError):  # another request made it at the same moment: the unique constraint keeps it one
        UserWallet.objects.create(address=user_wallet)


def wallet_refused() -> Forbidden:
    """403, in the same words whatever the reason is."""
    return Forbidden(ErrorCode.WALLET_REFUSED, "The platform does not lend this amount to this wallet")


def _require_within_cap(user_wallet: str, amount: int) -> None:
    cap = settings.WALLET_EXPOSURE_CAP
    if cap is not None and exposure_of(user_wallet) + amount > cap:
        raise wallet_refused()


def _address(wallet: str) -> str:
    try:
        return parse_address(wallet)
    except ValueError as error:
        raise invalid_fields({"wallet": [str(error)]}) from None


def _touched(address: str) -> UserWallet:
    """In a transaction: the row, which no other transaction changes any more before this one ends."""
    UserWallet.objects.filter(address=address).update(borrows=F("borrows") + 1)
    return UserWallet.objects.get(address=address)


def _write(before: UserWallet, *, actor: str, action: str, why: str = "", **changes: object) -> UserWallet:
    UserWallet.objects.filter(pk=before.pk).update(**changes)
    after = UserWallet.objects.get(pk=before.pk)
    told = _as_audited(after) | ({"reason": why} if why else {})
    record_change(
        actor=actor, action=action, target=f"userWallet:{before.address}", before=_as_audited(before), after=told
    )
    return after


def _as_audited(row: UserWallet) -> dict[str, object]:
    return {"isBlocked": row.is_blocked} | ({"reason": row.block_reason} if row.block_reason else {})
