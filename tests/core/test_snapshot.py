"""One moment for many reads, on each engine; nobody waits for it, nothing is written in it."""

import pytest
from django.db import DatabaseError, connection, transaction

from chain.models import FundingTransfer
from partner_platform.core.database.snapshot import snapshot
from partner_platform.core.database.transactions import atomic, run_in_transaction
from tests.core.concurrency import at_once
from tests.core.test_database import count, make_transfer

pytestmark = pytest.mark.django_db(transaction=True)


def used() -> list[int]:
    return list(FundingTransfer.objects.order_by("tx_hash").values_list("used", flat=True))


def write_elsewhere(number: int) -> None:
    """Another connection inserts a row and changes one, and commits."""

    def write() -> None:
        make_transfer(number=number)
        FundingTransfer.objects.filter(tx_hash=f"0x{1:064x}").update(used=number)

    at_once(1, lambda _: run_in_transaction(write, retry_seconds=0))


def test_what_others_commit_meanwhile_is_not_seen_and_they_do_not_wait() -> None:
    make_transfer(number=1)
    with snapshot():
        write_elsewhere(2)  # before the first query of the block: the moment is its beginning
        assert (count(), used()) == (1, [0])
        write_elsewhere(3)
        assert (count(), used()) == (1, [0])
    assert (count(), used()) == (3, [3, 0, 0])


def test_each_snapshot_is_of_its_own_moment() -> None:
    for number in (1, 2):
        with snapshot():
            assert count() == number - 1
        make_transfer(number=number)
    with snapshot():
        assert count() == 2


def test_nothing_is_written_in_a_snapshot() -> None:
    with pytest.raises(DatabaseError), snapshot():
        make_transfer()
    assert count() == 0
    make_transfer()  # and the thread writes as before
    assert count() == 1


def test_the_threads_own_connection_is_back_after_an_error() -> None:
    before = connection._connections["default"]  # type: ignore[attr-defined]
    with pytest.raises(ZeroDivisionError), snapshot():
        assert connection._connections["default"] is not before  # type: ignore[attr-defined]
        raise ZeroDivisionError
    assert connection._connections["default"] is before  # type: ignore[attr-defined]


def test_inside_a_transaction_of_ours_it_is_refused_and_inside_djangos_it_reads_along() -> None:
    with pytest.raises(RuntimeError), atomic(), snapshot():
        pass
    with transaction.atomic():
        make_transfer()
        with snapshot():
            assert count() == 1
