"""One driver at a time: a lease on the wallet's row, with a fencing epoch.

Taking the lease raises `lease_epoch`. Every transaction of the engine begins with `Lease.renew`, a guarded update of
that row with our epoch in its filter: a driver that lost the lease matches no row, raises, and its transaction leaves
nothing behind. The same update renews the lease, and serializes the engine's writers on databases with row locks.
"""

import datetime as dt
import os
import socket
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import F, Q

from chain.models import PlatformWallet
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction

T = TypeVar("T")

# A killed worker's lease runs out after this; with the beat every 2 s, work goes on within 10 s of the kill.
LEASE_SECONDS = 6.0
RENEW_AFTER_SECONDS = 1.5


class LeaseLost(Exception):
    """Another driver has the wallet now; this one stops and has written nothing since."""


class Lease:
    """The right to drive one wallet, until it is released, lost or not renewed."""

    def __init__(self, wallet_id: uuid.UUID, epoch: int, holder: str) -> None:
        self.wallet_id = wallet_id
        self.epoch = epoch
        self.holder = holder
        self.notes: dict[str, Any] = {}  # columns of the wallet's row that every hold writes along
        self._renewed_at = time.monotonic()

    def renew(self, *, where: dict[str, Any] | None = None, **changes: Any) -> None:
        """The first statement of each of the engine's transactions: `LeaseLost` unless the lease is ours.

        `where` adds conditions on the wallet and `changes` writes it in the same guarded update.
        """
        mine = PlatformWallet.objects.filter(pk=self.wallet_id, lease_epoch=self.epoch, **(where or {}))
        # Counted, so that it is a write on MongoDB whatever the clock says: one that changes nothing fences nobody off.
        held = {"lease_until": _until(), "lease_holds": F("lease_holds") + 1}
        if mine.update(**{**held, **self.notes, **changes}) != 1:
            raise LeaseLost(f"{self.holder} lost the lease of epoch {self.epoch}")
        self._renewed_at = time.monotonic()

    def write(self, fn: Callable[[], T], *, where: dict[str, Any] | None = None, **changes: Any) -> T:
        """Run `fn` in a transaction that commits only while the lease is ours; it may run again, as any transaction."""

        def fenced() -> T:
            self.renew(where=where, **changes)
            return fn()

        return run_in_transaction(fenced)

    def renew_if_due(self) -> None:
        """The heartbeat of the driver's loop."""
        if time.monotonic() - self._renewed_at > RENEW_AFTER_SECONDS:
            self.renew()

    def release(self) -> None:
        """Let the next driver start at once; nothing where the lease is another's by now."""
        PlatformWallet.objects.filter(pk=self.wallet_id, lease_epoch=self.epoch).update(
            lease_until=None, lease_holder="", **self.notes
        )


def take_lease(wallet_id: uuid.UUID, *, by_force: bool = False) -> Lease | None:
    """The lease of a wallet, None where another driver has it. Raises the epoch, so that a stale driver writes
    nothing; `by_force` it is taken from a running one too, which ends as if it had been killed.
    """
    holder = f"{socket.gethostname()[:30]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    def take_free_lease() -> Lease | None:
        free = PlatformWallet.objects.filter(pk=wallet_id)
        if not by_force:
            free = free.filter(Q(lease_until__isnull=True) | Q(lease_until__lt=clock.now()))
        taken = free.update(lease_epoch=F("lease_epoch") + 1, lease_holder=holder, lease_until=_until())
        if not taken:
            return None
        wallet = PlatformWallet.objects.get(pk=wallet_id)
        return Lease(wallet_id, wallet.lease_epoch, holder)

    return run_in_transaction(take_free_lease)


def _until() -> dt.datetime:
    return clock.now() + dt.timedelta(seconds=LEASE_SECONDS)
