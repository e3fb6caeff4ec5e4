"""Freezing a wallet: a frozen wallet sends nothing new until a person has looked at it.

Each reason stays readable beside the others. `status_changes` is counted up with every change of status, reason or
incident: an update that is filtered on it (`unchanged_since`) fails where somebody else changed one of them.
"""

from uuid import UUID

from chain.models import PlatformWallet, WalletStatus
from partner_platform.core import clock
from partner_platform.core.text.wording import joined, parts

MAX_TRIES = 10


class WalletContended(Exception):
    """The wallet could not be frozen: others changed its status at each of `MAX_TRIES` tries."""


def freeze_wallet(wallet_id: UUID, reason: str) -> bool:
    """Freeze the wallet for one more reason; False where it is frozen for this reason already.

    Inside the caller's transaction, or as one guarded update of its own. Raises `WalletContended`.
    """
    for _ in range(MAX_TRIES):
        row = PlatformWallet.objects.get(pk=wallet_id)
        before = row.status_reason if row.status == WalletStatus.FROZEN else ""
        reasons = joined(before, reason)
        if row.status == WalletStatus.FROZEN and reasons == before:
            return False
        as_read = PlatformWallet.objects.unchanged_since(row)
        if as_read.change_status(status=WalletStatus.FROZEN, status_reason=reasons) == 1:
            return True
    raise WalletContended(f"wallet {wallet_id} could not be frozen: {reason}")


def drop_freeze_reason(wallet_id: UUID, reason: str) -> bool:
    """Remove one reason; without any other the wallet is ACTIVE again. False where it was not frozen for this one.

    Inside the caller's transaction.
    """
    row = PlatformWallet.objects.get(pk=wallet_id)
    reasons = parts(row.status_reason)
    if row.status != WalletStatus.FROZEN or reason not in reasons:
        return False
    left = ""
    for other in reasons:
        left = left if other == reason else joined(left, other)
    status = WalletStatus.FROZEN if left else WalletStatus.ACTIVE
    return PlatformWallet.objects.unchanged_since(row).change_status(status=status, status_reason=left) == 1


def raise_incident(wallet_id: UUID, incident: str, **changes: object) -> None:
    """Add an incident to those that nobody has read yet; `changes` go into the same update. In a transaction."""
    row = PlatformWallet.objects.get(pk=wallet_id)
    PlatformWallet.objects.filter(pk=wallet_id).change_status(
        incident=joined(row.incident, incident), incident_at=clock.now(), **changes
    )
