"""An operation that cannot be settled fails by itself: it is put off, what waits behind it too, and nobody else."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from audit.models import AuditEntry
from chain.models import Operation, OperationState
from chain.settlement import driver
from loans.models import LoanStatus, OaidCredit, PartnerLoan, SolvencyPosition
from loans.rollback import positions
from loans.services import follow, settle
from loans.services.settle import settle_due
from loans.tasks import follow_now
from partners.models import Partner
from tests.factories import DOLLAR, OperationFactory
from tests.loans.conftest import PartnerClient
from tests.support import books
from tests.support.actors import draw_on_chain
from tests.support.chain import Chain
from tests.support.clocks import shift_clock

pytestmark = pytest.mark.django_db(transaction=True)

MakeClient = Callable[..., PartnerClient]
PAUSE = 400  # seconds, longer than any


@pytest.fixture(autouse=True)
def _right_clock() -> Any:
    yield
    shift_clock()


def until_confirmed(chain: Chain) -> None:
    """Sent, mined, confirmed; not settled."""
    live = True
    while live:
        driver.drive_once()
        chain.mine()
        live = driver.drive_once().live


def break_books(user: Any, *, by: int = 5 * DOLLAR) -> None:
    """The ledger is off from the pool: nothing of the position can be settled or followed until that is put right."""
    row = SolvencyPosition.objects.filter(position_id=user.position_id)
    assert row.update(pool_principal=F("pool_principal") + by) == 1


def statuses() -> dict[str, str]:
    return dict(PartnerLoan.objects.values_list("partner_loan_id", "status"))


def operation_of(loan_id: str) -> Operation:
    return PartnerLoan.objects.select_related("borrow_operation").get(partner_loan_id=loan_id).borrow_operation


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


@pytest.fixture
def five_stuck(chain: Chain, make_client: MakeClient, settle: Callable[[], None]) -> PartnerClient:
    """Five confirmed loans on a position whose books are wrong; the client of a partner on another one."""
    stuck, healthy = make_client(0), make_client(1)
    stuck.borrow(chain.users[1], 1, "before")
    healthy.borrow(chain.users[0], 1, "earlier")
    settle()
    follow.follow_chain()
    for number in range(5):
        assert stuck.borrow(chain.users[1], 1, f"stuck-{number}").status_code == 202
    until_confirmed(chain)
    break_books(chain.users[1])
    return healthy


def test_more_operations_that_cannot_be_settled_than_a_batch_takes_starve_nobody(
    chain: Chain, five_stuck: PartnerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "OPERATIONS_AT_ONCE", 4)
    assert five_stuck.borrow(chain.users[0], 100, "healthy").status_code == 202
    until_confirmed(chain)

    assert settle_due() == 1

    assert statuses() == {
        "before": LoanStatus.ACTIVE,
        "earlier": LoanStatus.ACTIVE,
        "healthy": LoanStatus.ACTIVE,
        **{f"stuck-{number}": LoanStatus.PENDING for number in range(5)},
    }


def test_what_comes_after_it_on_its_position_is_put_off_with_it_and_not_tried(
    chain: Chain, five_stuck: PartnerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    settle_one = settle._settle_one

    def noted(operation: Operation, end: Callable[[], None]) -> bool:
        tried.append(operation.key)
        return settle_one(operation, end)

    monkeypatch.setattr(settle, "_settle_one", noted)

    assert settle_due() == 0

    assert tried == [operation_of("stuck-0").key]
    rows = [operation_of(f"stuck-{number}") for number in range(5)]
    assert [row.settle_failures for row in rows] == [1, 0, 0, 0, 0]
    assert len({row.settle_after for row in rows}) == 1
    assert rows[0].settle_after is not None
    assert "the pool says" in rows[0].settle_error
    assert rows[1].settle_error.startswith(f"it waits behind block {rows[0].block_number} of its position: position 2:")
    position = SolvencyPosition.objects.get(position_id=chain.users[1].position_id)
    assert (position.follow_failures, position.held_for) == (1, rows[0].pk)
    assert position.waiting_since_block == rows[0].block_number


def test_a_sweep_does_not_read_what_is_put_off_and_costs_the_same_however_much_that_is(
    five_stuck: PartnerClient,
) -> None:
    settle_due()
    with CaptureQueriesContext(connection) as queries:
        assert settle_due() == 0
    assert len(queries) == 4  # reopened, reopened and put off, unacknowledged, put off


def test_it_is_tried_again_after_its_pause_and_waits_longer_each_time(chain: Chain, five_stuck: PartnerClient) -> None:
    settle_due()
    first = operation_of("stuck-0")
    shift_clock(seconds=PAUSE)

    assert settle_due() == 0

    again = operation_of("stuck-0")
    assert (first.settle_failures, again.settle_failures) == (1, 2)
    assert first.settle_after is not None
    assert again.settle_after is not None
    pauses = [row.settle_after for row in (operation_of(f"stuck-{number}") for number in range(5))]
    assert pauses == [again.settle_after] * 5  # one try for all five
    assert [operation_of(f"stuck-{number}").settle_failures for number in range(5)] == [2, 0, 0, 0, 0]


def test_thousands_that_wait_behind_one_do_not_come_up_one_by_one(
    chain: Chain, five_stuck: PartnerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "OPERATIONS_TRIED_AGAIN", 1)
    monkeypatch.setattr("loans.services.settling_work.FIRST_OF_A_POSITION", 1)
    settle_due()
    shift_clock(seconds=PAUSE)

    assert settle_due() == 0

    rows = [operation_of(f"stuck-{number}") for number in range(5)]
    assert [row.settle_after for row in rows] == [rows[0].settle_after] * 5
    assert [row.settle_failures for row in rows] == [2, 0, 0, 0, 0]


def test_all_of_it_settles_in_order_by_itself_once_the_books_are_right(
    chain: Chain, five_stuck: PartnerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "OPERATIONS_TRIED_AGAIN", 1)  # and that need not be the first on the chain
    settle_due()
    last = operation_of("stuck-4")
    Operation.objects.filter(pk=last.pk).update(settle_after=F("created_at"))
    break_books(chain.users[1], by=-5 * DOLLAR)
    shift_clock(seconds=PAUSE)

    assert settle_due() == 5

    assert set(statuses().values()) == {LoanStatus.ACTIVE}
    position = SolvencyPosition.objects.get(position_id=chain.users[1].position_id)
    assert (position.follow_failures, position.follow_after, position.waiting_since_block) == (0, None, None)
    assert (position.held_for, position.follow_error, position.waiting_told) == (None, "", False)
    assert not Operation.objects.filter(settle_failures__gt=0).exists()
    assert not Operation.objects.filter(settle_after__isnull=False).exists()
    assert books.discrepancies() == []


def test_what_another_worker_followed_lets_go_of_what_waited_for_it_at_once(
    chain: Chain, lender: PartnerClient, settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lender.borrow(chain.users[1], 1, "before")
    settle()
    follow.follow_chain()
    draw_on_chain(chain, chain.users[1], 5 * DOLLAR)  # nobody has read of it
    lender.borrow(chain.users[1], 10, "after")
    until_confirmed(chain)
    monkeypatch.setattr("loans.services.settle.follow_chain_quietly", lambda: False)
    assert settle_due() == 0
    assert operation_of("after").settle_failures == 1

    follow_now()

    assert settle_due() == 1
    assert statuses() == {"before": LoanStatus.ACTIVE, "after": LoanStatus.ACTIVE}


def test_a_gap_is_filled_and_settled_within_one_sweep(
    chain: Chain, lender: PartnerClient, settle: Callable[[], None]
) -> None:
    lender.borrow(chain.users[1], 1, "before")
    settle()
    follow.follow_chain()
    draw_on_chain(chain, chain.users[1], 5 * DOLLAR)
    lender.borrow(chain.users[1], 10, "after")
    until_confirmed(chain)

    assert settle_due() == 1

    assert statuses()["after"] == LoanStatus.ACTIVE


def test_an_earlier_operation_that_arrives_later_is_tried_at_once(chain: Chain, five_stuck: PartnerClient) -> None:
    """As a transaction's does that was confirmed after a later one: what waits may have waited for it."""
    first = operation_of("stuck-0")
    Operation.objects.filter(pk=first.pk).update(state=OperationState.EXECUTED)
    settle_due()
    assert operation_of("stuck-1").settle_failures == 1
    Operation.objects.filter(pk=first.pk).update(state=OperationState.CONFIRMED)
    break_books(chain.users[1], by=-5 * DOLLAR)

    assert settle_due() == 5

    assert set(statuses().values()) == {LoanStatus.ACTIVE}


def test_a_position_held_for_an_operation_that_a_reorg_took_is_let_go(
    chain: Chain, lender: PartnerClient, settle: Callable[[], None]
) -> None:
    lender.borrow(chain.users[1], 1, "before")
    settle()
    lender.borrow(chain.users[1], 1, "gone")
    until_confirmed(chain)
    break_books(chain.users[1])
    settle_due()
    row = SolvencyPosition.objects.get(position_id=chain.users[1].position_id)
    assert row.held_for == operation_of("gone").pk
    Operation.objects.filter(pk=row.held_for).update(state=OperationState.BUNDLED)
    break_books(chain.users[1], by=-5 * DOLLAR + DOLLAR)  # its draw stands on the chain; here only the hold counts
    lender.borrow(chain.users[1], 1, "next")
    until_confirmed(chain)

    assert settle_due() == 1

    assert statuses()["next"] == LoanStatus.ACTIVE


def test_each_partner_fails_by_itself(chain: Chain, make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    wrong, healthy = make_client(0), make_client(1)
    wrong.borrow(chain.users[1], 10, "wrong")
    healthy.borrow(chain.users[0], 10, "healthy")
    until_confirmed(chain)
    OaidCredit.objects.filter(oaid_token_id=chain.users[1].oaid_token_id).update(reserved=0)

    assert settle_due() == 1
    shift_clock(seconds=PAUSE)
    assert settle_due() == 0

    assert statuses() == {"wrong": LoanStatus.PENDING, "healthy": LoanStatus.ACTIVE}
    assert operation_of("wrong").settle_failures == 2
    assert Partner.objects.get(pk=healthy.partner.pk).active_loans == 1
    assert errors(caplog) == [f"could not settle {operation_of('wrong').key}; it is put off by itself"]


def test_a_refused_operation_of_a_held_position_releases_what_it_held(chain: Chain, five_stuck: PartnerClient) -> None:
    settle_due()
    refused = operation_of("stuck-3")
    Operation.objects.filter(pk=refused.pk).update(
        state=OperationState.REFUSED, reason="simulated", block_number=None, block_hash="", settle_after=None
    )

    assert settle_due() == 1

    assert statuses()["stuck-3"] == LoanStatus.FAILED
    assert [statuses()[f"stuck-{number}"] for number in (0, 1, 2, 4)] == [LoanStatus.PENDING] * 4


@pytest.mark.parametrize(
    "logs",
    [
        [{"topics": [], "data": "0x"}],
        [{"address": "0x"}],
        ["what"],
        [{"topics": ["0x"], "logIndex": "first"}],
    ],
)
def test_logs_that_cannot_be_read_stop_only_their_own_operation(
    chain: Chain, make_client: MakeClient, logs: list[Any]
) -> None:
    make_client(0).borrow(chain.users[1], 10, "unreadable")
    make_client(1).borrow(chain.users[0], 10, "healthy")
    until_confirmed(chain)
    topics = operation_of("healthy").outcome_logs[-1]["topics"]  # type: ignore[index]
    broken = [{**log, "topics": topics[:1]} if isinstance(log, dict) and log.get("logIndex") else log for log in logs]
    Operation.objects.filter(pk=operation_of("unreadable").pk).update(outcome_logs=broken)

    settle_due()

    assert statuses()["healthy"] == LoanStatus.ACTIVE


def test_an_operation_that_no_loan_was_made_for_is_told_once_and_stops_nobody(
    chain: Chain, lender: PartnerClient, caplog: pytest.LogCaptureFixture
) -> None:
    nobodys = OperationFactory.create(key="borrow:nobody", kind="borrow", state=OperationState.REFUSED)
    lender.borrow(chain.users[0], 10, "healthy")
    until_confirmed(chain)

    assert settle_due() == 1
    shift_clock(seconds=PAUSE)
    assert settle_due() == 0

    nobodys.refresh_from_db()
    assert (nobodys.settle_failures, nobodys.acknowledged) == (2, False)
    assert errors(caplog) == ["could not settle borrow:nobody: no loan and no repayment was made for borrow:nobody"]


def test_a_position_that_the_chain_does_not_show_stops_only_its_own_operations(
    chain: Chain, make_client: MakeClient
) -> None:
    make_client(0).borrow(chain.users[1], 10, "hidden")
    make_client(1).borrow(chain.users[0], 10, "healthy")
    until_confirmed(chain)
    PartnerLoan.objects.filter(partner_loan_id="hidden").update(solvency_position_id=10**6)

    assert settle_due() == 1

    assert statuses() == {"hidden": LoanStatus.PENDING, "healthy": LoanStatus.ACTIVE}
    assert "is not mirrored yet" in operation_of("hidden").settle_error


def test_reopened_operations_that_cannot_be_taken_back_starve_no_other(
    chain: Chain, lender: PartnerClient, settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    for number, user in enumerate(chain.users[:3]):
        lender.borrow(user, 10, f"loan-{number}")
    settle()
    monkeypatch.setattr("loans.services.settle.OPERATIONS_AT_ONCE", 2)
    PartnerLoan.objects.filter(partner_loan_id__in=["loan-1", "loan-2"]).update(total_repaid=1)
    Operation.objects.update(reopened=True, state=OperationState.BUNDLED)

    settle_due()
    settle_due()

    assert statuses() == {"loan-0": LoanStatus.PENDING, "loan-1": LoanStatus.ACTIVE, "loan-2": LoanStatus.ACTIVE}
    assert [operation_of(f"loan-{number}").settle_failures for number in range(3)] == [0, 1, 1]
    assert "was repaid before it was undone" in operation_of("loan-1").settle_error
    assert len(errors(caplog)) == 2
    PartnerLoan.objects.filter(partner_loan_id__in=["loan-1", "loan-2"]).update(total_repaid=0)
    shift_clock(seconds=PAUSE)
    settle_due()
    assert set(statuses().values()) == {LoanStatus.PENDING}
    assert AuditEntry.objects.filter(action="loan.undone").count() == 3


def test_a_rollback_that_stops_in_the_middle_leaves_no_event_that_nothing_applies_again(
    chain: Chain, lender: PartnerClient, settle: Callable[[], None]
) -> None:
    lender.borrow(chain.users[1], 10, "first")
    settle()
    draw_on_chain(chain, chain.users[1], 5 * DOLLAR)
    follow.follow_chain()
    PartnerLoan.objects.update(total_repaid=1)
    loan = PartnerLoan.objects.get()

    with pytest.raises(Exception, match="was repaid before it was undone"):
        positions.rollback_ledger(loan.solvency_position_id, loan.draw_order)
    PartnerLoan.objects.update(total_repaid=0)
    follow.follow_chain()

    row = SolvencyPosition.objects.get(position_id=chain.users[1].position_id)
    assert row.pool_principal == 15 * DOLLAR == chain.debt(row.position_id)
    assert row.loans_principal == 10 * DOLLAR


def test_a_gap_is_a_warning_and_no_error(five_stuck: PartnerClient, caplog: pytest.LogCaptureFixture) -> None:
    settle_due()
    assert errors(caplog) == []
    assert any("waits for what happened before it" in record.getMessage() for record in caplog.records)
