"""The loop itself: is woken, announces what is final, leaves when nothing is live."""

import threading
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from kombu.exceptions import OperationalError
from pytest_django.fixtures import Settings

from chain import services
from chain.checks import check_chain_settings
from chain.models import ChainTransaction, Operation, OperationState
from chain.rpc.clients import get_client
from chain.settlement import driver, waking
from chain.signals import operations_final
from chain.wallet.signer import SignerUnavailable
from chain.wallet.wallets import platform_wallet
from partner_platform.celery import app
from partner_platform.core.redis import wakeup
from tests.chain.book import Book, wallet
from tests.support.signals import heard_by
from tests.support.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that receivers were told about."""
    told: list[str] = []
    heard_by(monkeypatch, operations_final, lambda keys, **_: told.extend(keys))
    return told


def test_an_operation_that_comes_while_a_driver_runs_only_wakes_it(book: Book, told: list[str]) -> None:
    first = book.borrow()
    reports: list[driver.DriveReport] = []

    def work() -> None:
        reports.append(driver.drive_wallet(max_seconds=20))
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    eventually(lambda: ChainTransaction.objects.count() == 1)
    second = book.borrow()
    assert wakeup.wake_listener(waking.DRIVER) is True
    eventually(lambda: ChainTransaction.objects.count() == 2, seconds=2)
    with book.chain.mining():
        worker.join(timeout=20)
    assert not worker.is_alive()
    assert (reports[0].live, reports[0].settled) == (False, 2)
    assert told == [first.key, second.key]
    assert wakeup.wake_listener(waking.DRIVER) is False
    book.check(confirmed=[first, second])


def test_a_receiver_that_raises_stops_neither_the_others_nor_the_driver(
    book: Book, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("a receiver's own trouble")

    heard_by(monkeypatch, operations_final, fail, lambda keys, **_: told.extend(keys))
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    assert told == [operation.key]
    book.check(confirmed=[operation])


def test_a_driver_with_nothing_to_do_leaves_at_once(book: Book) -> None:
    assert driver.drive_wallet(max_seconds=20) == driver.DriveReport(tracked_blocks=1)
    assert wallet().lease_until is None


def test_a_broker_that_is_down_is_no_error_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(app, "send_task", fail)
    waking.wake_driver()


def test_a_key_that_is_none_is_never_shown(settings: Settings) -> None:
    settings.PLATFORM_PRIVATE_KEY = "0xnot-a-key-but-secret"
    with pytest.raises(SignerUnavailable) as caught:
        platform_wallet(get_client())
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_outcome_is_acknowledged_once(book: Book) -> None:
    operation = book.borrow()
    assert services.acknowledge(operation=operation) is True
    assert services.acknowledge(operation=operation) is False


@pytest.mark.parametrize("address", ["0x12", "0x" + "00" * 20, "0x" + "ab" * 19 + "GG"])
def test_an_address_setting_that_is_none_fails_the_system_check(settings: Settings, address: str) -> None:
    settings.USDC_ADDRESS = address
    assert ["USDC_ADDRESS" in message.msg for message in check_chain_settings()] == [True]


def test_the_number_of_queries_does_not_grow_with_the_operations(book: Book) -> None:
    def queries_of_a_step() -> int:
        with CaptureQueriesContext(connection) as queries:
            driver.drive_once()
        return len(queries)

    def queries_to_settle(count: int) -> tuple[int, int]:
        book.borrows(count)
        bundled = queries_of_a_step()
        book.chain.mine()
        return bundled, queries_of_a_step()

    queries_to_settle(1)
    assert queries_to_settle(2) == queries_to_settle(10)
    assert set(Operation.objects.values_list("state", flat=True)) == {OperationState.CONFIRMED}
