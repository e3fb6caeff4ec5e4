"""Which post is next: fair between endpoints, and the tasks' queue. No database."""

import datetime as dt
import itertools
import uuid

import pytest
from django.conf import settings as configured

from partner_platform.celery import app
from sandbox import programs
from sandbox.folder import Folder
from webhooks.delivery import board as board_module
from webhooks.delivery import lanes, schedule
from webhooks.delivery.board import Board
from webhooks.delivery.lanes import MOST_AT_ONCE, Job, Lane, TryOutcome
from webhooks.models import Delivery, Endpoint

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def _no_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One partner may have all threads."""
    monkeypatch.setattr(board_module, "PARTNERS", 1)


def lane_of(board: Board, count: int, *, loan: uuid.UUID | None = None, **columns: object) -> Lane:
    """A lane with so many jobs on the board: of one loan, or of none."""
    endpoint = Endpoint(url="https://receiver.example/", **{"partner_id": uuid.uuid4(), **columns})
    lane = Lane(endpoint, [])
    board.put(lane)
    rows = [Delivery(endpoint_id=endpoint.pk, event_id=uuid.uuid4(), number=n, loan_id=loan) for n in range(count)]
    board.add(lane, [Job(row, "{}", endpoint.pk) for row in rows])
    return lane


def end(board: Board, lane: Lane, job: Job, *, ok: bool = True, status: int = 200) -> TryOutcome:
    outcome = TryOutcome(job, ok, NOW, NOW, status=status)
    board.finish(lane, outcome)
    return outcome


def taken(board: Board) -> list[Lane]:
    """The lanes of all the jobs that may be taken now, in the order in which they are."""
    return [found[0] for found in iter(board.take, None)]


@pytest.mark.usefixtures("_no_parts")
def test_posts_at_once_grow_from_one_with_each_success_and_fall_to_one_with_a_failure() -> None:
    board = Board(100)
    lane = lane_of(board, 200)
    for limit in itertools.chain(range(1, MOST_AT_ONCE + 1), [MOST_AT_ONCE]):
        found = [board.take() for _ in range(limit)]
        assert board.take() is None
        for pair in found:
            assert pair is not None
            end(board, *pair)
            lane.limit = min(lane.limit, limit + 1)
    pair = board.take()
    assert pair is not None
    end(board, *pair, ok=False, status=500)
    assert lane.limit == 1


@pytest.mark.usefixtures("_no_parts")
def test_endpoints_take_turns() -> None:
    board = Board(4)
    first, second, third = (lane_of(board, 10) for _ in range(3))
    for lane in (first, second, third):
        lane.limit = 8
    assert taken(board) == [first, second, third, first]


def test_one_partners_endpoints_together_have_a_quarter_of_the_threads() -> None:
    board, partner = Board(16), uuid.uuid4()
    of_one = [lane_of(board, 10, partner_id=partner) for _ in range(3)]
    for lane in of_one:
        lane.limit = 8
    found = [board.take() for _ in range(4)]
    assert board.take() is None
    other = lane_of(board, 1)
    assert taken(board) == [other]
    assert found[0] is not None
    end(board, *found[0])
    assert len(taken(board)) == 1


@pytest.mark.usefixtures("_no_parts")
def test_endpoints_that_fail_or_are_slow_have_half_of_the_threads_and_no_more() -> None:
    board = Board(8)
    failing = [lane_of(board, 5, failures_in_a_row=1) for _ in range(3)]
    slow = [lane_of(board, 5) for _ in range(3)]
    for lane in slow:
        lane.is_slow = True
    assert taken(board) == [*failing, slow[0]]
    healthy = lane_of(board, 10)
    healthy.limit = 8
    assert taken(board) == [healthy] * 4


def test_a_post_that_is_under_way_for_long_makes_its_endpoint_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(8)
    lane = lane_of(board, 10)
    pair = board.take()
    assert pair is not None
    assert not lane.is_suspect
    monkeypatch.setattr(lanes, "SLOW_SECONDS", -1.0)
    assert lane.is_suspect
    end(board, *pair)
    assert lane.is_slow


def test_a_loans_next_job_is_taken_when_the_result_before_it_is_stored_and_not_before() -> None:
    board, loan = Board(8), uuid.uuid4()
    lane = lane_of(board, 3, loan=loan)
    lane.limit = 8
    pair = board.take()
    assert pair is not None
    outcome = end(board, *pair)
    assert board.take() is None
    board.stored([(outcome, True)])
    (second,) = (board.take(),)
    assert second is not None
    assert second[1].delivery.number == 1
    outcome = end(board, *second, ok=False, status=500)
    board.stored([(outcome, False)])
    assert board.take() is None
    assert not lane.known  # the third is read again when it is due


@pytest.mark.usefixtures("_no_parts")
def test_nothing_is_taken_when_the_claims_may_have_ended_and_little_while_the_feed_is_behind() -> None:
    board = Board(8)
    lane = lane_of(board, 10)
    lane.limit = 8
    board.may_send_until = 0.0
    assert board.take() is None
    board.may_send_until = float("inf")
    board.is_behind = True
    assert taken(board) == [lane]
    board.is_behind = False
    assert taken(board) == [lane] * 7


def test_the_schedule_is_the_waits_of_the_contract_with_jitter_that_never_shortens_them() -> None:
    waits = [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert waits == configured.WEBHOOK_RETRY_SCHEDULE
    for step, wait in enumerate(waits[1:], start=1):
        again = {schedule.retry_at(step=step, now=NOW) for _ in range(20)}
        seconds = [(moment - NOW).total_seconds() for moment in again if moment is not None]
        assert wait <= min(seconds) < max(seconds) <= wait * (1 + schedule.SPREAD) + 0.001
    assert schedule.retry_at(step=10, now=NOW) is None


def test_retry_after_may_be_a_date() -> None:
    assert schedule.retry_after_seconds(503, "Thu, 01 Jan 2026 00:01:30 GMT", now=NOW) == 90
    assert schedule.retry_after_seconds(503, "Wed, 31 Dec 2025 00:01:30 GMT", now=NOW) == 0
    assert schedule.retry_after_seconds(503, None, now=NOW) is None


def test_what_goes_to_servers_of_others_has_a_queue_that_one_worker_serves_and_no_other_task_has(tmp_path) -> None:
    tasks = ("webhooks.tasks.deliver", "partners.tasks.send_mail", "x.tasks.y", "webhooks.tasks.delete_what_is_old")
    routes = {name: app.amqp.router.route({}, name)["queue"].name for name in tasks}
    assert routes == {tasks[0]: "webhooks", tasks[1]: "webhooks", "x.tasks.y": "celery", tasks[3]: "webhooks"}
    queues = {}
    for make in (programs.worker, programs.webhooks_worker):
        command = list(make(Folder(tmp_path), {}, 1).command)
        queues[make.__name__] = command[command.index("--queues") + 1]
    assert queues == {"worker": "celery", "webhooks_worker": "webhooks"}
