"""What a reorg takes back: each row is as it was before, and what was ours is under way again."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from chain.lending.readings import ReadingRefused
from chain.models import Operation
from chain.rpc.clients import ChainUnavailable
from loans.chain_order import LOGS_PER_BLOCK, order_of
from loans.debt.interest import SCALE
from loans.models import (
    FundingSource,
    LedgerEntry,
    OaidCredit,
    PartnerLoan,
    PartnerSpending,
    Repayment,
    SolvencyPosition,
)
from loans.rollback import operations, positions
from loans.selectors import SettledPayment
from loans.services import onchain
from loans.services.settle_borrow import settle_borrow
from loans.services.settle_repayment import settle_repayment
from loans.states import IllegalTransition
from partner_platform.core import backoff
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.invariants import InvariantViolation
from partners.models import PartnerDailyUsage
from tests.loans.rows.conftest import NOW, POOL
from tests.loans.rows.test_repayments import at_the_pool, event, history, movement, paying
from tests.support.books_rows import BLOCK, DAY, TIME, BooksRows, changed_by, everything, pool_log, told

START, ORDER = order_of(BLOCK, 0), order_of(BLOCK, 3)
RATE = 500
EARLIER = TIME - dt.timedelta(minutes=1)


def undo(position: SolvencyPosition) -> None:
    positions.rollback_ledger(position.position_id, order_of(BLOCK, 0))


def difference(before: dict[Any, Any], after: dict[Any, Any]) -> dict[Any, Any]:
    """What is not as it was, apart from when rows were written; an audit entry is nobody's state."""
    return {
        key: {
            name: value
            for name, value in row.items()
            if name != "updated_at" and before.get(key, {}).get(name) != value
        }
        for key, row in after.items()
        if {**row, "updated_at": None} != {**before.get(key, {}), "updated_at": None}
    }


def settle(act: Callable[[], None], operation: Operation) -> None:
    """As the sweep does it: acknowledged in the same transaction."""
    run_in_transaction(act)
    Operation.objects.filter(pk=operation.pk).update(acknowledged=True)


def test_a_draw(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=1_000, total_borrowed=50, active_loans=2)
    position = world.position(reserved=1_700, pool_since=7)
    operation = world.operation(outcome_logs=[pool_log(POOL, position.position_id, 1_000, 0, RATE)])
    loan = world.loan(
        partner, position, 1_000, "PENDING", operation=operation, loan_duration=900, number_of_installments=3
    )
    before = everything()
    settle(lambda: settle_borrow(loan, operation), operation)
    Operation.objects.filter(pk=operation.pk).update(reopened=True)

    undo(position)

    credit = OaidCredit.objects.get(oaid_token_id=position.oaid_token_id).pk
    assert difference(before, everything()) == {credit: {"version": 2, "settled_block": BLOCK}}
    assert OaidCredit.objects.get(pk=credit).reserved == 1_700
    assert not LedgerEntry.objects.filter(position_id=position.position_id).exists()
    figures = {"status": "ACTIVE", "outstandingPrincipal": "1000"}
    undone = {"status": "PENDING", "reason": "a reorganization of the chain"}
    assert ("loan.undone", f"loan:{loan.internal_loan_id}", figures, undone) in told()


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("funding", [FundingSource.PULLED, FundingSource.TRANSFER])
def test_a_repayment_of_ours_is_under_way_again(world: BooksRows, funding: str, closes: bool) -> None:
    partner = world.partner(current_outstanding=3_000, total_repaid=7, active_loans=3, repaid_loans=2)
    accrued = 10 * SCALE
    position = world.position(
        **at_the_pool(1_000, pool_accrued_scaled=accrued, loans_accrued_scaled=accrued, pool_rate_bps=RATE)
    )
    paid, after = (1_010, (0, 0)) if closes else (300, (710, 0))
    loan = world.loan(
        partner,
        position,
        1_000,
        "DEFAULTED",
        interest_rate_bps=RATE,
        accrued_scaled=accrued,
        repayment_in_flight=True,
        total_repaid=7,
        last_repayment_at=EARLIER,
        interest_paid=3,
        defaulted_at=TIME,
        next_due_at=TIME,
        schedule=[{"number": 1, "dueAt": "2026-01-01T00:00:00Z", "amount": "1000", "status": "MISSED"}],
    )
    operation = paying(world, position, paid, after, RATE)
    transfer = world.transfer(2_000, 1_800) if funding == FundingSource.TRANSFER else None
    first = world.repayment(
        loan, 7, status="SETTLED", tx_hash="0x07", settled_at=EARLIER, chain_order=order_of(BLOCK - 2, 0)
    )
    earlier = SettledPayment(7, EARLIER, first.tx_hash, "PARTNER", first.chain_order)
    repayment = world.repayment(loan, paid, operation=operation, funding=funding, funding_transfer=transfer)
    spending = world.spending(partner, 40)
    before = everything()
    settle(lambda: settle_repayment(repayment, operation), operation)
    assert PartnerLoan.objects.get(pk=loan.pk).status == ("REPAID" if closes else "DEFAULTED")
    assert history(loan) == [earlier, SettledPayment(paid, TIME, operation.tx_hash, "PARTNER", ORDER)]
    assert PartnerSpending.objects.get(pk=spending.pk).spent == (40 + paid if transfer else 40)

    undo(position)

    # The block it had landed in stays noted: a judgement as of an older one is made again.
    assert difference(before, everything()) == ({spending.pk: {"settled_block": BLOCK}} if transfer else {})
    assert history(loan) == [earlier]


def test_what_the_platform_covered_is_not_claimed_when_it_comes_again(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=1_000, active_loans=1)
    accrued = 10 * SCALE
    position = world.position(
        **at_the_pool(1_000, pool_accrued_scaled=accrued, loans_accrued_scaled=accrued, pool_rate_bps=RATE)
    )
    loan = world.loan(
        partner, position, 1_000, interest_rate_bps=RATE, accrued_scaled=accrued, repayment_in_flight=True
    )
    operation = paying(world, position, 1_010, (0, 0), RATE)
    transfer = world.transfer(2_000, 1_800)
    repayment = world.repayment(
        loan, 1_004, operation=operation, funding=FundingSource.TRANSFER, funding_transfer=transfer
    )
    spending = world.spending(partner, 40)
    before = everything()
    settle(lambda: settle_repayment(repayment, operation), operation)
    assert Repayment.objects.get(pk=repayment.pk).platform_covered == 6
    assert PartnerSpending.objects.get(pk=spending.pk).spent == 40 + 1_004

    undo(position)

    assert difference(before, everything()) == {spending.pk: {"settled_block": BLOCK}}


def test_what_others_paid_and_drew_never_happened_newest_first(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=600, total_repaid=5, active_loans=2)
    position = world.position(
        **at_the_pool(
            600, pool_principal=700, pool_accrued_scaled=SCALE, loans_accrued_scaled=SCALE // 2, pool_rate_bps=RATE
        )
    )
    loan = world.loan(partner, position, 600, interest_rate_bps=RATE, accrued_scaled=SCALE // 2, repay_tx_hash="")
    before = everything()
    first, second, third = ((BLOCK, index) for index in (3, 4, 5))
    run_in_transaction(lambda: onchain.user_drew(movement(position, order=first), event(position, amount=70)))
    run_in_transaction(lambda: onchain.user_repaid(movement(position, order=second), event(position, amount=400)))
    run_in_transaction(lambda: onchain.liquidated(movement(position, order=third), event(position, debtPaid=100)))
    assert PartnerLoan.objects.get(pk=loan.pk).status == "LIQUIDATED"

    undo(position)

    left = difference(before, everything())
    made = [row for key, row in left.items() if key not in before]
    assert set(left) - {key for key in left if key not in before} == set()
    assert {row["status"] for row in made} == {"FAILED"}
    assert {row["failure_reason"] for row in made} == {"undone by a reorganization of the chain"}
    assert {(row["chain_order"], row["principal_paid"], row["interest_paid"]) for row in made} == {(0, 0, 0)}
    assert len(made) == 2


def test_an_entry_of_an_earlier_version_that_stored_more_is_undone_like_any_other(world: BooksRows) -> None:
    position = world.position(**at_the_pool(600))
    world.loan(world.partner(current_outstanding=600, active_loans=2), position, 600)
    before = everything()
    run_in_transaction(lambda: onchain.user_repaid(movement(position, order=(BLOCK, 3)), event(position, amount=200)))
    entry = LedgerEntry.objects.get(position_id=position.position_id)
    for snapshot in (entry.before["position"], *entry.before["loans"].values()):
        snapshot["history"] = 0
    entry.save()

    undo(position)

    assert [row["status"] for row in difference(before, everything()).values()] == ["FAILED"]


def test_only_what_came_from_the_block_on_is_undone(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=600, active_loans=2)
    position = world.position(**at_the_pool(600))
    world.loan(partner, position, 600)
    run_in_transaction(
        lambda: onchain.user_repaid(movement(position, order=(BLOCK - 1, 9)), event(position, amount=100))
    )
    before = everything()
    run_in_transaction(lambda: onchain.user_repaid(movement(position, order=(BLOCK, 0)), event(position, amount=200)))

    undo(position)

    assert [row["status"] for row in difference(before, everything()).values()] == ["FAILED"]
    assert LedgerEntry.objects.get(position_id=position.position_id).amount == 100


@pytest.mark.parametrize(("owed_before", "owed"), [(None, START), (START + 1, START), (START - 1, START - 1)])
def test_what_cannot_be_undone_is_owed_from_the_lowest_place_and_holds_its_position_for_the_first_pause(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch, owed_before: int | None, owed: int
) -> None:
    position = world.position(ledger_order=ORDER, undo_from=owed_before)
    monkeypatch.setattr(positions, "_rollback_position", lambda *_: 1 / 0)

    positions.rollback_positions(BLOCK)

    held = SolvencyPosition.objects.get(pk=position.pk)
    assert (held.undo_from, held.waiting_since_block, held.follow_failures) == (owed, owed // LOGS_PER_BLOCK, 1)
    assert held.follow_error == "division by zero"
    first = dt.timedelta(seconds=backoff.FIRST_SECONDS)
    assert held.follow_after is not None
    assert NOW + first <= held.follow_after <= NOW + first * (1 + backoff.SPREAD)


@pytest.mark.parametrize(("reason", "status"), [("it looks bad", "DEFAULTED"), ("", "ACTIVE")])
def test_what_staff_decided_meanwhile_stands(world: BooksRows, reason: str, status: str) -> None:
    partner = world.partner(current_outstanding=600, active_loans=2)
    position = world.position(**at_the_pool(600))
    loan = world.loan(partner, position, 600)
    run_in_transaction(lambda: onchain.user_repaid(movement(position), event(position, amount=100)))
    PartnerLoan.objects.filter(pk=loan.pk).update(
        status="DEFAULTED" if reason else "ACTIVE", default_reason=reason, defaulted_at=TIME if reason else None
    )

    undo(position)

    assert PartnerLoan.objects.get(pk=loan.pk).status == status
    assert PartnerLoan.objects.get(pk=loan.pk).total_repaid == 0


def test_a_loan_that_staff_marked_and_somebody_then_paid_off_owes_again_as_it_was_marked(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=600, active_loans=2)
    position = world.position(**at_the_pool(600))
    loan = world.loan(partner, position, 600, "DEFAULTED", default_reason="it looks bad", defaulted_at=TIME)
    before = everything()
    run_in_transaction(lambda: onchain.user_repaid(movement(position), event(position, amount=600)))
    assert PartnerLoan.objects.get(pk=loan.pk).status == "REPAID"

    undo(position)

    assert [row["status"] for row in difference(before, everything()).values()] == ["FAILED"]
    assert PartnerLoan.objects.get(pk=loan.pk).status == "DEFAULTED"


def test_a_draw_whose_loan_was_repaid_is_not_undone_alone(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=1_000)
    position = world.position(reserved=1_000)
    operation = world.operation(outcome_logs=[pool_log(POOL, position.position_id, 1_000, 0, RATE)])
    loan = world.loan(partner, position, 1_000, "PENDING", operation=operation)
    settle(lambda: settle_borrow(loan, operation), operation)
    PartnerLoan.objects.filter(pk=loan.pk).update(total_repaid=1)
    before = everything()
    with pytest.raises(InvariantViolation, match=f"M2: loan {loan.internal_loan_id} was repaid before it was undone"):
        undo(position)
    assert everything() == before


def test_an_entry_that_its_position_never_had_is_a_named_invariant(world: BooksRows) -> None:
    position = world.position(**at_the_pool(600))
    run_in_transaction(lambda: onchain.user_drew(movement(position), event(position, amount=70)))
    SolvencyPosition.objects.filter(pk=position.pk).update(ledger_order=ORDER - 1)
    with pytest.raises(InvariantViolation, match=r"M5: .* was never applied to its position"):
        undo(position)


def test_a_loan_is_not_taken_back_to_a_status_that_it_cannot_have_had(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=600, active_loans=2)
    position = world.position(**at_the_pool(600))
    loan = world.loan(partner, position, 600)
    run_in_transaction(lambda: onchain.user_repaid(movement(position), event(position, amount=100)))
    PartnerLoan.objects.filter(pk=loan.pk).update(status="FAILED")
    with pytest.raises(IllegalTransition):
        undo(position)


@pytest.mark.parametrize("reopened", [True, False])
def test_a_failure_that_was_told_is_taken_back_with_its_reservations(world: BooksRows, reopened: bool) -> None:
    partner = world.partner(current_outstanding=1_000, borrowed=1_000)
    position = world.position(reserved=1_000)
    operation = world.operation("FAILED", reason="no")
    loan = world.loan(partner, position, 1_000, "PENDING", operation=operation)
    before = everything()
    settle(lambda: settle_borrow(loan, operation), operation)
    Operation.objects.filter(pk=operation.pk).update(reopened=reopened)
    failed = everything()

    operations.rollback_operation(Operation.objects.get(pk=operation.pk))

    credit = OaidCredit.objects.get(oaid_token_id=position.oaid_token_id).pk
    if reopened:
        assert difference(before, everything()) == {credit: {"version": 2}}
        assert PartnerLoan.objects.get(pk=loan.pk).updated_at == NOW
        assert {action for action, *_ in told()} == {"loan.failed", "loan.reopened"}
    else:
        assert everything() == failed


@pytest.mark.parametrize("funding", [FundingSource.TRANSFER, FundingSource.PULLED])
def test_a_failed_repayment_that_is_taken_back_holds_its_loan_and_no_funds(world: BooksRows, funding: str) -> None:
    partner, position = world.partner(current_outstanding=1_000), world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation = world.operation("FAILED", kind="repay", reason="no")
    transfer = world.transfer(500, 400) if funding == FundingSource.TRANSFER else None
    repayment = world.repayment(loan, 300, operation=operation, funding=funding, funding_transfer=transfer)
    settle(lambda: settle_repayment(repayment, operation), operation)
    Operation.objects.filter(pk=operation.pk).update(reopened=True)

    changes, made = changed_by(lambda: operations.rollback_operation(Operation.objects.get(pk=operation.pk)))

    without = {"funding": FundingSource.TRUSTED, "funding_transfer_id": None} if transfer else {}
    assert changes == {
        operation.pk: {"acknowledged": False, "reopened": False},
        repayment.pk: {
            "status": "PENDING",
            "failure_reason": "",
            "failure_code": "",
            "settled_at": None,
            "evidence_order": 0,
            "evidence_tx_hash": "",
            "evidence_block_hash": "",
            **without,
        },
        loan.pk: {"repayment_in_flight": True},
    }
    assert made == []
    assert (
        "loan.repayment_reopened",
        f"loan:{loan.internal_loan_id}",
        {"status": "ACTIVE", "outstandingPrincipal": "1000"},
        {"status": "ACTIVE", "reason": "a reorganization of the chain"},
    ) in told()


def test_a_failed_repayment_is_not_taken_back_beside_another_that_is_under_way(world: BooksRows) -> None:
    partner, position = world.partner(current_outstanding=1_000), world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation = world.operation("FAILED", kind="repay", acknowledged=True, reopened=True)
    world.repayment(loan, 300, operation=operation, status="FAILED")
    with pytest.raises(InvariantViolation, match=f"M3: loan {loan.pk} has another repayment under way"):
        operations.rollback_operation(operation)


def test_a_settled_borrow_or_repayment_is_taken_back_with_all_that_came_after_it(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=1_000, total_borrowed=0)
    position = world.position(reserved=1_000)
    operation = world.operation(outcome_logs=[pool_log(POOL, position.position_id, 1_000, 0, 0)])
    loan = world.loan(partner, position, 1_000, "PENDING", operation=operation)
    repay = paying(world, position, 300, (700, 0))
    Operation.objects.filter(pk=repay.pk).update(block_number=BLOCK + 1)
    repay.refresh_from_db()
    settle(lambda: settle_borrow(loan, operation), operation)
    PartnerLoan.objects.filter(pk=loan.pk).update(repayment_in_flight=True)
    repayment = world.repayment(loan, 300, operation=repay)
    settle(lambda: settle_repayment(repayment, repay), repay)
    Operation.objects.filter(pk__in=[operation.pk, repay.pk]).update(reopened=True)

    operations.rollback_operation(Operation.objects.get(pk=repay.pk))
    assert PartnerLoan.objects.get(pk=loan.pk).total_repaid == 0
    assert PartnerLoan.objects.get(pk=loan.pk).status == "ACTIVE"
    settle(lambda: settle_repayment(Repayment.objects.get(pk=repayment.pk), repay), repay)
    operations.rollback_operation(Operation.objects.get(pk=operation.pk))

    assert PartnerLoan.objects.get(pk=loan.pk).status == "PENDING"
    assert Repayment.objects.get(pk=repayment.pk).status == "PENDING"
    flags = Operation.objects.filter(pk__in=[operation.pk, repay.pk]).values_list("acknowledged", "reopened")
    assert set(flags) == {(False, False)}
    assert PartnerDailyUsage.objects.get(partner=partner, day=DAY).borrowed == 0


def test_what_is_owed_is_found_once_its_pause_is_over_from_the_first_place_on(world: BooksRows) -> None:
    due = world.position(undo_from=0, follow_after=NOW)
    also = world.position(undo_from=ORDER, follow_after=NOW - dt.timedelta(seconds=1))
    world.position(undo_from=ORDER, follow_after=NOW + dt.timedelta(milliseconds=1))
    world.position(undo_from=None, follow_after=NOW)
    assert {row.pk for row in positions.pending_rollbacks(10)} == {due.pk, also.pk}


def test_a_reading_that_the_node_refuses_is_owed_and_a_node_that_does_not_answer_stops_the_whole(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next pass begins again: without the chain no position could be undone."""
    first, second = world.position(ledger_order=START), world.position(ledger_order=START)
    failures: list[Exception] = [ReadingRefused("no"), ReadingRefused("no"), ChainUnavailable("silent")]

    def refuse(*_: object) -> None:
        raise failures.pop(0)

    monkeypatch.setattr(positions, "_rollback_position", refuse)
    positions.rollback_positions(BLOCK)
    owed = SolvencyPosition.objects.filter(undo_from__isnull=False).values_list("position_id", "undo_from")
    assert dict(owed) == {first.position_id: START, second.position_id: START}

    with pytest.raises(ChainUnavailable, match="silent"):
        positions.rollback_positions(BLOCK)
    assert failures == []
