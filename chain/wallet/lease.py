"""One driver at a time: a lease on the wallet's row, with a fencing epoch.

Taking the lease raises `lease_epoch`. Every database transaction of the engine begins with `Lease.renew`, a guarded
update of that row with our epoch in its filter: for a driver that lost the lease it matches no row and raises, and the
transaction is rolled back. On databases with row locks the same update serializes the writers.
"""

import datetime as dt
import os
import socket
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from django.db.models import F, Q

from chain.models import PlatformWallet
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction

T = TypeVar("T")

# After this the lease of a killed worker ends; with the beat every 2 s, work goes on within 10 s of the kill.
LEASE_SECONDS = 6.0
RENEW_AFTER_SECONDS = 1.5


class LeaseLost(Exception):
    """Another driver has the lease now; this one stops, and has written nothing since it lost it."""


class Lease:
    """The right to drive one wallet, until it is released, lost or not renewed."""

    def __init__(self, wallet_id: uuid.UUID, epoch: int, holder: str) -> None:
        self.wallet_id = wallet_id
        self.epoch = epoch
        self.holder = holder
        self.notes: dict[str, object] = {}  # columns of the wallet that every renewal writes too
        self._renewed_at = time.monotonic()

    def renew(self, *, where: dict[str, object] | None = None, **changes: object) -> None:
        """Renew the lease, or raise `LeaseLost`: the first statement of each database transaction of the engine.

        `where` adds conditions on the wallet, `changes` writes more of its columns in the same guarded update.
        """
        mine = PlatformWallet.objects.filter(pk=self.wallet_id, lease_epoch=self.epoch, **(where or {}))
        # Counted, because on MongoDB an update that changes nothing (the same millisecond) conflicts with no other one.
        renewed = {"lease_until": _until(), "lease_holds": F("lease_holds") + 1}
        if mine.update(**{**renewed, **self.notes, **changes}) != 1:
            raise LeaseLost(f"{self.holder} lost the lease of epoch {self.epoch}")
        self._renewed_at = time.monotonic()

    def write(self, fn: Callable[[], T], *, where: dict[str, object] | None = None, **changes: object) -> T:
        """Run `fn` in a database transaction that commits only while the lease is ours. `fn` may run more than once."""

        def fenced() -> T:
            self.renew(where=where, **changes)
            return fn()

        return run_in_transaction(fenced)

    def renew_if_due(self) -> None:
        """The heartbeat of the driver's loop."""
        if time.monotonic() - self._renewed_at > RENEW_AFTER_SECONDS:
            self.renew()

    def release(self) -> None:
        """Let the next driver start at once; no-op where another driver has the lease by now."""
        PlatformWallet.objects.filter(pk=self.wallet_id, lease_epoch=self.epoch).update(
            lease_until=None, lease_holder="", **self.notes
        )


def take_lease(wallet_id: uuid.UUID, *, by_force: bool = False) -> Lease | None:
    """The lease of a wallet; None where another driver has it. Raises the epoch, so that a stale driver writes nothing.

    With `by_force` it is taken from a running driver too, which then ends as if it had been killed.
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
