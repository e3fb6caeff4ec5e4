"""A position that is held: what is written of it, which operations wait with it, and who is told when it takes long."""

import datetime as dt
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain.models import Operation
from loans.models import SolvencyPosition
from loans.positions import holding, overdue
from tests.loans.rows.conftest import NOW
from tests.support.books_rows import BLOCK, BooksRows, changed_by

UNTIL, LATER = NOW + dt.timedelta(minutes=1), NOW + dt.timedelta(minutes=9)


def test_each_time_it_is_held_counts_and_the_row_in_hand_says_what_was_written(world: BooksRows) -> None:
    row = world.position()
    operation = world.operation()
    held: dict[str, Any] = {"follow_after": UNTIL, "follow_error": "no word", "waiting_since_block": BLOCK}

    def hold() -> None:
        holding.hold_position(row, until=UNTIL, block=BLOCK, why=RuntimeError("no word"), operation=operation)

    assert changed_by(hold) == ({row.pk: {**held, "follow_failures": 1, "held_for": operation.pk}}, [])

    def hold_again() -> None:
        holding.hold_position(row, until=LATER, block=BLOCK + 1, why=RuntimeError("still none"))

    again = {"follow_after": LATER, "follow_error": "still none", "follow_failures": 2, "held_for": None}
    assert changed_by(hold_again) == ({row.pk: again}, [])  # and it waits since the lower block
    assert holding.must_wait(row, BLOCK + 1)
    stored = SolvencyPosition.objects.get(pk=row.pk)
    for name in holding.NOT_HELD:
        assert getattr(row, name) == getattr(stored, name), name


def test_it_waits_since_the_lowest_block_that_it_was_held_for(world: BooksRows) -> None:
    row = world.position(waiting_since_block=BLOCK)
    holding.hold_position(row, until=UNTIL, block=BLOCK - 1, why=RuntimeError("no word"))
    assert SolvencyPosition.objects.get(pk=row.pk).waiting_since_block == BLOCK - 1


def test_behind_it_wait_pending_draws_and_pending_repayments_and_none_that_ended(world: BooksRows) -> None:
    partner, row = world.partner(), world.position()
    ended = world.loan(partner, row, status="FAILED")
    drawn = world.loan(partner, row, status="PENDING")
    paying = world.loan(partner, row, repayment_in_flight=True)
    done = world.repayment(paying, 100, status="SETTLED", operation=world.operation(kind="repay"))
    failed = world.repayment(paying, 100, status="FAILED", operation=world.operation(kind="repay"))
    pending = world.repayment(paying, 100, status="PENDING", operation=world.operation(kind="repay"))
    by_chain = world.repayment(paying, 100, status="PENDING", operation=None, funding="ONCHAIN")
    assert by_chain.operation_id is None
    holding.hold_position(row, until=UNTIL, block=BLOCK, why=RuntimeError("no word"))
    Operation.objects.update(settle_after=NOW)

    holding.postpone_all_operations(row)

    put_off = {op.pk: op.settle_error for op in Operation.objects.filter(settle_after=UNTIL)}
    assert put_off.keys() == {drawn.borrow_operation_id, pending.operation_id}
    assert set(put_off.values()) == {f"it waits behind block {BLOCK} of its position: no word"}
    assert not {ended.borrow_operation_id, done.operation_id, failed.operation_id} & put_off.keys()


def test_what_waited_behind_it_is_looked_at_again_once_it_is_let_go(world: BooksRows) -> None:
    row = world.position()
    paying = world.loan(world.partner(), row, repayment_in_flight=True)
    pending, elsewhere = world.operation(kind="repay"), world.operation(kind="repay")
    world.repayment(paying, 100, status="PENDING", operation=pending)
    holding.hold_position(row, until=UNTIL, block=BLOCK, why=RuntimeError("no word"))
    Operation.objects.update(settle_after=UNTIL)

    holding.end_hold(row)

    assert Operation.objects.get(pk=pending.pk).settle_after is None
    assert Operation.objects.get(pk=elsewhere.pk).settle_after == UNTIL
    stored = SolvencyPosition.objects.get(pk=row.pk)
    assert {name: getattr(stored, name) for name in holding.NOT_HELD} == holding.NOT_HELD


def test_one_that_was_held_after_its_row_was_read_is_let_go_all_the_same(world: BooksRows) -> None:
    stale = world.position()
    holding.hold_position(
        SolvencyPosition.objects.get(pk=stale.pk), until=UNTIL, block=BLOCK, why=RuntimeError("no word")
    )
    assert stale.follow_failures == 0

    holding.end_hold(stale)

    stored = SolvencyPosition.objects.get(pk=stale.pk)
    assert {name: getattr(stored, name) for name in holding.NOT_HELD} == holding.NOT_HELD


# --- What waits for long ---------------------------------------------------------------------------------------


@pytest.fixture
def soon(settings: Settings) -> None:
    """20 blocks are long."""
    settings.CHAIN_OVERDUE_BLOCKS = 20


def waits(world: BooksRows, since: int) -> SolvencyPosition:
    """A position with a pending draw behind it."""
    row = world.position()
    world.loan(world.partner(), row, status="PENDING")
    holding.hold_position(row, until=LATER, block=since, why=RuntimeError("no word"))
    return row


def test_a_position_is_told_of_once_after_more_than_the_blocks_that_are_long(
    world: BooksRows, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    longest, long, not_yet = waits(world, BLOCK - 5), waits(world, BLOCK), waits(world, BLOCK + 1)

    overdue.report_overdue_positions(head=BLOCK + 21)

    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        f"position {longest.position_id} waits since block {BLOCK - 5}, for 26 blocks: no word",
        f"position {long.position_id} waits since block {BLOCK}, for 21 blocks: no word",
    ]
    told = set(SolvencyPosition.objects.filter(waiting_told=True).values_list("pk", flat=True))
    assert told == {longest.pk, long.pk}
    assert overdue.count_held_positions() == {"waiting": 1, "overdue": 2}
    assert not_yet.pk not in told
    caplog.clear()
    overdue.report_overdue_positions(head=BLOCK + 21)
    assert caplog.records == []


def test_a_position_behind_which_nothing_waits_any_more_is_let_go_and_not_told_of(
    world: BooksRows, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    row = world.position()
    holding.hold_position(row, until=LATER, block=BLOCK, why=RuntimeError("no word"))
    overdue.report_overdue_positions(head=BLOCK + 21)
    assert caplog.records == []
    assert SolvencyPosition.objects.get(pk=row.pk).waiting_since_block is None
    assert overdue.count_held_positions() == {"waiting": 0, "overdue": 0}
