"""What is told of a loan: which events each change writes, in which order, with which objects."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from chain import selectors as chain_selectors
from chain.models import Operation, PlatformWallet, WatchCursor
from events.models import Event
from loans import selectors
from loans.chain_order import order_of
from loans.debt.interest import SCALE
from loans.ledger.movement import movement_of
from loans.models import LoanStatus, PartnerLoan, Repayment, SolvencyPosition
from loans.objects.loan import present_loan
from loans.objects.repayment import present_repayment
from loans.rollback import operations, positions
from loans.services import due_soon, onchain
from loans.services.due_soon import due_soon_query, tell_due_soon
from loans.services.lifecycle import cure, mark_defaulted, mark_overdue
from loans.services.settle_borrow import Draw, activate_all, settle_borrow
from loans.services.settle_repayment import settle_repayment
from partner_platform.core.clock import isoformat
from partner_platform.core.database.transactions import run_in_transaction
from tests.loans.rows.conftest import NOW, POOL
from tests.loans.rows.test_defaults import DAY, GRACE, SECOND, due_loan, schedule
from tests.loans.rows.test_repayments import at_the_pool, event, movement, paying
from tests.loans.rows.test_rollback import settle
from tests.support.acting import staff
from tests.support.books_rows import BLOCK, BLOCK_HASH, MOMENT, TIME, BooksRows, pool_log

RATE = 500
REASON = "a reorganization of the chain"
NOW_SECONDS = int(NOW.timestamp())


def feed(loan: PartnerLoan) -> list[dict[str, Any]]:
    """The loan's events as they will be sent, in their sequence."""
    return [json.loads(row.body) for row in Event.objects.filter(loan_id=loan.internal_loan_id).order_by("sequence")]


def types(loan: PartnerLoan) -> list[str]:
    return [body["type"] for body in feed(loan)]


def shown(loan: PartnerLoan, moment: int = MOMENT) -> dict[str, Any]:
    """The loan as the API answers it as of then."""
    row = PartnerLoan.objects.get(pk=loan.pk)
    return _json(present_loan(row, moment, selectors.repayment_history(row), chain_selectors.known_blocks()))


def shown_repayment(repayment: Repayment) -> dict[str, Any]:
    row = Repayment.objects.select_related("loan").get(pk=repayment.pk)
    return _json(present_repayment(row, row.loan, chain_selectors.known_blocks()))


def _json(value: dict[str, object]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(value))
    return found


def pending_draw(world: BooksRows, principal: int = 1_000, state: str = "CONFIRMED", **fields: Any) -> PartnerLoan:
    position = world.position(reserved=principal)
    logs = [pool_log(POOL, position.position_id, principal, 0, RATE)] if state == "CONFIRMED" else []
    operation = world.operation(state, outcome_logs=logs, reason="" if state == "CONFIRMED" else "no")
    partner = world.partner(current_outstanding=principal, borrowed=principal)
    return world.loan(partner, position, principal, "PENDING", operation=operation, **fields)


def lent(world: BooksRows, principal: int = 1_000, status: str = "ACTIVE", **fields: Any) -> PartnerLoan:
    position = world.position(**at_the_pool(principal))
    partner = world.partner(current_outstanding=principal, active_loans=1)
    return world.loan(partner, position, principal, status, **fields)


def lent_by_instalments(world: BooksRows, due: dt.datetime, *statuses: str, **fields: Any) -> PartnerLoan:
    """A loan of instalments of 300, the first due then and the others a day after each other."""
    return lent(world, 300 * len(statuses), schedule=schedule(due, *statuses), next_due_at=due, **fields)


def repaying(world: BooksRows, loan: PartnerLoan, amount: int) -> Repayment:
    """A repayment in flight whose operation paid so much."""
    PartnerLoan.objects.filter(pk=loan.pk).update(repayment_in_flight=True)
    position = _position(loan)
    operation = paying(world, position, amount, (loan.outstanding_principal - amount, 0))
    return world.repayment(loan, amount, operation=operation)


def settle_paid(repayment: Repayment) -> None:
    """Settle it as the sweep does, by its operation as it is now."""
    operation = Operation.objects.get(repayment=repayment.pk)
    settle(lambda: settle_repayment(repayment, operation), operation)


def _position(loan: PartnerLoan) -> SolvencyPosition:
    return SolvencyPosition.objects.get(position_id=loan.solvency_position_id)


def test_a_borrow_is_told_with_the_loan_as_the_api_answers_it_and_the_block_that_proves_it(world: BooksRows) -> None:
    loan = pending_draw(world, platform_fee_charged=5, metadata={"note": "é"})
    WatchCursor.objects.create(name="system", next_block=BLOCK + 10, verified_block=BLOCK)

    run_in_transaction(lambda: settle_borrow(loan, loan.borrow_operation))

    (body,) = feed(loan)
    tx_hash = loan.borrow_operation.tx_hash
    evidence = {
        "txHash": tx_hash,
        "blockNumber": BLOCK,
        "blockHash": BLOCK_HASH,
        "logIndex": 3,
        "depth": 10,
        "finalized": False,
    }
    assert (body["data"]["loan"]["evidence"], body["data"]["loan"]["borrowEvidence"]) == (evidence, evidence)
    assert body == {
        "id": body["id"],
        "type": "loan.borrowed",
        "createdAt": isoformat(NOW),
        "apiVersion": body["apiVersion"],
        "partnerLoanId": loan.partner_loan_id,
        "sequence": 1,
        "internalLoanId": str(loan.internal_loan_id),
        "totalRepaid": "0",
        "timestamp": isoformat(TIME),
        "data": {"loan": shown(loan)},
    }
    row = Event.objects.get(loan_id=loan.internal_loan_id)
    assert (row.partner_key, row.partner_loan_id, row.number) == (loan.partner_id, loan.partner_loan_id, None)
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    ("head", "verified", "final", "depth", "finalized"),
    [
        (BLOCK + 1, BLOCK, BLOCK, 1, True),
        (BLOCK + 7, BLOCK, BLOCK - 1, 7, False),  # settlement has not compared it as a final block
        (BLOCK + 7, BLOCK - 1, BLOCK, 7, False),  # nor here the watcher
        (BLOCK - 5, 0, None, 1, False),  # settled before the watcher read it
        (None, 0, None, 1, False),
    ],
)
def test_a_block_is_final_once_settlement_and_the_watcher_have_both_compared_it(
    world: BooksRows, settings: Settings, head: int, verified: int, final: int | None, depth: int, finalized: bool
) -> None:
    loan = lent(world, evidence_order=order_of(BLOCK, 3), evidence_tx_hash="0x1", evidence_block_hash=BLOCK_HASH)
    if head is not None:
        WatchCursor.objects.create(name="system", next_block=head, verified_block=verified)
    PlatformWallet.objects.create(address=POOL, chain_id=settings.CHAIN_ID, fee_cap_wei=1, final_block=final)
    PlatformWallet.objects.create(address=POOL, chain_id=1, fee_cap_wei=1, final_block=BLOCK + 100)

    told = shown(loan)["evidence"]

    assert (told["depth"], told["finalized"]) == (depth, finalized)


@pytest.mark.parametrize("status", ["PENDING", "FAILED"])
def test_what_nothing_on_the_chain_did_has_no_evidence(world: BooksRows, status: str) -> None:
    found = shown(lent(world, status=status))
    assert (found["evidence"], found["borrowEvidence"]) == (None, None)


def test_twenty_draws_cost_as_many_statements_for_their_events_as_two(world: BooksRows) -> None:
    def statements(count: int) -> list[str]:
        draws = []
        for _ in range(count):
            loan = pending_draw(world)
            operation = loan.borrow_operation
            draws.append(Draw(loan, operation, movement_of(operation, loan.solvency_position_id)))
        with CaptureQueriesContext(connection) as queries:
            run_in_transaction(lambda: activate_all(draws))
        assert all(types(draw.loan) == ["loan.borrowed"] for draw in draws)
        sql = [query["sql"] for query in queries.captured_queries]
        return [name for statement in sql for name in names if name in statement]

    names = ("audit_auditentry", "events_event", "chain_watchcursor", "chain_platformwallet", "event_sequence")
    two = statements(2)
    # One insert of each, one reading of how far the chain is known, one update of the sequences.
    assert set(two) == set(names)
    assert all(two.count(name) == 1 for name in names[:-1])
    assert statements(20) == two


def test_a_borrow_that_failed_is_told_with_its_reason_and_the_block_it_failed_in(world: BooksRows) -> None:
    loan = pending_draw(world, state="FAILED")

    run_in_transaction(lambda: settle_borrow(loan, loan.borrow_operation))

    (body,) = feed(loan)
    assert (body["type"], body["data"]) == ("loan.failed", {"loan": shown(loan)})
    told = body["data"]["loan"]
    assert (told["status"], told["failureReason"], told["borrowEvidence"]) == ("FAILED", "no", None)
    assert (told["evidence"]["txHash"], told["evidence"]["logIndex"]) == (loan.borrow_operation.tx_hash, None)


def test_a_part_is_a_repayment_and_the_rest_a_repayment_and_the_end_of_the_loan(world: BooksRows) -> None:
    loan = lent(world)
    first = repaying(world, loan, 300)
    settle_paid(first)
    as_told = (shown(loan), shown_repayment(first))
    loan.refresh_from_db()
    last = repaying(world, loan, 700)
    later = Operation.objects.get(repayment=last.pk)
    Operation.objects.filter(pk=later.pk).update(block_number=BLOCK + 1)

    settle_paid(last)

    assert types(loan) == ["loan.repayment", "loan.repayment", "loan.repaid"]
    partly, closing, end = feed(loan)
    assert (partly["data"]["loan"], partly["data"]["repayment"]) == as_told
    assert [body["sequence"] for body in (partly, closing, end)] == [1, 2, 3]
    assert closing["data"] == end["data"] == {"loan": shown(loan), "repayment": shown_repayment(last)}
    assert (partly["totalRepaid"], end["totalRepaid"], end["data"]["loan"]["status"]) == ("300", "1000", "REPAID")
    assert end["data"]["loan"]["evidence"]["blockNumber"] == BLOCK + 1
    assert end["data"]["repayment"]["evidence"] == end["data"]["loan"]["evidence"]
    assert PartnerLoan.objects.get(pk=loan.pk).event_sequence == 3


def test_a_repayment_that_found_nothing_owed_is_told_with_no_amount(world: BooksRows) -> None:
    """Somebody else closed the loan before it: what it paid is the position's other loan's."""
    loan = lent(world, 1_000)
    position = _position(loan)
    paid_off = world.loan(loan.partner, position, 400, "REPAID", repayment_in_flight=True, bearing_principal=0)
    operation = paying(world, position, 100, (900, 0))
    repayment = world.repayment(paid_off, 100, operation=operation)

    run_in_transaction(lambda: settle_repayment(repayment, operation))

    assert (types(paid_off), types(loan)) == (["loan.repayment"], ["loan.repayment"])
    told = feed(paid_off)[0]["data"]["repayment"]
    assert (told["repaymentId"], told["amount"], told["status"]) == (str(repayment.pk), "0", "SUCCESS")
    other = feed(loan)[0]["data"]["repayment"]
    assert (other["amount"], other["repaidBy"], other["funding"]) == ("100", "PARTNER", "ONCHAIN")


def test_a_failed_repayment_is_told_with_its_code_and_the_loan_as_it_was(world: BooksRows) -> None:
    loan = lent(world, repayment_in_flight=True)
    operation = world.operation("FAILED", kind="repay", reason="no")
    repayment = world.repayment(loan, 300, operation=operation)

    run_in_transaction(lambda: settle_repayment(repayment, operation))

    (body,) = feed(loan)
    assert (body["type"], body["timestamp"]) == ("repayment.failed", isoformat(NOW))
    assert body["data"] == {"loan": shown(loan, NOW_SECONDS), "repayment": shown_repayment(repayment)}
    told = body["data"]["repayment"]
    assert (told["status"], told["failureCode"], told["failureReason"]) == ("FAILED", "settlement_failed", "no")
    assert told["txHash"] == told["evidence"]["txHash"] == operation.tx_hash
    assert (told["settledAt"], told["finishedAt"]) == (None, isoformat(NOW))
    assert body["data"]["loan"]["repaymentInFlight"] is False


def test_a_users_payment_is_told_to_each_lender_by_itself(world: BooksRows) -> None:
    first = lent(world, 1_000, draw_order=order_of(1, 1))
    position = _position(first)
    second = world.loan(
        world.partner(current_outstanding=500, active_loans=1), position, 500, draw_order=order_of(2, 1)
    )
    type(position).objects.filter(pk=position.pk).update(**at_the_pool(1_500))

    run_in_transaction(lambda: onchain.user_repaid(movement(position), event(position, amount=1_200)))

    assert (types(first), types(second)) == (["loan.repayment", "loan.repaid"], ["loan.repayment"])
    assert {row.partner_key for row in Event.objects.filter(loan_id=second.internal_loan_id)} == {second.partner_id}
    told = feed(second)[0]["data"]["repayment"]
    assert (told["amount"], told["repaidBy"], told["settledAt"]) == ("200", "USER", isoformat(TIME))
    assert feed(second)[0]["data"]["loan"] == shown(second)


@pytest.mark.parametrize(
    ("recovered", "expected"), [(330, ["loan.repayment", "loan.liquidated"]), (0, ["loan.liquidated"])]
)
def test_a_liquidation_is_told_with_what_it_recovered(world: BooksRows, recovered: int, expected: list[str]) -> None:
    loan = lent(world)
    position = _position(loan)

    run_in_transaction(lambda: onchain.liquidated(movement(position), event(position, debtPaid=recovered)))

    assert types(loan) == [*(["loan.repayment"] if recovered else []), "loan.liquidated"]
    end = feed(loan)[-1]
    assert (end["data"], end["totalRepaid"]) == ({"loan": shown(loan)}, str(recovered))
    assert end["data"]["loan"]["writtenOff"] == str(1_000 - recovered)


def test_what_bears_interest_is_told_with_its_debt_at_the_time_of_the_block(world: BooksRows) -> None:
    accrued = 10 * SCALE
    position = world.position(
        **at_the_pool(1_000, pool_accrued_scaled=accrued, loans_accrued_scaled=accrued, pool_rate_bps=RATE)
    )
    loan = world.loan(
        world.partner(current_outstanding=1_000, active_loans=1), position, 1_000, interest_rate_bps=RATE,
        accrued_scaled=accrued, repayment_in_flight=True,
    )  # fmt: skip
    operation = paying(world, position, 300, (710, 0), RATE)
    repayment = world.repayment(loan, 300, operation=operation)

    run_in_transaction(lambda: settle_repayment(repayment, operation))

    (body,) = feed(loan)
    assert (body["data"]["loan"]["remainingDebt"], body["data"]["repayment"]["interestPaid"]) == ("710", "10")
    assert body["data"]["loan"] == shown(loan)


def test_what_is_rolled_back_is_told_to_nobody(world: BooksRows) -> None:
    loan = pending_draw(world)

    def fail() -> None:
        settle_borrow(loan, loan.borrow_operation)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        run_in_transaction(fail)
    assert not Event.objects.exists()
    assert PartnerLoan.objects.get(pk=loan.pk).event_sequence == 0


# --- due dates ---


def test_each_instalment_is_told_as_missed_and_then_the_default(world: BooksRows, settings: Settings) -> None:
    settings.LOAN_DEFAULT_GRACE_SECONDS = int(GRACE.total_seconds())
    loan = due_loan(world, NOW, "DUE", "DUE", "DUE")

    mark_overdue(now=NOW + SECOND)
    mark_overdue(now=NOW + 2 * SECOND)
    late = NOW + GRACE + SECOND
    mark_overdue(now=late)

    assert types(loan) == ["payment.missed", "payment.missed", "payment.missed", "loan.defaulted"]
    first, *_, end = feed(loan)
    numbers = [body["data"]["installment"]["number"] for body in feed(loan)[:3]]
    assert (numbers, first["timestamp"], first["data"]["loan"]["status"]) == (
        [1, 2, 3],
        isoformat(NOW + SECOND),
        "ACTIVE",
    )
    assert end["data"] == {"loan": shown(loan, int(late.timestamp()))}
    assert end["data"]["loan"]["status"] == "DEFAULTED"


def test_an_instalment_that_a_payment_finds_missed_is_told_before_the_payment(world: BooksRows) -> None:
    loan = lent_by_instalments(world, TIME - SECOND, "DUE", "DUE", "DUE")
    position = _position(loan)

    run_in_transaction(lambda: onchain.user_repaid(movement(position), event(position, amount=100)))
    mark_overdue(now=NOW + DAY)

    assert types(loan) == ["payment.missed", "loan.repayment", "payment.missed"]
    assert [feed(loan)[place]["data"]["installment"]["number"] for place in (0, 2)] == [1, 2]


def test_a_payment_that_brings_a_loan_up_to_date_is_told_and_then_the_cure(world: BooksRows) -> None:
    loan = lent_by_instalments(world, TIME - SECOND, "MISSED", "DUE", "DUE", status="DEFAULTED", defaulted_at=TIME)
    position = _position(loan)

    run_in_transaction(lambda: onchain.user_repaid(movement(position), event(position, amount=300)))

    assert types(loan) == ["loan.repayment", "loan.cured"]
    row = PartnerLoan.objects.get(pk=loan.pk)
    assert (row.next_due_at, row.untold_due_at) == (TIME - SECOND + DAY, TIME - SECOND + DAY)


def test_what_staff_decides_is_told(world: BooksRows) -> None:
    loan = lent(world)

    mark_defaulted(loan_id=loan.pk, actor=staff("ann"), reason="late")
    cure(loan_id=loan.pk, actor=staff("bob"))

    assert types(loan) == ["loan.defaulted", "loan.cured"]
    assert feed(loan)[0]["data"]["loan"]["defaultReason"] == "late"
    assert feed(loan)[1]["data"]["loan"] == shown(loan, NOW_SECONDS)


# --- due soon ---


@pytest.fixture
def soon(settings: Settings) -> dt.timedelta:
    settings.LOAN_DUE_SOON_SECONDS = 3 * 86_400
    return 3 * DAY


def test_a_due_date_is_told_once_when_it_is_near(world: BooksRows, soon: dt.timedelta) -> None:
    due = NOW + 10 * DAY
    loan = due_loan(world, due, "PAID", "DUE", "DUE", untold_due_at=due, next_due_at=due)

    assert tell_due_soon(now=due - soon - SECOND) == 0
    assert tell_due_soon(now=due - soon) == 1
    assert tell_due_soon(now=due - soon + SECOND) == 0

    (body,) = feed(loan)
    assert (body["type"], body["sequence"], body["timestamp"]) == ("payment.due_soon", 1, isoformat(due - soon))
    assert body["data"]["installment"]["number"] == 2
    assert body["data"]["loan"] == shown(loan, int((due - soon).timestamp()))
    assert PartnerLoan.objects.get(pk=loan.pk).untold_due_at is None


@pytest.mark.parametrize(
    "fields", [{"status": "DEFAULTED"}, {"status": "REPAID"}, {"untold_due_at": NOW}, {"untold_due_at": None}]
)
def test_what_is_past_or_told_or_not_owed_is_not_due_soon(
    world: BooksRows, soon: dt.timedelta, fields: dict[str, Any]
) -> None:
    due_loan(world, NOW + DAY, "DUE", "DUE", "DUE", **{"untold_due_at": NOW + DAY, **fields})
    assert tell_due_soon(now=NOW) == 0
    assert not Event.objects.exists()


def test_a_due_date_that_a_reorg_brings_back_is_not_told_again_and_a_moved_one_is(
    world: BooksRows, soon: dt.timedelta
) -> None:
    due = NOW + DAY
    loan = due_loan(world, due, "DUE", "DUE", "DUE", untold_due_at=due)
    assert tell_due_soon(now=NOW) == 1

    PartnerLoan.objects.filter(pk=loan.pk).update(untold_due_at=due)
    assert tell_due_soon(now=NOW) == 0
    assert PartnerLoan.objects.get(pk=loan.pk).untold_due_at is None

    PartnerLoan.objects.filter(pk=loan.pk).update(untold_due_at=due + SECOND)
    assert tell_due_soon(now=NOW) == 1
    assert types(loan) == ["payment.due_soon"] * 2


def test_a_loan_that_is_paid_at_the_same_moment_is_left_out_and_the_others_are_told(
    world: BooksRows, soon: dt.timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (due_loan(world, NOW + DAY, "DUE", "DUE", "DUE", untold_due_at=NOW + DAY) for _ in range(2))
    tell = due_soon._tell_some

    def overtaken(keys: Any, now: dt.datetime) -> int:
        PartnerLoan.objects.filter(pk=first.pk).update(status=LoanStatus.REPAID)
        return tell(keys, now)

    monkeypatch.setattr(due_soon, "_tell_some", overtaken)
    assert tell_due_soon(now=NOW) == 1
    assert (types(first), types(second)) == ([], ["payment.due_soon"])


def test_fifty_that_are_due_cost_as_many_statements_as_two(world: BooksRows, soon: dt.timedelta) -> None:
    def statements(count: int) -> int:
        for _ in range(count):
            due_loan(world, NOW + DAY, "DUE", "DUE", "DUE", untold_due_at=NOW + DAY)
        with CaptureQueriesContext(connection) as queries:
            assert tell_due_soon(now=NOW) == count
        return sum(not query["sql"].startswith(("BEGIN", "SAVEPOINT", "RELEASE")) for query in queries.captured_queries)

    assert statements(50) == statements(2)
    assert not due_soon_query(NOW).exists()


# --- reorganizations ---


def take_back(loan: PartnerLoan) -> Callable[[], None]:
    return lambda: positions.rollback_ledger(loan.solvency_position_id, order_of(BLOCK, 0))


def test_a_draw_that_a_reorg_took_back_is_told(world: BooksRows) -> None:
    loan = pending_draw(world)
    settle(lambda: settle_borrow(loan, loan.borrow_operation), loan.borrow_operation)

    take_back(loan)()

    assert types(loan) == ["loan.borrowed", "loan.undone"]
    undone = feed(loan)[1]
    assert (undone["sequence"], undone["timestamp"]) == (2, isoformat(TIME))
    assert undone["data"] == {"loan": shown(loan), "undone": "loan.borrowed", "reason": REASON}
    told = undone["data"]["loan"]
    assert (told["status"], told["evidence"], told["borrowEvidence"]) == ("PENDING", None, None)


def test_a_repayment_of_ours_that_a_reorg_took_back_is_told_and_is_pending_again(world: BooksRows) -> None:
    loan = lent(world)
    repayment = repaying(world, loan, 1_000)
    settle_paid(repayment)

    take_back(loan)()

    assert types(loan) == ["loan.repayment", "loan.repaid", "loan.undone"]
    assert feed(loan)[-1]["data"] == {
        "loan": shown(loan),
        "repayment": shown_repayment(repayment),
        "undone": "loan.repayment",
        "reason": REASON,
    }
    told = feed(loan)[-1]["data"]
    assert (told["loan"]["status"], told["loan"]["totalRepaid"]) == ("ACTIVE", "0")
    assert (told["repayment"]["status"], told["repayment"]["evidence"]) == ("PENDING", None)


@pytest.mark.parametrize("liquidated", [False, True])
def test_what_others_did_and_a_reorg_took_back_is_told(world: BooksRows, liquidated: bool) -> None:
    loan = lent(world)
    position = _position(loan)
    if liquidated:
        run_in_transaction(lambda: onchain.liquidated(movement(position), event(position, debtPaid=400)))
    else:
        run_in_transaction(lambda: onchain.user_repaid(movement(position), event(position, amount=400)))

    take_back(loan)()

    told = feed(loan)[-1]
    assert (told["type"], told["data"]["undone"]) == (
        "loan.undone",
        "loan.liquidated" if liquidated else "loan.repayment",
    )
    assert told["data"]["loan"] == shown(loan)
    assert (told["data"]["repayment"]["status"], told["data"]["repayment"]["failureCode"]) == (
        "FAILED",
        "settlement_failed",
    )


def test_a_failed_borrow_that_a_reorg_took_back_is_told(world: BooksRows) -> None:
    loan = pending_draw(world, state="FAILED")
    settle(lambda: settle_borrow(loan, loan.borrow_operation), loan.borrow_operation)
    Operation.objects.filter(pk=loan.borrow_operation_id).update(reopened=True)

    operations.rollback_operation(Operation.objects.get(pk=loan.borrow_operation_id))

    assert types(loan) == ["loan.failed", "loan.undone"]
    assert feed(loan)[1]["data"] == {"loan": shown(loan), "undone": "loan.failed", "reason": REASON}


def test_a_failed_repayment_that_a_reorg_took_back_is_told(world: BooksRows) -> None:
    loan = lent(world, repayment_in_flight=True)
    operation = world.operation("FAILED", kind="repay", reason="no")
    repayment = world.repayment(loan, 300, operation=operation)
    settle(lambda: settle_repayment(repayment, operation), operation)
    Operation.objects.filter(pk=operation.pk).update(reopened=True)

    operations.rollback_operation(Operation.objects.get(pk=operation.pk))

    assert types(loan) == ["repayment.failed", "loan.undone"]
    told = feed(loan)[1]["data"]
    assert (told["undone"], told["repayment"]) == ("repayment.failed", shown_repayment(repayment))
    assert (told["repayment"]["status"], told["repayment"]["failureCode"]) == ("PENDING", None)
