"""A borrow's end, good or bad: what it writes, to the last field."""

from datetime import timedelta
from typing import Any

import pytest

from loans.chain_order import order_of
from loans.ledger.errors import LedgerGap
from loans.ledger.movement import movement_of
from loans.models import LoanStatus, PartnerLoan
from loans.services.settle_borrow import Draw, activate_all, settle_borrow
from partner_platform.core.clock import isoformat
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.invariants import InvariantViolation
from tests.loans.rows.conftest import POOL
from tests.support.books_rows import (
    BLOCK,
    BLOCK_HASH,
    MOMENT,
    TIME,
    BooksRows,
    changed_by,
    everything,
    pool_log,
    proven_by,
    told,
    usage_of,
)

ORDER = order_of(BLOCK, 3)
RATE = 500


def credit_of(position: Any) -> Any:
    from loans.models import OaidCredit

    return OaidCredit.objects.get(oaid_token_id=position.oaid_token_id).pk


@pytest.mark.parametrize("block_before", [0, BLOCK - 1, BLOCK, BLOCK + 1])
def test_a_first_draw_is_active_and_its_reservation_is_the_chains(world: BooksRows, block_before: int) -> None:
    from loans.models import OaidCredit

    partner = world.partner(current_outstanding=1_000, total_borrowed=50, active_loans=2)
    position = world.position(reserved=1_700)
    OaidCredit.objects.filter(pk=credit_of(position)).update(settled_block=block_before)
    operation = world.operation(outcome_logs=[pool_log(POOL, position.position_id, 1_000, 0, RATE)])
    loan = world.loan(partner, position, 1_000, "PENDING", operation=operation, platform_fee_charged=5)

    changes, (entry,) = changed_by(lambda: settle_borrow(loan, operation))

    landed = {"reserved": 700, "version": 1} | ({"settled_block": BLOCK} if block_before < BLOCK else {})
    assert changes == {
        loan.pk: {
            "status": "ACTIVE",
            "borrow_tx_hash": operation.tx_hash,
            "borrowed_at": TIME,
            "platform_fee_paid": True,
            "interest_rate_bps": RATE,
            "bearing_principal": 1_000,
            "interest_since": MOMENT,
            "draw_order": ORDER,
            "borrow_block_hash": BLOCK_HASH,
            **proven_by(operation.tx_hash),
        },
        position.pk: {
            "pool_principal": 1_000,
            "pool_rate_bps": RATE,
            "pool_since": MOMENT,
            "loans_principal": 1_000,
            "ledger_order": ORDER,
            "total_partner_debt": 1_000,
        },
        credit_of(position): landed,
        partner.pk: {"total_borrowed": 1_050, "active_loans": 3},
        usage_of(partner): {"drawn": 1_000, "drawn_loans": 1, "fees": 5},
    }
    assert (entry["kind"], entry["amount"], entry["loan_id"]) == ("DRAW", 1_000, loan.pk)
    assert (entry["position_id"], entry["order"], entry["moment"]) == (position.position_id, ORDER, MOMENT)
    assert entry["tx_hash"] == operation.tx_hash
    assert entry["before"]["loans"] == {}
    assert set(entry["before"]["position"].values()) == {"0"}
    assert told() == [
        (
            "loan.borrowed",
            f"loan:{loan.internal_loan_id}",
            {"status": "PENDING", "outstandingPrincipal": "1000"},
            {"status": "ACTIVE", "txHash": operation.tx_hash},
        )
    ]


def test_a_later_draw_keeps_the_positions_rate_and_is_rounded_after_the_loans_before_it(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=3_000)
    position = world.position(
        reserved=1_000,
        total_partner_debt=2_000,
        pool_principal=2_500,
        pool_accrued_scaled=7,
        pool_rate_bps=RATE,
        pool_since=MOMENT - 10,
        loans_principal=2_000,
        loans_accrued_scaled=5,
        ledger_order=ORDER - 1,
    )
    growth = RATE * 10
    logs = [pool_log(POOL, position.position_id, 3_500, 7 + 2_500 * growth, 9_999)]
    operation = world.operation(outcome_logs=logs)
    loan = world.loan(partner, position, 1_000, "PENDING", operation=operation)

    changes, (entry,) = changed_by(lambda: settle_borrow(loan, operation))

    assert changes[position.pk] == {
        "pool_principal": 3_500,
        "pool_accrued_scaled": 7 + 2_500 * growth,
        "pool_since": MOMENT,
        "loans_principal": 3_000,
        "loans_accrued_scaled": 5 + 2_000 * growth,
        "ledger_order": ORDER,
        "total_partner_debt": 3_000,
    }
    figures = {
        name: changes[loan.pk][name] for name in ("interest_rate_bps", "prior_principal", "prior_accrued_scaled")
    }
    assert figures == {"interest_rate_bps": RATE, "prior_principal": 2_000, "prior_accrued_scaled": 5 + 2_000 * growth}
    assert entry["before"]["position"] == {
        "pool_principal": "2500",
        "pool_accrued": "7",
        "pool_rate": str(RATE),
        "pool_since": str(MOMENT - 10),
        "loans_principal": "2000",
        "loans_accrued": "5",
        "ledger_order": str(ORDER - 1),
        "total_partner_debt": "2000",
    }


@pytest.mark.parametrize(("principal", "accrued"), [(999, 0), (1_001, 0), (1_000, 1)])
def test_a_draw_after_which_the_pool_says_something_else_is_not_written(
    world: BooksRows, principal: int, accrued: int
) -> None:
    partner, position = world.partner(), world.position(reserved=1_000, ledger_order=1)
    operation = world.operation(outcome_logs=[pool_log(POOL, position.position_id, principal, accrued, RATE)])
    loan = world.loan(partner, position, 1_000, "PENDING", operation=operation)
    before = everything()
    with pytest.raises(LedgerGap, match=f"position {position.position_id}: the pool says {principal} "):
        run_in_transaction(lambda: settle_borrow(loan, operation))
    assert everything() == before


@pytest.mark.parametrize(("instalments", "amounts"), [(3, [333, 333, 334]), (None, [1_000]), (3, [1, 1, 1])])
def test_due_dates_are_counted_from_the_block_of_the_draw(
    world: BooksRows, instalments: int | None, amounts: list[int]
) -> None:
    partner, position = world.partner(), world.position(reserved=1_000)
    operation = world.operation()
    loan = world.loan(
        partner,
        position,
        sum(amounts),
        "PENDING",
        operation=operation,
        loan_duration=900,
        number_of_installments=instalments,
    )

    changes, _ = changed_by(lambda: settle_borrow(loan, operation))

    distance = timedelta(seconds=900 // len(amounts))
    assert changes[loan.pk]["schedule"] == [
        {"number": number, "dueAt": isoformat(TIME + number * distance), "amount": str(amount), "status": "DUE"}
        for number, amount in enumerate(amounts, 1)
    ]
    assert changes[loan.pk]["next_due_at"] == TIME + distance


def test_draws_of_two_partners_are_written_together_each_with_its_own(world: BooksRows) -> None:
    first, second = world.partner(), world.partner()
    draws = []
    for partner, principal in ((first, 100), (second, 200), (first, 400)):
        position = world.position(reserved=principal)
        operation = world.operation(outcome_logs=[pool_log(POOL, position.position_id, principal, 0, RATE)])
        loan = world.loan(partner, position, principal, "PENDING", operation=operation)
        draws.append(Draw(loan, operation, movement_of(operation, position.position_id)))

    changes, made = changed_by(lambda: activate_all(draws))

    assert changes[first.pk] == {"total_borrowed": 500, "active_loans": 2}
    assert changes[second.pk] == {"total_borrowed": 200, "active_loans": 1}
    assert changes[usage_of(first)] == {"drawn": 500, "drawn_loans": 2}
    assert changes[usage_of(second)] == {"drawn": 200, "drawn_loans": 1}
    assert {changes[draw.loan.pk]["borrow_tx_hash"] for draw in draws} == {draw.operation.tx_hash for draw in draws}
    assert [changes[draw.loan.pk]["bearing_principal"] for draw in draws] == [100, 200, 400]
    assert {(row["position_id"], row["amount"]) for row in made} == {
        (draw.movement.position_id, draw.loan.principal_amount) for draw in draws
    }
    assert len(changes) == 3 * 3 + 2 + 2
    assert sorted(target for _, target, _, _ in told()) == sorted(
        f"loan:{draw.loan.internal_loan_id}" for draw in draws
    )


def test_a_failed_borrow_gives_back_all_it_held(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=1_500, borrowed=1_200)
    position = world.position(reserved=1_700)
    operation = world.operation("FAILED")
    operation.reason = "x" * 299 + "yz"  # longer than the column of either row
    loan = world.loan(partner, position, 1_000, "PENDING", operation=operation)

    changes, made = changed_by(lambda: settle_borrow(loan, operation))

    reason = "x" * 299 + "y"
    assert changes == {
        loan.pk: {
            "status": "FAILED",
            "failure_reason": reason,
            "failure_code": "settlement_failed",
            "outstanding_principal": 0,
            **proven_by(operation.tx_hash, index=0),
        },
        credit_of(position): {"reserved": 700, "version": 1},
        partner.pk: {"current_outstanding": 500},
        usage_of(partner): {"borrowed": 200},
    }
    assert made == []
    assert told() == [
        (
            "loan.failed",
            f"loan:{loan.internal_loan_id}",
            {"status": "PENDING", "outstandingPrincipal": "1000"},
            {"status": "FAILED", "reason": reason},
        )
    ]


@pytest.mark.parametrize(
    ("status", "state"),
    [(status, state) for status in LoanStatus.values for state in ("CONFIRMED", "FAILED") if status != "PENDING"],
)
def test_a_loan_that_is_not_pending_has_no_borrow_to_end(world: BooksRows, status: str, state: str) -> None:
    partner = world.partner(current_outstanding=1_000, borrowed=1_000)
    operation = world.operation(state)
    loan = world.loan(partner, world.position(reserved=1_000), 1_000, status, operation=operation)
    before = everything()
    with pytest.raises(InvariantViolation, match="is not PENDING any more"):
        run_in_transaction(lambda: settle_borrow(loan, operation))
    assert everything() == before


@pytest.mark.parametrize("state", ["CONFIRMED", "FAILED"])
def test_a_loan_that_somebody_else_settled_since_it_was_read_is_not_settled_again(world: BooksRows, state: str) -> None:
    partner = world.partner(current_outstanding=1_000, borrowed=1_000)
    operation = world.operation(state)
    loan = world.loan(partner, world.position(reserved=1_000), 1_000, "PENDING", operation=operation)
    PartnerLoan.objects.filter(pk=loan.pk).update(status="ACTIVE")
    before = everything()
    with pytest.raises(InvariantViolation, match=f"M2: loan {loan.internal_loan_id} is not PENDING any more"):
        run_in_transaction(lambda: settle_borrow(loan, operation))
    assert everything() == before


@pytest.mark.parametrize("missing", ["block_number", "block_time"])
def test_a_confirmation_without_a_block_is_a_named_invariant(world: BooksRows, missing: str) -> None:
    partner, operation = world.partner(), world.operation()
    setattr(operation, missing, None)
    loan = world.loan(partner, world.position(reserved=1_000), 1_000, "PENDING", operation=operation)
    with pytest.raises(InvariantViolation, match=r"M2: .* is confirmed without a block"):
        run_in_transaction(lambda: settle_borrow(loan, operation))
