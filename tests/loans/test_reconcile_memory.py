"""What the reconciliation holds of others' movements at once is bounded by rows, whatever blocks they are in."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chain.models import ChainEvent
from loans.reconciliation import transfers

pytestmark = pytest.mark.django_db(transaction=True)

SENDER, RECIPIENT = "0x" + "1" * 40, "0x" + "2" * 40


def store(blocks: list[int]) -> None:
    """One movement for each mention of a block, in transactions of their own; each moves its number of a base unit."""
    ChainEvent.objects.bulk_create(
        ChainEvent(
            name="MockUSDC.Transfer",
            block_number=block,
            log_index=number,
            block_hash=f"0x{block:064x}",
            tx_hash=f"0x{number:064x}",
            block_time=block,
            args={"from": SENDER, "to": RECIPIENT, "value": str(number)},
        )
        for number, block in enumerate(blocks)
    )


def values(since: int, until: int) -> list[list[int]]:
    """The values of the movements above one block and up to another, as they are read together."""
    return [[value for _, _, _, value in rows] for rows in transfers._movements(since, until)]


@pytest.fixture
def five_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "ROWS_AT_ONCE", 5)


@pytest.mark.usefixtures("five_at_once")
def test_a_burst_after_quiet_times_is_read_in_bounded_pieces() -> None:
    """For a million blocks nothing happened, then two movements a block."""
    store([0, *(1_000_000 + number // 2 for number in range(17))])
    found = values(-1, 1_040_000)
    assert [len(rows) for rows in found] == [5, 4, 4, 5]
    assert [value for rows in found for value in rows] == list(range(18))


@pytest.mark.usefixtures("five_at_once")
def test_a_block_that_has_more_is_read_whole_and_by_itself() -> None:
    store([3, 3, *[4] * 7, 5])
    assert values(2, 9) == [[0, 1], [2, 3, 4, 5, 6, 7, 8], [9]]


@pytest.mark.usefixtures("five_at_once")
@pytest.mark.parametrize(("count", "pieces"), [(4, [4]), (5, [5]), (6, [5, 1])])
def test_as_many_as_are_allowed_are_one_piece(count: int, pieces: list[int]) -> None:
    store(list(range(10, 10 + count)))
    assert [len(rows) for rows in values(-1, 1_000)] == pieces


def test_of_the_blocks_asked_for_and_no_other() -> None:
    store([4, 5, 6, 7])
    assert values(4, 6) == [[1, 2]]
    assert values(7, 7) == []


def test_quiet_times_cost_one_query_however_long_they_are() -> None:
    store([1])
    with CaptureQueriesContext(connection) as queries:
        assert values(0, 10**12) == [[0]]
    assert len(queries) == 1
