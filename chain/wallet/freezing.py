"""Freezing a wallet: each reason for it stays readable until a person has looked, and each change is counted.

`status_changes` rises with every change of status, reason or incident; whoever decides on what they were shown demands
that it is what it was then.
"""

from uuid import UUID

from django.db.models import F

from chain.models import PlatformWallet, WalletStatus
from partner_platform.core import clock
from partner_platform.core.text.wording import joined, parts

SEEN_ANEW = {"status_changes": F("status_changes") + 1}
MAX_TRIES = 10


class WalletContended(Exception):
    """The wallet's status was changed by others again and again while it was to be frozen."""


def freeze_wallet(wallet_id: UUID, reason: str) -> bool:
    """Freeze the wallet for this reason, beside those it is frozen for already; False where it was one of them.

    Inside the caller's transaction, or as one guarded update of its own.
    """
    for _ in range(MAX_TRIES):
        row = PlatformWallet.objects.get(pk=wallet_id)
        before = row.status_reason if row.status == WalletStatus.FROZEN else ""
        reasons = joined(before, reason)
        if row.status == WalletStatus.FROZEN and reasons == before:
            return False
        as_read = PlatformWallet.objects.filter(pk=wallet_id, status_changes=row.status_changes)
        if as_read.update(status=WalletStatus.FROZEN, status_reason=reasons, **SEEN_ANEW) == 1:
            return True
    raise WalletContended(f"wallet {wallet_id} could not be frozen: {reason}")


def drop_freeze_reason(wallet_id: UUID, reason: str) -> bool:
    """What it was frozen for is over: where nothing else froze it, it works again. False where that was no reason.

    Inside the caller's transaction.
    """
    row = PlatformWallet.objects.get(pk=wallet_id)
    reasons = parts(row.status_reason)
    if row.status != WalletStatus.FROZEN or reason not in reasons:
        return False
    left = ""
    for other in reasons:
        left = left if other == reason else joined(left, other)
    as_read = PlatformWallet.objects.filter(pk=wallet_id, status_changes=row.status_changes)
    status = WalletStatus.FROZEN if left else WalletStatus.ACTIVE
    return as_read.update(status=status, status_reason=left, **SEEN_ANEW) == 1


def raise_incident(wallet_id: UUID, incident: str, **changes: object) -> None:
    """Note what happened, beside what nobody has read yet; `changes` go into the same update. In a transaction."""
    row = PlatformWallet.objects.get(pk=wallet_id)
    PlatformWallet.objects.filter(pk=wallet_id).update(
        incident=joined(row.incident, incident), incident_at=clock.now(), **SEEN_ANEW, **changes
    )
