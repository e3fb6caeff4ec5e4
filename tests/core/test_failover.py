"""The database goes away in the middle of work: each caller is told the truth, nothing is lost or done twice."""

import contextlib

import pytest
from django.db import DatabaseError, connection
from django.db.models import F
from pymongo.errors import AutoReconnect

from chain.models import FundingTransfer
from partner_platform.core.database import transactions
from tests.core.concurrency import at_once
from tests.core.test_database import make_transfer

pytestmark = pytest.mark.django_db(transaction=True)

THREADS, EACH = 8, 12


def interrupt() -> None:
    """Take the database from everybody else, as a failover does; it is back within seconds."""
    if connection.vendor == "mongodb":
        # The only member stands for election again after a second. The command's own connection may be cut as well.
        with contextlib.suppress(AutoReconnect):
            connection.connection.admin.command({"replSetStepDown": 1, "force": True})
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


def test_increments_survive_the_loss_of_the_database_in_their_middle() -> None:
    transfer = make_transfer()

    def increment() -> int:
        return FundingTransfer.objects.filter(pk=transfer.pk, used__lt=10**6).update(used=F("used") + 1)

    def work(number: int) -> tuple[int, list[DatabaseError]]:
        done, failures = 0, []
        for round_number in range(EACH):
            if number == 0 and round_number == EACH // 2:
                interrupt()
            try:
                done += transactions.run_in_transaction(increment)
            except DatabaseError as error:
                failures.append(error)
                connection.close()  # as the end of a request does with a broken connection
        return done, failures

    connection.close()  # this thread's own would be cut with the others
    results = at_once(THREADS, work)
    done = sum(count for count, _ in results)
    failures = [error for _, errors in results for error in errors]
    transfer.refresh_from_db()
    assert done <= transfer.used <= done + len(failures)
    assert done + len(failures) == THREADS * EACH
    assert all(transactions.is_unavailable(error) for error in failures), failures
    assert done >= THREADS * EACH - THREADS
    if transactions.is_mongodb():  # whose driver tells what is safe to run again, commits of unknown outcome included
        assert (transfer.used, failures) == (THREADS * EACH, [])
