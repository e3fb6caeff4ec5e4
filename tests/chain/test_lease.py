"""The fence: of two drivers only the one whose epoch is the newest writes, whatever the clocks say."""

import datetime as dt
import threading

import pytest
from django.db import connection

from chain.models import Operation, OperationState, PlatformWallet
from chain.wallet import lease
from partner_platform.core import clock
from tests.factories import OperationFactory

pytestmark = pytest.mark.django_db(transaction=True)

MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def wallet() -> PlatformWallet:
    OperationFactory.create()
    return PlatformWallet.objects.create(address="0x" + "11" * 20, chain_id=1, fee_cap_wei=1)


@pytest.mark.parametrize("later_ms", [0, 1])
def test_a_driver_whose_lease_is_taken_in_the_middle_of_a_write_leaves_nothing_or_came_first(
    wallet: PlatformWallet, monkeypatch: pytest.MonkeyPatch, later_ms: int
) -> None:
    """On MongoDB a hold within the millisecond of the last one would be no write, and conflict with nobody's."""
    moment = [MOMENT]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    old = lease.take_lease(wallet.pk)
    assert old is not None
    old.renew()
    moment[0] += dt.timedelta(milliseconds=later_ms)
    taken: list[lease.Lease | None] = []

    def take() -> None:
        try:
            taken.append(lease.take_lease(wallet.pk, by_force=True))
        finally:
            connection.close()

    other = threading.Thread(target=take)

    def write() -> int:
        if not other.ident:
            other.start()
            other.join(1)  # where rows are locked it waits for this very transaction, and takes the lease after it
        in_the_middle.append(bool(taken))
        return Operation.objects.update(state=OperationState.REFUSED)

    in_the_middle: list[bool] = []
    try:
        old.write(write)
        is_committed = True
    except lease.LeaseLost:
        is_committed = False
    other.join(30)
    assert taken[0] is not None
    assert taken[0].epoch == old.epoch + 1
    # Either it committed before the other one took the lease, or it left nothing.
    assert is_committed is not in_the_middle[-1]
    state = OperationState.REFUSED if is_committed else OperationState.QUEUED
    assert Operation.objects.get().state == state


def test_every_hold_is_counted(wallet: PlatformWallet) -> None:
    taken = lease.take_lease(wallet.pk)
    assert taken is not None
    for _ in range(3):
        taken.renew()
    assert PlatformWallet.objects.get().lease_holds == 3


def test_a_lease_is_released_by_its_own_holder_only(wallet: PlatformWallet) -> None:
    old = lease.take_lease(wallet.pk)
    new = lease.take_lease(wallet.pk, by_force=True)
    assert old is not None
    assert new is not None
    old.release()
    assert PlatformWallet.objects.get().lease_holder == new.holder
    assert lease.take_lease(wallet.pk) is None
    new.release()
    assert PlatformWallet.objects.get().lease_holder == ""
    assert lease.take_lease(wallet.pk) is not None
