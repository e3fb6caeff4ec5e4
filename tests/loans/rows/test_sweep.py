"""The sweep over what is final: in the order of the chain, each once, none held up by another."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from chain import selectors as chain_selectors
from chain.models import Operation, WatchedBlock
from chain.settlement.transitions import FRESHLY_FINAL
from loans.chain_order import order_of
from loans.ledger.errors import LedgerContended, LedgerGap, LedgerPassed
from loans.models import PartnerLoan, Repayment, SolvencyPosition
from loans.positions import holding
from loans.rollback.operations import rollback_operation
from loans.services import settle, settle_together, settling_work
from loans.services.settle import settle_due
from loans.services.settle_together import DRAWS_AT_ONCE, runs
from loans.services.settling_work import Work
from partner_platform.core import backoff, clock
from partner_platform.core.redis import wakeup
from tests.loans.rows.conftest import NOW, POOL
from tests.loans.rows.test_repayments import at_the_pool, paying
from tests.support.books_rows import BLOCK, BooksRows, pool_log

LONGEST_FIRST_PAUSE = dt.timedelta(seconds=backoff.FIRST_SECONDS * (1 + backoff.SPREAD))

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _alone(world: BooksRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bystanders are settled; what waits finds nothing new on the chain."""
    Operation.objects.update(acknowledged=True)
    monkeypatch.setattr(settle, "follow_chain_quietly", lambda: False)


def pending_loan(
    world: BooksRows, *, block: int = BLOCK, log: int = 3, state: str = "CONFIRMED", **fields: Any
) -> PartnerLoan:
    partner, position = world.partner(current_outstanding=1_000, borrowed=1_000), world.position(reserved=1_000)
    logs = [pool_log(POOL, position.position_id, 1_000, 0, 500, index=log)]
    operation = world.operation(state, block_number=block, outcome_logs=logs, **fields)
    return world.loan(partner, position, 1_000, "PENDING", operation=operation)


def test_more_than_a_batch_is_settled_in_one_sweep(world: BooksRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "OPERATIONS_AT_ONCE", 2)
    loans = [pending_loan(world) for _ in range(5)]
    assert settle_due() == 5
    found = PartnerLoan.objects.filter(pk__in=[loan.pk for loan in loans]).values_list("status", flat=True)
    assert set(found) == {"ACTIVE"}


def test_a_sweep_says_before_each_operation_that_it_is_still_at_it(world: BooksRows) -> None:
    loans = [pending_loan(world, state="FAILED", reason="reverted").pk for _ in range(3)]
    failed = PartnerLoan.objects.filter(pk__in=loans, status="FAILED")
    steps: list[int] = []
    assert settle_due(at_each_step=lambda: steps.append(failed.count())) == 3
    assert set(steps) == {0, 1, 2}


def test_a_sweep_goes_on_while_anything_moves_and_wakes_whoever_waits_for_each_that_was_settled(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "OPERATIONS_AT_ONCE", 1)
    woken: list[str] = []
    monkeypatch.setattr(wakeup, "wake", lambda *keys: woken.extend(keys))
    loans = [pending_loan(world), pending_loan(world, state="FAILED"), pending_loan(world)]
    assert settle_due() == 3
    keys = Operation.objects.filter(pk__in=[loan.borrow_operation_id for loan in loans]).values_list("key", flat=True)
    assert sorted(woken) == sorted(keys)


def test_a_position_of_which_something_was_settled_is_held_no_more(world: BooksRows) -> None:
    loan = pending_loan(world)
    rows = SolvencyPosition.objects.filter(position_id=loan.solvency_position_id)
    rows.update(follow_failures=2, follow_after=NOW, follow_error="no word", waiting_since_block=BLOCK)
    assert settle_due() == 1
    assert {name: getattr(rows.get(), name) for name in holding.NOT_HELD} == holding.NOT_HELD


def test_what_waited_behind_one_that_settles_after_its_pause_is_settled_in_the_same_sweep(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling_work, "FIRST_OF_A_POSITION", 1)
    partner, position = world.partner(current_outstanding=2_000, borrowed=2_000), world.position(reserved=2_000)
    loans = []
    for number in (1, 2):
        logs = [pool_log(POOL, position.position_id, number * 1_000, 0, 500)]
        operation = world.operation(block_number=BLOCK + number, outcome_logs=logs, settle_failures=2 - number)
        loans.append(world.loan(partner, position, 1_000, "PENDING", operation=operation))
    first, behind = (loan.borrow_operation_id for loan in loans)
    holding.hold_position(position, until=NOW, block=BLOCK + 1, why=RuntimeError("no word"))
    Operation.objects.filter(pk=first).update(settle_after=NOW)
    Operation.objects.filter(pk=behind).update(settle_after=NOW + LONGEST_FIRST_PAUSE)
    assert settle_due() == 2
    assert [status(loan) for loan in loans] == ["ACTIVE", "ACTIVE"]


def pending_repayment(world: BooksRows) -> Repayment:
    partner = world.partner(current_outstanding=1_000, active_loans=1)
    position = world.position(**at_the_pool(1_000))
    drawn = world.operation(acknowledged=True)
    loan = world.loan(partner, position, 1_000, operation=drawn, repayment_in_flight=True)
    return world.repayment(loan, 300, operation=paying(world, position, 300, (700, 0)))


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest first pause is over."""
    now = NOW + LONGEST_FIRST_PAUSE
    monkeypatch.setattr(clock, "timezone", SimpleNamespace(now=lambda: now))


def status(loan: PartnerLoan) -> str:
    return PartnerLoan.objects.get(pk=loan.pk).status


def is_acknowledged(one: Any) -> bool:
    return Operation.objects.get(pk=getattr(one, "borrow_operation_id", None) or one.operation_id).acknowledged


def test_everything_final_is_settled_once(world: BooksRows) -> None:
    good, bad = pending_loan(world), pending_loan(world, state="FAILED")
    repayment, waiting = pending_repayment(world), pending_loan(world, state="EXECUTED")
    assert settle_due() == 3
    assert (status(good), status(bad), status(waiting)) == ("ACTIVE", "FAILED", "PENDING")
    assert Repayment.objects.get(pk=repayment.pk).status == "SETTLED"
    assert [is_acknowledged(one) for one in (good, bad, repayment, waiting)] == [True, True, True, False]
    assert settle_due() == 0


def test_operations_come_in_the_order_of_the_chain(world: BooksRows) -> None:
    third = pending_loan(world, block=BLOCK + 1, log=0)
    second, first = pending_loan(world, log=7), pending_loan(world, log=2)
    nowhere = pending_loan(world, state="REFUSED")
    Operation.objects.filter(pk=nowhere.borrow_operation_id).update(block_number=None)
    due = chain_selectors.unacknowledged(settle.OPERATION_KINDS, settle.OPERATIONS_AT_ONCE)
    found = [operation.pk for operation in Work(due).operations]
    assert found == [one.borrow_operation_id for one in (nowhere, first, second, third)]


def test_one_that_cannot_be_settled_is_told_and_holds_up_no_other(
    world: BooksRows, caplog: pytest.LogCaptureFixture
) -> None:
    broken, good, repayment = pending_loan(world), pending_loan(world), pending_repayment(world)
    PartnerLoan.objects.filter(pk=broken.pk).update(status="ACTIVE")
    assert settle_due() == 2
    assert (status(good), is_acknowledged(broken)) == ("ACTIVE", False)
    assert Repayment.objects.get(pk=repayment.pk).status == "SETTLED"
    key = Operation.objects.get(pk=broken.borrow_operation_id).key
    assert f"could not settle {key}; it is put off by itself" in caplog.text
    put_off = Operation.objects.get(pk=broken.borrow_operation_id)
    assert put_off.settle_failures == 1
    assert put_off.settle_after is not None
    assert NOW < put_off.settle_after <= NOW + LONGEST_FIRST_PAUSE
    assert "is not PENDING any more" in put_off.settle_error
    assert not Operation.objects.filter(settle_failures__gt=0).exclude(pk=put_off.pk).exists()


def test_a_confirmation_without_a_block_holds_its_position_from_the_beginning(world: BooksRows) -> None:
    loan = pending_loan(world)
    Operation.objects.filter(pk=loan.borrow_operation_id).update(block_number=None)
    assert settle_due() == 0
    position = SolvencyPosition.objects.get(position_id=loan.solvency_position_id)
    assert (position.follow_failures, position.waiting_since_block) == (1, 0)


def before_a_gap(world: BooksRows) -> PartnerLoan:
    """Its draw is not the first event of its position: the pool owed 5 before it that the ledger knows nothing of."""
    loan = pending_loan(world)
    logs = [pool_log(POOL, loan.solvency_position_id, 1_005, 0, 500)]
    SolvencyPosition.objects.filter(position_id=loan.solvency_position_id).update(ledger_order=1)
    Operation.objects.filter(pk=loan.borrow_operation_id).update(outcome_logs=logs)
    return loan


def follow(loan: PartnerLoan) -> bool:
    """What the chain told fits now, and the position is let go, as where one of its events was applied."""
    good = [pool_log(POOL, loan.solvency_position_id, 1_000, 0, 500)]
    Operation.objects.filter(pk=loan.borrow_operation_id).update(outcome_logs=good)
    holding.end_hold(SolvencyPosition.objects.get(position_id=loan.solvency_position_id))
    return True


def test_one_that_waits_for_what_came_before_is_settled_once_the_chain_was_followed(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    loan = before_a_gap(world)
    followed: list[bool] = []

    def follow_and_count() -> bool:
        followed.append(follow(loan))
        return True

    monkeypatch.setattr(settle, "follow_chain_quietly", follow_and_count)
    assert settle_due() == 1
    assert status(loan) == "ACTIVE"
    assert len(followed) == 1


def test_one_that_waits_is_left_alone_until_its_pause_is_over(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    loan = before_a_gap(world)
    assert settle_due() == 0
    assert status(loan) == "PENDING"
    position = SolvencyPosition.objects.get(position_id=loan.solvency_position_id)
    assert (position.follow_failures, position.held_for, position.waiting_since_block) == (
        1,
        loan.borrow_operation_id,
        BLOCK,
    )

    monkeypatch.setattr(settle, "follow_chain_quietly", lambda: pytest.fail("nothing is tried"))
    assert settle_due() == 0
    later(monkeypatch)
    monkeypatch.setattr(settle, "follow_chain_quietly", lambda: follow(loan))
    assert settle_due() == 1
    assert status(loan) == "ACTIVE"
    position.refresh_from_db()
    assert (position.follow_failures, position.held_for, position.waiting_since_block) == (0, None, None)


@pytest.mark.parametrize("found", [False, True])
def test_what_is_missing_still_after_following_is_looked_for_on_the_chain(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    loan = before_a_gap(world)
    steps: list[str] = []

    def look(gaps: dict[int, int]) -> bool:
        assert gaps == {loan.solvency_position_id: BLOCK}
        steps.append("looked")
        return found

    def follow_once_found() -> bool:
        steps.append("followed")
        return follow(loan) if "looked" in steps else True

    monkeypatch.setattr(settle, "follow_chain_quietly", follow_once_found)
    monkeypatch.setattr(settle, "find_missing", look)
    assert settle_due() == (1 if found else 0)
    assert steps == ["followed", "looked", "followed"][: 3 if found else 2]
    assert status(loan) == ("ACTIVE" if found else "PENDING")


def test_the_chain_is_not_followed_where_nothing_waits(world: BooksRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "follow_chain_quietly", lambda: pytest.fail("nothing waits"))
    pending_loan(world)
    assert settle_due() == 1


def test_what_a_reorg_undid_is_rolled_back_before_anything_is_settled(world: BooksRows) -> None:
    failed, repayment = pending_loan(world, state="FAILED"), pending_repayment(world)
    settle_due()
    undone: Any = [failed.borrow_operation_id, repayment.operation_id]
    Operation.objects.filter(pk__in=undone).update(state="BUNDLED", reopened=True)
    settle_due()
    assert (status(failed), is_acknowledged(failed)) == ("PENDING", False)
    assert Repayment.objects.get(pk=repayment.pk).status == "PENDING"
    assert PartnerLoan.objects.get(pk=repayment.loan_id).total_repaid == 0


def test_what_cannot_be_rolled_back_is_logged_and_holds_up_no_other(
    world: BooksRows, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pending_loan(world, state="FAILED"), pending_loan(world, state="FAILED")
    settle_due()
    Operation.objects.filter(pk__in=[first.borrow_operation_id, second.borrow_operation_id]).update(
        state="BUNDLED", reopened=True
    )

    def stumble(operation: Operation) -> None:
        if operation.pk == first.borrow_operation_id:
            raise RuntimeError("its own trouble")
        rollback_operation(operation)

    monkeypatch.setattr("loans.services.settle.rollback_operation", stumble)
    settle_due()
    assert (status(first), status(second)) == ("FAILED", "PENDING")
    key = Operation.objects.get(pk=first.borrow_operation_id).key
    assert f"could not roll back {key}; it is put off by itself" in caplog.text
    stuck = Operation.objects.get(pk=first.borrow_operation_id)
    assert (stuck.reopened, stuck.acknowledged, stuck.settle_failures) == (True, True, 1)
    assert stuck.settle_error == "its own trouble"

    monkeypatch.setattr("loans.services.settle.rollback_operation", rollback_operation)
    settle_due()
    assert status(first) == "FAILED"  # until its pause is over
    later(monkeypatch)
    settle_due()
    assert status(first) == "PENDING"


def test_a_contended_position_is_tried_five_times(world: BooksRows, monkeypatch: pytest.MonkeyPatch) -> None:
    repayment = pending_repayment(world)
    tries: list[object] = []

    def contended(*_: object) -> None:
        tries.append(1)
        raise LedgerContended("somebody else")

    monkeypatch.setattr(settling_work, "settle_repayment", contended)
    assert settle_due() == 0
    assert len(tries) == settle.MAX_SETTLE_TRIES == 5
    assert not is_acknowledged(repayment)


def test_a_ledger_that_went_too_far_is_rolled_back_and_the_operation_tried_again(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    repayment = pending_repayment(world)
    rolled_back: list[tuple[int, int]] = []
    passed = LedgerPassed(position_id=7, block_number=8, order=order_of(8, 9))
    ends = [passed, None]

    def end(*_: object) -> None:
        error = ends.pop(0)
        if error is not None:
            raise error

    monkeypatch.setattr(settling_work, "settle_repayment", end)
    monkeypatch.setattr(settle, "rollback_ledger", lambda *where: rolled_back.append(where))
    assert settle_due() == 1
    assert rolled_back == [(7, order_of(8, 9))]
    assert is_acknowledged(repayment)


def test_a_gap_is_waited_for_and_not_tried_again(world: BooksRows, monkeypatch: pytest.MonkeyPatch) -> None:
    repayment = pending_repayment(world)
    tries: list[object] = []

    def gap(*_: object) -> None:
        tries.append(1)
        raise LedgerGap("something before it")

    monkeypatch.setattr(settling_work, "settle_repayment", gap)
    assert settle_due() == 0
    assert (len(tries), is_acknowledged(repayment)) == (1, False)


def test_confirmed_draws_of_different_positions_run_together_and_the_rest_one_by_one(world: BooksRows) -> None:
    loans = [pending_loan(world) for _ in range(4)]
    other = pending_loan(world, state="FAILED")
    repayment = pending_repayment(world)
    same_position = pending_loan(world)
    PartnerLoan.objects.filter(pk=same_position.pk).update(
        solvency_position_id=loans[3].solvency_position_id, oaid_token_id=loans[3].oaid_token_id
    )
    same_position.refresh_from_db()
    keys: list[Any] = [one.borrow_operation_id for one in (*loans[:2], other, *loans[2:], same_position)]
    keys.append(repayment.operation_id)
    operations = [Operation.objects.get(pk=key) for key in keys]
    drawn = [*loans, other, same_position]
    by_operation = {row.borrow_operation_id: row for row in drawn}
    cut = [[operations.index(one) for one in run] for run in runs(operations, by_operation)]
    assert cut == [[0, 1], [2], [3, 4], [5], [6]]


def test_no_more_than_twenty_draws_run_together(world: BooksRows) -> None:
    loans = [pending_loan(world) for _ in range(DRAWS_AT_ONCE + 1)]
    operations = [Operation.objects.get(pk=loan.borrow_operation_id) for loan in loans]
    found = runs(operations, {loan.borrow_operation_id: loan for loan in loans})
    assert [len(run) for run in found] == [20, 1]
    assert list(runs([], {})) == []


def test_of_draws_that_run_together_one_that_is_not_as_it_was_read_undoes_all(world: BooksRows) -> None:
    loans = [pending_loan(world) for _ in range(3)]
    operations = [Operation.objects.get(pk=loan.borrow_operation_id) for loan in loans]
    by_operation = {loan.borrow_operation_id: loan for loan in loans}
    Operation.objects.filter(pk=operations[1].pk).update(block_hash="0x" + "cc" * 32)
    assert settle_together.settle_together(operations, by_operation) is False
    assert {status(loan) for loan in loans} == {"PENDING"}
    assert not any(is_acknowledged(loan) for loan in loans)
    operations[1].refresh_from_db()
    assert settle_together.settle_together(operations, by_operation) is True
    assert {status(loan) for loan in loans} == {"ACTIVE"}
    assert all(is_acknowledged(loan) for loan in loans)


def replace_block(number: int) -> None:
    """The watcher has read another block there since."""
    WatchedBlock.objects.create(number=number, hash="0xother")


def test_what_was_confirmed_in_a_replaced_block_waits_until_it_is_confirmed_anew_and_then_settles_at_once(
    world: BooksRows,
) -> None:
    loan = pending_loan(world)
    replace_block(BLOCK)
    assert settle_due() == 0
    operation = Operation.objects.get(pk=loan.borrow_operation_id)
    assert (status(loan), operation.acknowledged, operation.settle_failures) == ("PENDING", False, 1)
    assert operation.settle_error == f"block {BLOCK} is no longer on the chain"
    assert SolvencyPosition.objects.get(position_id=loan.solvency_position_id).follow_after is None

    anew = {"block_number": BLOCK + 5, "block_hash": "0xnew", **FRESHLY_FINAL}
    Operation.objects.filter(pk=operation.pk).update(**anew)
    assert settle_due() == 1
    assert status(loan) == "ACTIVE"


def test_what_came_before_a_replaced_block_on_the_same_position_is_settled(world: BooksRows) -> None:
    partner, position = world.partner(current_outstanding=2_000, borrowed=2_000), world.position(reserved=2_000)
    loans = []
    for block, debt in ((BLOCK, 1_000), (BLOCK + 5, 2_000)):
        logs = [pool_log(POOL, position.position_id, debt, 0, 500, index=3)]
        operation = world.operation("CONFIRMED", block_number=block, outcome_logs=logs)
        loans.append(world.loan(partner, position, 1_000, "PENDING", operation=operation))
    replace_block(BLOCK + 5)
    assert settle_due() == 1
    assert [status(loan) for loan in loans] == ["ACTIVE", "PENDING"]
