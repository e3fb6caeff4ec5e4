"""F1 to F3, F10, F11: kills, repetitions and two workers at once."""

import datetime as dt
import signal
import subprocess
import sys
import threading

import pytest
from django.db import IntegrityError, connection

from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet, TransactionAttempt
from chain.settlement import driver
from chain.settlement.tracking import track_transactions
from chain.tasks import drive_settlement
from chain.wallet import lease
from chain.wallet.lease import LeaseLost
from partner_platform.core import clock
from tests.chain.book import KIND, Book, nonces
from tests.support.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def kill_a_driver(point: str) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tests.chain.doomed_driver", point], timeout=60, check=False, capture_output=True
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()[-2000:]


def let_its_lease_run_out() -> None:
    PlatformWallet.objects.update(lease_until=clock.now() - dt.timedelta(seconds=1))


def test_f01_killed_before_the_commit(book: Book) -> None:
    operation = book.borrow()
    kill_a_driver("before-commit")
    assert ChainTransaction.objects.count() == 0
    assert Operation.objects.get().state == OperationState.QUEUED
    let_its_lease_run_out()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert nonces() == [0]


def test_f02_killed_after_the_commit_before_the_send(book: Book) -> None:
    operation = book.borrow()
    kill_a_driver("before-send")
    stored = TransactionAttempt.objects.get()
    assert book.chain.rpc("eth_getTransactionByHash", stored.tx_hash) is None
    let_its_lease_run_out()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert TransactionAttempt.objects.get().tx_hash == stored.tx_hash == Operation.objects.get().tx_hash


def test_f03_killed_after_the_send_before_the_acknowledgement(book: Book) -> None:
    operation = book.borrow()
    kill_a_driver("after-send")
    assert TransactionAttempt.objects.get().send_count == 0
    assert book.chain.rpc("eth_getTransactionByHash", TransactionAttempt.objects.get().tx_hash) is not None
    let_its_lease_run_out()
    book.settle()
    book.check(confirmed=[operation])
    assert nonces() == [0]


def test_a_killed_drivers_lease_heals_within_ten_seconds(book: Book) -> None:
    operation = book.borrow()
    kill_a_driver("before-send")
    assert driver.drive_once().busy
    eventually(lambda: not driver.drive_once().busy, seconds=10)
    book.settle()
    book.check(confirmed=[operation])


def test_f10_the_request_comes_twice(book: Book) -> None:
    operation = book.borrow()
    with pytest.raises(IntegrityError):
        Operation.objects.create(key=operation.key, uid=operation.uid, kind=KIND, calls=[], effect=[])
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])


def test_f10_the_task_comes_twice(book: Book) -> None:
    operations = book.borrows(3)
    with book.chain.mining():
        drive_settlement()
        drive_settlement()
    book.check(confirmed=operations)
    assert nonces() == [0]


def test_f11_two_workers_at_once(book: Book) -> None:
    operations = book.borrows(25)
    reports: list[driver.DriveReport] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        reports.append(driver.drive_wallet(max_seconds=20))
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    with book.chain.mining():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(timeout=30)
    assert sorted(report.busy for report in reports) == [False, True, True, True]
    book.check(confirmed=operations)
    assert nonces() == [0, 1, 2]


def test_f11_a_stale_driver_writes_nothing(book: Book) -> None:
    operation = book.borrow()
    driver.drive_once()
    stale = driver._take_lease(None)
    assert stale is not None
    let_its_lease_run_out()
    driver.drive_once()
    book.chain.mine()
    with pytest.raises(LeaseLost):
        track_transactions(stale)
    with pytest.raises(LeaseLost):
        stale.lease.write(lambda: Operation.objects.update(state=OperationState.FAILED))
    assert Operation.objects.get().state == OperationState.BUNDLED
    driver.drive_once()
    book.check(confirmed=[operation])


def test_a_released_lease_is_free_at_once_and_a_taken_one_is_not(book: Book) -> None:
    driver.drive_once()
    wallet = PlatformWallet.objects.get()
    first = lease.take_lease(wallet.pk)
    assert first is not None
    assert lease.take_lease(wallet.pk) is None
    first.release()
    second = lease.take_lease(wallet.pk)
    assert second is not None
    assert second.epoch == first.epoch + 1
