"""Transactions mean the same on SQLite, PostgreSQL and MongoDB."""

import sqlite3
import uuid
from typing import Any

import pytest
from django.core import serializers
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError

from chain.models import AttemptKind, FundingTransfer, TransactionAttempt
from partner_platform.core.database import transactions
from partner_platform.core.postponed import AfterRollback
from tests.core.concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "0x" + "1" * 40


class Interrupted(Exception):
    """What a test raises to leave a block."""


def make_transfer(*, number: int = 1, used: int = 0) -> FundingTransfer:
    return FundingTransfer.objects.create(
        tx_hash=f"0x{number:064x}",
        sender=ADDRESS,
        recipient=ADDRESS,
        value=10**9,
        used=used,
        block_number=1,
        block_hash="0x" + "2" * 64,
    )


def count() -> int:
    return FundingTransfer.objects.count()


def test_a_block_that_raises_leaves_nothing_behind() -> None:
    kept = make_transfer(number=1, used=5)
    with pytest.raises(Interrupted), transactions.atomic():
        make_transfer(number=2)
        FundingTransfer.objects.filter(pk=kept.pk).update(used=6)
        raise Interrupted
    assert [(row.pk, row.used) for row in FundingTransfer.objects.all()] == [(kept.pk, 5)]


def test_djangos_own_atomic_rolls_back_too_so_the_console_is_safe_on_every_engine() -> None:
    with pytest.raises(Interrupted), transaction.atomic():
        make_transfer()
        raise Interrupted
    assert count() == 0


def test_what_a_block_wrote_is_seen_by_others_only_after_its_end() -> None:
    with transactions.atomic():
        make_transfer()
        if connection.vendor != "sqlite":  # whose writers do not let each other in at all
            assert at_once(1, lambda _: count()) == [0]
    assert at_once(1, lambda _: count()) == [1]


def test_an_inner_block_that_failed_dooms_the_outer_one() -> None:
    with pytest.raises(TransactionManagementError), transactions.atomic():
        make_transfer(number=1)
        try:
            with transactions.atomic():
                make_transfer(number=2)
                raise Interrupted
        except Interrupted:
            pass
    assert count() == 0


def test_a_statement_in_a_doomed_block_is_refused() -> None:
    with pytest.raises(TransactionManagementError), transactions.atomic():
        try:
            with transactions.atomic():
                raise Interrupted
        except Interrupted:
            pass
        make_transfer()
    assert count() == 0


def test_a_database_error_that_is_caught_inside_a_block_dooms_it() -> None:
    make_transfer(number=1)
    with pytest.raises(TransactionManagementError), transactions.atomic():
        make_transfer(number=2)
        try:
            make_transfer(number=1)
        except IntegrityError:
            pass
    assert count() == 1


def test_a_unique_constraint_answers_with_integrity_error_outside_of_the_block() -> None:
    make_transfer(number=1)
    with pytest.raises(IntegrityError), transactions.atomic():
        make_transfer(number=1)
    with transactions.atomic():
        make_transfer(number=2)
    assert count() == 2


def test_a_block_is_a_decorator_too() -> None:
    @transactions.atomic()
    def write_and_fail(number: int) -> None:
        make_transfer(number=number)
        raise Interrupted

    for number in (1, 2):
        with pytest.raises(Interrupted):
            write_and_fail(number)
    assert count() == 0


def test_on_commit_runs_after_the_outermost_commit_and_sees_the_rows() -> None:
    seen: list[int] = []
    with transactions.atomic():
        with transactions.atomic():
            make_transfer()
            transactions.on_commit(lambda: seen.append(count()))
        assert seen == []
    assert seen == [1]


def test_on_commit_does_not_run_after_a_rollback_nor_with_the_next_commit() -> None:
    seen: list[str] = []
    with pytest.raises(Interrupted), transactions.atomic():
        make_transfer()
        transactions.on_commit(lambda: seen.append("rolled back"))
        raise Interrupted
    with transactions.atomic():
        make_transfer()
        transactions.on_commit(lambda: seen.append("committed"))
    assert seen == ["committed"]


def test_on_commit_outside_of_a_block_runs_at_once() -> None:
    seen: list[str] = []
    transactions.on_commit(lambda: seen.append("now"))
    assert seen == ["now"]


def test_an_on_commit_callback_that_raises_does_not_undo_nor_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def fail() -> None:
        raise Interrupted

    with transactions.atomic():
        make_transfer()
        transactions.on_commit(fail)
        transactions.on_commit(lambda: seen.append("still"))
    assert (count(), seen) == (1, ["still"])
    assert "Error calling" in caplog.text


def test_a_transaction_of_ours_inside_djangos_own_commits_with_it_and_its_hooks_wait() -> None:
    """As when an admin view, atomic by itself, calls a service."""
    seen: list[int] = []

    def work() -> None:
        make_transfer()
        transactions.on_commit(lambda: seen.append(count()))

    with transaction.atomic():
        transactions.run_in_transaction(work)
        assert seen == []
    assert (count(), seen) == (1, [1])


def test_run_in_transaction_joins_the_transaction_it_is_called_in() -> None:
    def inner() -> str:
        assert transactions.in_transaction()
        make_transfer()
        return "result"

    with pytest.raises(Interrupted), transactions.atomic():
        assert transactions.run_in_transaction(inner) == "result"
        raise Interrupted
    assert count() == 0
    assert not transactions.in_transaction()


def test_sixteen_threads_that_read_decide_and_write_guarded_lose_no_increment() -> None:
    transfer = make_transfer()
    attempts: list[int] = []

    def increment_once() -> bool:
        attempts.append(1)
        used = FundingTransfer.objects.get(pk=transfer.pk).used
        return FundingTransfer.objects.filter(pk=transfer.pk, used=used).update(used=used + 1) == 1

    def increment(_: int) -> int:
        done = 0
        while done < 5:
            done += transactions.run_in_transaction(increment_once)
        return done

    assert at_once(16, increment) == [5] * 16
    transfer.refresh_from_db()
    assert transfer.used == 80
    assert len(attempts) >= 80


def test_run_in_transaction_runs_again_after_a_real_write_conflict() -> None:
    """Another writer commits between this transaction's read and its write; only MongoDB calls that a conflict."""
    transfer = make_transfer()
    runs: list[int] = []

    def work() -> int:
        runs.append(1)
        FundingTransfer.objects.get(pk=transfer.pk)
        if len(runs) == 1 and connection.vendor != "sqlite":
            at_once(1, lambda _: FundingTransfer.objects.filter(pk=transfer.pk).update(used=100))
        return FundingTransfer.objects.filter(pk=transfer.pk, used__lte=100).update(used=150)

    assert transactions.run_in_transaction(work) == 1
    assert len(runs) == (2 if transactions.is_mongodb() else 1)
    transfer.refresh_from_db()
    assert transfer.used == 150


def test_sixteen_threads_that_get_or_create_one_row_inside_a_transaction_make_one() -> None:
    def find(_: int) -> uuid.UUID:
        tx_hash = "0x" + "a" * 64
        values: dict[str, Any] = {"recipient": ADDRESS, "value": 1, "block_number": 1}
        return transactions.run_in_transaction(
            lambda: FundingTransfer.objects.get_or_create(tx_hash=tx_hash, sender=ADDRESS, defaults=values)[0].pk
        )

    assert len(set(at_once(16, find))) == 1
    assert count() == 1


def test_an_insert_that_another_transaction_was_first_with_is_tried_again_with_all_that_went_before() -> None:
    make_transfer(number=1)
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        make_transfer(number=2)
        if len(runs) == 1:  # a look that did not find the row
            with transactions.again_if_taken():
                make_transfer(number=1)

    transactions.run_in_transaction(work)
    assert (len(runs), count()) == (2, 2)


def test_errors_that_are_not_the_databases_are_not_tried_again() -> None:
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        raise Interrupted

    with pytest.raises(Interrupted):
        transactions.run_in_transaction(work)
    assert len(runs) == 1


def fail_the_commit() -> None:
    """Make the commit of the present transaction fail, as a server would."""
    if transactions.is_mongodb():
        make_transfer(number=9)
        connection.connection.admin.command("killAllSessions", [])
    else:  # foreign keys are checked at the commit
        TransactionAttempt.objects.create(
            transaction_id=uuid.uuid4(),
            kind=AttemptKind.NOOP,
            raw="0x",
            tx_hash="0x" + "b" * 64,
            max_fee_per_gas_wei=1,
            max_priority_fee_per_gas_wei=1,
        )


def test_a_commit_that_fails_raises_and_does_not_poison_the_threads_next_transaction() -> None:
    seen: list[str] = []
    with pytest.raises(DatabaseError), transactions.atomic():
        make_transfer(number=1)
        transactions.on_commit(lambda: seen.append("never"))
        fail_the_commit()
    assert count() == 0

    with pytest.raises(Interrupted), transactions.atomic():
        make_transfer(number=2)
        raise Interrupted
    assert count() == 0
    with transactions.atomic():
        make_transfer(number=3)
    assert (count(), seen) == (1, [])


def test_a_session_that_the_server_killed_is_worth_another_run() -> None:
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        make_transfer(number=1)
        if len(runs) == 1 and transactions.is_mongodb():  # the others have no sessions to lose without their connection
            connection.connection.admin.command("killAllSessions", [])

    transactions.run_in_transaction(work)
    assert (len(runs), count()) == (2 if transactions.is_mongodb() else 1, 1)


@pytest.mark.parametrize(
    ("cause", "transient"),
    [
        (sqlite3.OperationalError("database is locked"), True),
        (sqlite3.OperationalError("no such table: x"), False),
        (ValueError("locked"), False),
        (IntegrityError("duplicate"), False),
    ],
)
def test_transient_errors_are_told_by_their_cause(cause: Exception, transient: bool) -> None:
    error = OperationalError("wrapped")
    error.__cause__ = cause
    assert transactions.is_transient(error) is transient


def test_rows_survive_djangos_serializers() -> None:
    transfer = make_transfer(used=7)
    restored: Any = next(serializers.deserialize("json", serializers.serialize("json", [transfer]))).object
    assert (restored.pk, restored.used) == (transfer.pk, 7)


class Noted(AfterRollback):
    """Writes a row once everything else is rolled back."""

    was_in_transaction: bool | None = None

    def after_rollback(self) -> None:
        self.was_in_transaction = transactions.in_transaction()
        transactions.run_in_transaction(lambda: make_transfer(number=7))


def test_what_is_to_be_written_after_a_rollback_is_written_once_by_the_outermost_transaction() -> None:
    noted = Noted()

    def inner() -> None:
        make_transfer(number=2)
        raise noted

    def outer() -> None:
        make_transfer(number=1)
        transactions.run_in_transaction(inner)

    with pytest.raises(Noted):
        transactions.run_in_transaction(outer)
    assert (count(), noted.was_in_transaction) == (1, False)
