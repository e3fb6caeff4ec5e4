"""A repayment's end, good or bad, and what others paid on the chain: what each writes, to the last field."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain.lending.operations import PoolDebt
from chain.models import ChainEvent, FundingTransfer, Operation
from loans import selectors
from loans.chain_order import order_of
from loans.debt import payoffs
from loans.debt.interest import SCALE, Part, PositionSums
from loans.funding import trusted
from loans.ledger import apply, entries
from loans.ledger.errors import LedgerContended, LedgerGap, LedgerPassed
from loans.ledger.movement import Movement
from loans.models import FundingSource, PartnerLoan, PartnerSpending, Repayment, SolvencyPosition
from loans.selectors import SettledPayment
from loans.services import onchain
from loans.services.settle_repayment import settle_repayment
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.ethereum import parse_address
from partner_platform.core.invariants import InvariantViolation
from partners.models import Partner, SettlementAddress
from tests.loans.rows.conftest import EXECUTOR, NOW, POOL
from tests.support.books_rows import (
    BLOCK,
    BLOCK_HASH,
    DAY,
    MOMENT,
    TIME,
    BooksRows,
    changed_by,
    everything,
    pool_log,
    proven_by,
    repaid_log,
    told,
    usage_of,
)

ORDER = order_of(BLOCK, 3)
BEFORE = order_of(BLOCK - 1, 0)
RATE = 500


def at_the_pool(principal: int, **fields: Any) -> dict[str, Any]:
    """A position's row, of which partners lent all, as of just before."""
    return {
        "pool_principal": principal,
        "loans_principal": principal,
        "total_partner_debt": principal,
        "pool_since": MOMENT,
        "ledger_order": BEFORE,
        **fields,
    }


def paying(world: BooksRows, position: SolvencyPosition, paid: int, after: tuple[int, int], rate: int = 0) -> Any:
    """The operation that paid so much, after which the pool says `after`: principal and exact interest."""
    logs = [pool_log(POOL, position.position_id, *after, rate), repaid_log(EXECUTOR, position.position_id, paid)]
    return world.operation(kind="repay", outcome_logs=logs)


def history(loan: PartnerLoan) -> list[SettledPayment]:
    """What the API will say was paid on the loan, by its row and its repayments' rows."""
    return selectors.repayment_history(PartnerLoan.objects.get(pk=loan.pk))


def spending_of(partner: Partner) -> list[tuple[str, int, int, bool]]:
    """What the partner's repayments took from each account, up to which block, and whether on trust."""
    rows = PartnerSpending.objects.filter(partner=partner)
    return [(row.account, row.spent, row.settled_block, row.on_trust) for row in rows]


def test_a_part_that_was_pulled(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=1_500, total_repaid=20, active_loans=2, repaid_loans=1)
    position = world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True, total_repaid=5, repay_tx_hash="")
    operation = paying(world, position, 300, (700, 0))
    repayment = world.repayment(loan, 300, operation=operation)

    changes, (entry,) = changed_by(lambda: settle_repayment(repayment, operation))

    assert changes == {
        repayment.pk: {
            "status": "SETTLED",
            "principal_paid": 300,
            "chain_order": ORDER,
            "tx_hash": operation.tx_hash,
            "settled_at": TIME,
            **proven_by(operation.tx_hash),
        },
        loan.pk: {
            "bearing_principal": 700,
            "outstanding_principal": 700,
            "total_repaid": 305,
            "last_repayment_at": TIME,
            "repayment_in_flight": False,
            "updated_at": NOW,
            **proven_by(operation.tx_hash),
        },
        position.pk: {
            "pool_principal": 700,
            "loans_principal": 700,
            "total_partner_debt": 700,
            "ledger_order": ORDER,
        },
        partner.pk: {"current_outstanding": 1_200, "total_repaid": 320},
        usage_of(partner): {"repaid": 300},
    }
    assert history(loan) == [SettledPayment(300, TIME, operation.tx_hash, "PARTNER", ORDER)]
    assert (entry["kind"], entry["amount"], entry["loan_id"], entry["order"]) == ("PAYMENT", 300, None, ORDER)
    (stood,) = entry["before"]["loans"].values()
    assert (stood["outstanding_principal"], stood["total_repaid"]) == ("1000", "5")
    assert (stood["status"], stood["repay_tx_hash"], stood["last_repayment_at"]) == ("ACTIVE", "", None)
    assert told() == [
        (
            "loan.repayment",
            f"loan:{loan.internal_loan_id}",
            {"status": "ACTIVE", "outstandingPrincipal": "1000"},
            {"status": "ACTIVE", "outstandingPrincipal": "700", "paid": "300", "interest": "0", "repaidBy": "PARTNER"},
        )
    ]


def test_all_of_it_from_a_transfer_with_interest_that_fewer_seconds_made(world: BooksRows) -> None:
    """More was claimed than was owed in the block: the rest is the transfer's again."""
    partner = world.partner(current_outstanding=1_000_000, active_loans=2)
    accrued = 9 * SCALE + 1
    position = world.position(
        **at_the_pool(1_000_000, pool_accrued_scaled=accrued, loans_accrued_scaled=accrued, pool_rate_bps=RATE)
    )
    loan = world.loan(
        partner,
        position,
        1_000_000,
        interest_rate_bps=RATE,
        accrued_scaled=accrued,
        repayment_in_flight=True,
        interest_paid=4,
    )
    operation = paying(world, position, 1_000_010, (0, 0), RATE)
    transfer = world.transfer(2_000_000, 1_500_000)
    repayment = world.repayment(
        loan,
        1_000_025,
        operation=operation,
        funding=FundingSource.TRANSFER,
        funding_transfer=transfer,
        payoff_terms=payoffs.to_json(payoffs.terms_of(loan), most=1_000_025),
        closes_loan=True,
    )

    changes, made = changed_by(lambda: settle_repayment(repayment, operation))

    assert changes[repayment.pk] == {
        "status": "SETTLED",
        "amount": 1_000_010,
        "principal_paid": 1_000_000,
        "interest_paid": 10,
        "chain_order": ORDER,
        "tx_hash": operation.tx_hash,
        "settled_at": TIME,
        **proven_by(operation.tx_hash),
    }
    assert changes[transfer.pk] == {"used": 1_500_000 - 15}
    assert changes[partner.pk] == {
        "current_outstanding": 0,
        "total_repaid": 1_000_010,
        "active_loans": 1,
        "repaid_loans": 1,
    }
    assert changes[loan.pk] == {
        "status": "REPAID",
        "bearing_principal": 0,
        "accrued_scaled": 0,
        "outstanding_principal": 0,
        "interest_paid": 14,
        "total_repaid": 1_000_010,
        "repay_tx_hash": operation.tx_hash,
        "last_repayment_at": TIME,
        "repayment_in_flight": False,
        "updated_at": NOW,
        **proven_by(operation.tx_hash),
    }
    assert changes[position.pk] == {
        "pool_principal": 0,
        "pool_accrued_scaled": 0,
        "loans_principal": 0,
        "loans_accrued_scaled": 0,
        "total_partner_debt": 0,
        "ledger_order": ORDER,
    }
    assert history(loan) == [SettledPayment(1_000_010, TIME, operation.tx_hash, "PARTNER", ORDER)]
    assert [row[""] for row in made] == ["PartnerSpending", "LedgerEntry"]
    assert spending_of(partner) == [(operation.executor, 1_000_010, BLOCK, False)]
    ((action, _, _, after),) = told()
    assert after is not None
    assert (action, after["interest"]) == ("loan.repaid", "10")


@pytest.mark.parametrize(
    ("funding", "claimed", "covered"),
    [
        (FundingSource.TRANSFER, 1_000_004, 6),
        (FundingSource.TRUSTED, 1_000_004, 6),
        (FundingSource.PULLED, 1_000_004, 0),
    ],
)
def test_interest_that_no_funds_of_the_partner_covered_is_the_platforms(
    world: BooksRows, funding: str, claimed: int, covered: int
) -> None:
    partner = world.partner(current_outstanding=1_000_000, active_loans=1)
    accrued = 10 * SCALE
    position = world.position(
        **at_the_pool(1_000_000, pool_accrued_scaled=accrued, loans_accrued_scaled=accrued, pool_rate_bps=RATE)
    )
    loan = world.loan(
        partner, position, 1_000_000, interest_rate_bps=RATE, accrued_scaled=accrued, repayment_in_flight=True
    )
    operation = paying(world, position, 1_000_010, (0, 0), RATE)
    transfer = world.transfer(2_000_000, 1_500_000) if funding == FundingSource.TRANSFER else None
    repayment = world.repayment(
        loan,
        claimed,
        operation=operation,
        funding=funding,
        funding_transfer=transfer,
        payoff_terms=payoffs.to_json(payoffs.terms_of(loan), most=1_000_030),
    )

    changes, _ = changed_by(lambda: settle_repayment(repayment, operation))

    assert changes[repayment.pk].get("platform_covered", 0) == covered
    assert changes[repayment.pk]["amount"] == 1_000_010
    assert not FundingTransfer.objects.filter(used=1_500_000 - 1).exists()
    assert transfer is None or transfer.pk not in changes
    # The seconds that the platform covers are its own: of what is the partner's the account paid what was claimed.
    spent = [] if funding == FundingSource.PULLED else [(operation.executor, 1_000_004, BLOCK, funding == "TRUSTED")]
    assert spending_of(partner) == spent


@pytest.mark.parametrize("before", [BLOCK - 1, BLOCK, BLOCK + 1])
def test_what_the_account_paid_is_added_to_what_it_paid_before_and_the_newest_block_is_kept(
    world: BooksRows, before: int
) -> None:
    partner, position = world.partner(current_outstanding=1_000), world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation, transfer = paying(world, position, 300, (700, 0)), world.transfer(500, 300)
    repayment = world.repayment(
        loan, 300, operation=operation, funding=FundingSource.TRANSFER, funding_transfer=transfer
    )
    mine = world.spending(partner, 40, settled_block=before)
    former = world.spending(partner, 5, account=transfer.sender)  # an executor of before

    changes, made = changed_by(lambda: settle_repayment(repayment, operation))

    landed = {"settled_block": BLOCK} if before < BLOCK else {}
    assert changes[mine.pk] == {"spent": 340, **landed}
    assert former.pk not in changes
    assert [row[""] for row in made] == ["LedgerEntry"]


def test_what_a_once_shared_address_sent_is_the_spending_of_whose_it_is_now(world: BooksRows) -> None:
    """The repayment was under way when the partners' addresses were told apart: it is another's than the deposit."""
    owner = world.partner()
    partner, position = world.partner(current_outstanding=1_000), world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation, transfer = paying(world, position, 300, (700, 0)), world.transfer(500, 300)
    SettlementAddress.objects.create(address=parse_address(transfer.sender.lower()), partner=owner)
    repayment = world.repayment(
        loan, 300, operation=operation, funding=FundingSource.TRANSFER, funding_transfer=transfer
    )

    settle_repayment(repayment, operation)

    assert (spending_of(owner), spending_of(partner)) == ([(operation.executor, 300, BLOCK, False)], [])
    repayment.refresh_from_db()
    trusted.uncount_spent(repayment, operation, 300)
    assert (spending_of(owner), spending_of(partner)) == ([(operation.executor, 0, BLOCK, False)], [])


def test_what_was_paid_is_read_from_the_logs_of_the_operations_own_executor(
    world: BooksRows, settings: Settings
) -> None:
    """Another one is configured by now."""
    partner, position = world.partner(current_outstanding=1_000), world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation = paying(world, position, 300, (700, 0))
    settings.PLATFORM_EXECUTOR_ADDRESS = POOL
    stranger = repaid_log(POOL, position.position_id, 299)
    Operation.objects.filter(pk=operation.pk).update(outcome_logs=[*operation.outcome_logs, stranger])
    operation.refresh_from_db()
    repayment = world.repayment(loan, 300, operation=operation)

    changes, _ = changed_by(lambda: settle_repayment(repayment, operation))

    assert (changes[loan.pk]["total_repaid"], history(loan)[0].amount) == (300, 300)


def test_the_interest_of_a_positions_other_loan_is_figured_anew_and_nothing_else_of_it_changes(
    world: BooksRows,
) -> None:
    """Payments cover all of the position's interest first: the other loan's becomes principal that bears interest."""
    partner = world.partner(current_outstanding=3_000, active_loans=2)
    first_accrued, second_accrued = 4 * SCALE, 6 * SCALE
    position = world.position(
        **at_the_pool(
            3_000,
            pool_accrued_scaled=10 * SCALE,
            loans_accrued_scaled=10 * SCALE,
            pool_rate_bps=RATE,
            pool_since=MOMENT,
            total_partner_debt=3_000,
        )
    )
    first = world.loan(partner, position, 1_000, interest_rate_bps=RATE, accrued_scaled=first_accrued)
    second = world.loan(
        partner,
        position,
        2_000,
        interest_rate_bps=RATE,
        accrued_scaled=second_accrued,
        prior_principal=1_000,
        prior_accrued_scaled=first_accrued,
        repayment_in_flight=True,
    )
    operation = paying(world, position, 500, (2_510, 0), RATE)
    repayment = world.repayment(second, 500, operation=operation)

    changes, (entry,) = changed_by(lambda: settle_repayment(repayment, operation))

    assert changes[first.pk] == {"bearing_principal": 1_004, "accrued_scaled": 0, "updated_at": NOW}
    assert {
        name: changes[second.pk].get(name) for name in ("bearing_principal", "accrued_scaled", "interest_paid")
    } == {
        "bearing_principal": 1_506,
        "accrued_scaled": 0,
        "interest_paid": 6,
    }
    assert (changes[second.pk]["prior_principal"], changes[second.pk]["prior_accrued_scaled"]) == (1_004, 0)
    assert changes[second.pk]["outstanding_principal"] == 2_000 - 494
    assert changes[partner.pk] == {"current_outstanding": 3_000 - 494, "total_repaid": 500}
    assert changes[position.pk] == {
        "pool_principal": 2_510,
        "pool_accrued_scaled": 0,
        "loans_principal": 2_510,
        "loans_accrued_scaled": 0,
        "total_partner_debt": 3_000 - 494,
        "ledger_order": ORDER,
    }
    stood = entry["before"]["loans"]
    columns = {field.name: field.column for field in PartnerLoan._meta.concrete_fields}
    assert set(stood[str(first.pk)]) == {columns[name] for name in entries.PART_FIELDS}
    assert set(stood[str(second.pk)]) == {columns[name] for name in (*entries.PART_FIELDS, *entries.PAYMENT_FIELDS)}
    assert {"status", "total_repaid"} <= set(stood[str(second.pk)])


def test_what_a_payoff_had_too_much_goes_to_the_positions_other_loan(world: BooksRows) -> None:
    """The user had paid part of the first one meanwhile."""
    partner, other = world.partner(current_outstanding=100, active_loans=1), world.partner(current_outstanding=2_000)
    position = world.position(**at_the_pool(2_100, total_partner_debt=2_100))
    first = world.loan(
        partner,
        position,
        1_000,
        outstanding_principal=100,
        bearing_principal=100,
        total_repaid=900,
        repayment_in_flight=True,
    )
    second = world.loan(other, position, 2_000)
    operation = paying(world, position, 1_000, (1_100, 0))
    repayment = world.repayment(first, 1_000, operation=operation)

    changes, made = changed_by(lambda: settle_repayment(repayment, operation))

    assert (changes[first.pk]["status"], changes[first.pk]["total_repaid"]) == ("REPAID", 1_000)
    assert (changes[second.pk]["outstanding_principal"], changes[second.pk]["total_repaid"]) == (1_100, 900)
    assert changes[repayment.pk]["amount"] == 100
    assert changes[partner.pk] == {"current_outstanding": 0, "total_repaid": 100, "active_loans": 0, "repaid_loans": 1}
    assert changes[other.pk] == {"current_outstanding": 1_100, "total_repaid": 900}
    (spilled,) = [row for row in made if row[""] == "Repayment"]
    expected = {
        "loan_id": second.pk,
        "partner_id": other.pk,
        "amount": 900,
        "status": "SETTLED",
        "repaid_by": "PARTNER",
        "funding": "ONCHAIN",
        "principal_paid": 900,
        "interest_paid": 0,
        "chain_order": ORDER,
        "tx_hash": operation.tx_hash,
        "settled_at": TIME,
        "operation_id": None,
    }
    assert {name: spilled[name] for name in expected} == expected


def test_a_payoff_of_what_somebody_paid_before_it_credits_its_loan_with_nothing(world: BooksRows) -> None:
    partner, other = world.partner(), world.partner(current_outstanding=2_000)
    position = world.position(**at_the_pool(2_000))
    repaid = world.loan(partner, position, 1_000, "REPAID", total_repaid=1_000, repayment_in_flight=True)
    second = world.loan(other, position, 2_000)
    operation = paying(world, position, 700, (1_300, 0))
    repayment = world.repayment(repaid, 700, operation=operation)

    changes, _ = changed_by(lambda: settle_repayment(repayment, operation))

    assert changes[repayment.pk] == {
        "status": "SETTLED",
        "amount": 0,
        "platform_covered": -700,
        "chain_order": ORDER,
        "tx_hash": operation.tx_hash,
        "settled_at": TIME,
        **proven_by(operation.tx_hash),
    }
    assert changes[repaid.pk] == {"repayment_in_flight": False, "updated_at": NOW}
    assert changes[second.pk]["outstanding_principal"] == 1_300
    assert partner.pk not in changes
    late = next(entry for entry in told() if entry[1] == f"loan:{repaid.internal_loan_id}")
    figures = {"status": "REPAID", "outstandingPrincipal": "0"}
    assert late == ("loan.repayment", late[1], figures, {**figures, "paid": "0", "paidForOthers": "700"})


@pytest.mark.parametrize("funding", [FundingSource.TRANSFER, FundingSource.PULLED])
def test_a_failed_repayment_frees_its_loan_and_its_funds(world: BooksRows, funding: str) -> None:
    partner, position = world.partner(current_outstanding=1_000), world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation = world.operation("FAILED", kind="repay")
    operation.reason = "y" * 299 + "zz"  # longer than the column of either row
    transfer = world.transfer(500, 400) if funding == FundingSource.TRANSFER else None
    repayment = world.repayment(loan, 300, operation=operation, funding=funding, funding_transfer=transfer)

    changes, made = changed_by(lambda: settle_repayment(repayment, operation))

    reason = "y" * 299 + "z"
    assert changes == {
        repayment.pk: {
            "status": "FAILED",
            "failure_reason": reason,
            "failure_code": "settlement_failed",
            "settled_at": NOW,
            **proven_by(operation.tx_hash, index=0),
        },
        loan.pk: {"repayment_in_flight": False, "updated_at": NOW},
        **({transfer.pk: {"used": 100}} if transfer else {}),
    }
    assert made == []
    figures = {"status": "ACTIVE", "outstandingPrincipal": "1000"}
    assert told() == [
        ("loan.repayment_failed", f"loan:{loan.internal_loan_id}", figures, {**figures, "reason": reason})
    ]


def test_a_loan_stays_taken_while_another_repayment_of_it_is_pending(world: BooksRows) -> None:
    partner, position = world.partner(current_outstanding=1_000), world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation = world.operation("FAILED", kind="repay")
    repayment = world.repayment(loan, 300, operation=operation)
    world.repayment(loan, 200)

    changes, _ = changed_by(lambda: settle_repayment(repayment, operation))

    assert changes[loan.pk] == {"updated_at": NOW}


@pytest.mark.parametrize("state", ["CONFIRMED", "FAILED"])
@pytest.mark.parametrize("status", ["SETTLED", "FAILED"])
def test_a_repayment_that_is_not_pending_is_a_named_invariant(world: BooksRows, state: str, status: str) -> None:
    partner, position = world.partner(current_outstanding=1_000), world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation = paying(world, position, 300, (700, 0)) if state == "CONFIRMED" else world.operation(state, kind="repay")
    repayment = world.repayment(loan, 300, operation=operation, status=status)
    before = everything()
    with pytest.raises(InvariantViolation, match=f"M3: repayment {repayment.pk} is not pending any more"):
        run_in_transaction(lambda: settle_repayment(repayment, operation))
    assert everything() == before


def test_funds_that_were_never_claimed_are_not_given_back(world: BooksRows) -> None:
    partner, position = world.partner(current_outstanding=1_000), world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation, transfer = world.operation("FAILED", kind="repay"), world.transfer(500, 299)
    repayment = world.repayment(
        loan, 300, operation=operation, funding=FundingSource.TRANSFER, funding_transfer=transfer
    )
    before = everything()
    with pytest.raises(InvariantViolation, match=f"M3: repayment {repayment.pk} never claimed 300"):
        run_in_transaction(lambda: settle_repayment(repayment, operation))
    assert everything() == before


@pytest.mark.parametrize("changed", [{"status": "DEFAULTED"}, {"outstanding_principal": 999}, {"total_repaid": 1}])
def test_a_loan_that_changed_since_it_was_read_is_not_credited(
    world: BooksRows, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    partner, position = world.partner(current_outstanding=1_000), world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation = paying(world, position, 300, (700, 0))
    repayment = world.repayment(loan, 300, operation=operation)
    apply_payment = apply.apply_payment

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        found = apply_payment(*args, **kwargs)
        PartnerLoan.objects.filter(pk=loan.pk).update(**changed)
        return found

    monkeypatch.setattr("loans.services.settle_repayment.apply_payment", overtaken)
    with pytest.raises(
        InvariantViolation, match=f"M4: loan {loan.internal_loan_id} changed while it was being credited"
    ):
        run_in_transaction(lambda: settle_repayment(repayment, operation))


def movement(position: SolvencyPosition, *, order: tuple[int, int] = (BLOCK, 3), after: Any = None) -> Movement:
    return Movement(
        position_id=position.position_id,
        block_number=order[0],
        log_index=order[1],
        timestamp=MOMENT,
        tx_hash="0x" + "ab" * 32,
        block_hash=BLOCK_HASH,
        after=after,
    )


@pytest.mark.parametrize("changed", [{"ledger_order": BEFORE + 1}, {"total_partner_debt": 1_001}])
def test_a_position_that_moved_since_it_was_read_is_contended(
    world: BooksRows, changed: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    position = world.position(**at_the_pool(1_000))
    read = apply.position_row

    def overtaken(position_id: int) -> SolvencyPosition:
        row = read(position_id)
        SolvencyPosition.objects.filter(pk=row.pk).update(**changed)
        return row

    monkeypatch.setattr(apply, "position_row", overtaken)
    with pytest.raises(LedgerContended, match=f"position {position.position_id} moved meanwhile"):
        run_in_transaction(lambda: apply.apply_user_draw(movement(position), 5))


@pytest.mark.parametrize("order", [(BLOCK - 1, 0), (BLOCK - 2, 9)])
def test_an_event_that_the_ledger_is_past_is_refused_with_its_place(world: BooksRows, order: tuple[int, int]) -> None:
    position = world.position(**at_the_pool(1_000))
    with pytest.raises(LedgerPassed, match=f"past block {order[0]}") as passed:
        apply.apply_user_draw(movement(position, order=order), 5)
    assert (passed.value.position_id, passed.value.order) == (position.position_id, order_of(*order))


def test_an_event_of_a_position_that_is_not_mirrored_waits(world: BooksRows) -> None:
    position = world.position()
    SolvencyPosition.objects.filter(pk=position.pk).delete()
    with pytest.raises(LedgerGap, match=f"position {position.position_id} is not mirrored yet"):
        apply.apply_user_draw(movement(position), 5)


@pytest.mark.parametrize("status", ["PENDING", "FAILED"])
def test_a_payment_of_a_loan_that_is_not_drawn_waits_for_its_draw(world: BooksRows, status: str) -> None:
    position = world.position(**at_the_pool(1_000))
    loan = world.loan(world.partner(), position, 1_000, status)
    with pytest.raises(LedgerGap, match=f"loan {loan.internal_loan_id} is {status}: its draw comes first"):
        apply.apply_payment(movement(position), lambda debt: (debt, {}), target=loan)


def test_loans_that_owe_more_than_their_position_are_a_named_invariant(world: BooksRows) -> None:
    position = world.position(**at_the_pool(999))
    world.loan(world.partner(), position, 1_000)
    with pytest.raises(InvariantViolation, match="M5: the loans of a position owe more than it does"):
        apply.apply_liquidation(movement(position), 10)


@pytest.mark.parametrize(("carried", "holds"), [(299, False), (300, True)])
def test_a_position_never_carries_less_than_no_partner_debt(world: BooksRows, carried: int, holds: bool) -> None:
    partner = world.partner(current_outstanding=1_000)
    position = world.position(**at_the_pool(1_000, total_partner_debt=carried))
    loan = world.loan(partner, position, 1_000, repayment_in_flight=True)
    operation = paying(world, position, 300, (700, 0))
    repayment = world.repayment(loan, 300, operation=operation)
    if holds:
        changes, _ = changed_by(lambda: settle_repayment(repayment, operation))
        assert changes[position.pk]["total_partner_debt"] == 0
    else:
        with pytest.raises(InvariantViolation, match=f"M4: position {position.position_id} does not carry 300"):
            run_in_transaction(lambda: settle_repayment(repayment, operation))


def event(position: SolvencyPosition, **args: Any) -> ChainEvent:
    return ChainEvent(
        block_number=BLOCK,
        log_index=3,
        block_hash=BLOCK_HASH,
        block_time=MOMENT,
        tx_hash="0x" + "ab" * 32,
        name="SolvencyVault.any",
        position_id=position.position_id,
        args={name: str(value) for name, value in args.items()},
    )


def test_a_users_payment_goes_to_the_oldest_loan_then_to_their_own_debt_and_last_to_what_is_being_repaid(
    world: BooksRows,
) -> None:
    partner = world.partner(current_outstanding=600, active_loans=3)
    position = world.position(**at_the_pool(600, pool_principal=1_000, total_partner_debt=600))
    busy = world.loan(partner, position, 100, draw_order=1, repayment_in_flight=True)
    newer = world.loan(partner, position, 300, draw_order=3)
    older = world.loan(partner, position, 200, draw_order=2)

    def pay(amount: int) -> dict[Any, int]:
        changes, _ = changed_by(lambda: onchain.user_repaid(movement(position), event(position, amount=amount)))
        return {key: row["total_repaid"] for key, row in changes.items() if "total_repaid" in row and key != partner.pk}

    assert pay(250) == {older.pk: 200, newer.pk: 50}
    world_order = order_of(BLOCK, 4)
    position.refresh_from_db()
    assert position.ledger_order == world_order - 1
    changes, made = changed_by(
        lambda: onchain.user_repaid(movement(position, order=(BLOCK, 4)), event(position, amount=700))
    )
    assert changes[newer.pk]["status"] == "REPAID"
    assert changes[busy.pk]["total_repaid"] == 50
    assert "repayment_in_flight" not in changes[busy.pk]
    assert changes[position.pk]["pool_principal"] == 50
    assert {row["repaid_by"] for row in made if row[""] == "Repayment"} == {"USER"}
    assert {row["amount"] for row in made if row[""] == "Repayment"} == {250, 50}


def test_a_users_own_draw_is_their_debt_and_none_of_the_partners(world: BooksRows) -> None:
    position = world.position(
        **at_the_pool(600, loans_accrued_scaled=2, pool_accrued_scaled=5, pool_rate_bps=RATE, pool_since=MOMENT - 4)
    )

    changes, (entry,) = changed_by(lambda: onchain.user_drew(movement(position), event(position, amount=70)))

    growth = RATE * 4
    assert changes == {
        position.pk: {
            "pool_principal": 670,
            "pool_accrued_scaled": 5 + 600 * growth,
            "pool_since": MOMENT,
            "loans_accrued_scaled": 2 + 600 * growth,
            "ledger_order": ORDER,
        }
    }
    assert (entry["kind"], entry["amount"], entry["loan_id"]) == ("DRAW", 70, None)


def test_a_liquidation_pays_each_loan_its_share_and_writes_the_rest_off(world: BooksRows) -> None:
    partner, other = (
        world.partner(current_outstanding=3_000, active_loans=1),
        world.partner(current_outstanding=1_000, active_loans=2),
    )
    accrued = 400 * SCALE
    position = world.position(
        **at_the_pool(
            4_000,
            pool_accrued_scaled=accrued,
            loans_accrued_scaled=accrued,
            pool_rate_bps=RATE,
            total_partner_debt=4_000,
        )
    )
    large = world.loan(partner, position, 3_000, interest_rate_bps=RATE, accrued_scaled=300 * SCALE)
    small = world.loan(
        other, position, 1_000, "DEFAULTED", interest_rate_bps=RATE, accrued_scaled=100 * SCALE, prior_principal=3_000,
        prior_accrued_scaled=300 * SCALE, next_due_at=TIME,
    )  # fmt: skip

    changes, made = changed_by(lambda: onchain.liquidated(movement(position), event(position, debtPaid=440)))

    assert changes[large.pk] == {
        "status": "LIQUIDATED",
        "bearing_principal": 0,
        "accrued_scaled": 0,
        "outstanding_principal": 0,
        "interest_paid": 300,
        "total_repaid": 330,
        "written_off_principal": 2_970,
        "liquidated_at": TIME,
        "last_repayment_at": TIME,
        "default_day": DAY,
        "repay_tx_hash": "0x" + "ab" * 32,
        "updated_at": NOW,
        **proven_by("0x" + "ab" * 32),
    }
    assert changes[usage_of(partner)] == {"repaid": 330, "defaulted_loans": 1}
    assert changes[usage_of(other)] == {"repaid": 110, "defaulted_loans": 1}
    assert history(large) == [SettledPayment(330, TIME, "0x" + "ab" * 32, "LIQUIDATION", ORDER)]
    assert history(small) == [SettledPayment(110, TIME, "0x" + "ab" * 32, "LIQUIDATION", ORDER)]
    assert (changes[small.pk]["total_repaid"], changes[small.pk]["next_due_at"]) == (110, None)
    assert (changes[small.pk]["written_off_principal"], changes[small.pk]["prior_principal"]) == (990, 0)
    assert changes[partner.pk] == {"current_outstanding": 0, "total_repaid": 330, "active_loans": 0}
    assert changes[other.pk] == {"current_outstanding": 0, "total_repaid": 110, "active_loans": 1}
    assert changes[position.pk] == {
        "pool_principal": 0,
        "pool_accrued_scaled": 0,
        "loans_principal": 0,
        "loans_accrued_scaled": 0,
        "total_partner_debt": 0,
        "ledger_order": ORDER,
    }
    assert sorted(row["amount"] for row in made if row[""] == "Repayment") == [110, 330]
    (entry,) = [row for row in made if row[""] == "LedgerEntry"]
    assert (entry["kind"], entry["amount"]) == ("LIQUIDATION", 440)
    written = {target: after["writtenOff"] for _, target, _, after in told() if after}
    assert written == {f"loan:{large.internal_loan_id}": "2970", f"loan:{small.internal_loan_id}": "990"}


def test_a_liquidation_that_covers_not_even_the_interest_writes_principal_and_interest_off(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=3_000, active_loans=1)
    accrued = 300 * SCALE
    position = world.position(
        **at_the_pool(
            3_000,
            pool_accrued_scaled=accrued,
            loans_accrued_scaled=accrued,
            pool_rate_bps=RATE,
            total_partner_debt=3_000,
        )
    )
    loan = world.loan(partner, position, 3_000, interest_rate_bps=RATE, accrued_scaled=accrued)

    changes, _ = changed_by(lambda: onchain.liquidated(movement(position), event(position, debtPaid=33)))

    names = ("interest_paid", "total_repaid", "written_off_principal", "written_off_interest")
    assert {name: changes[loan.pk][name] for name in names} == dict(zip(names, (33, 33, 3_000, 267), strict=True))
    assert changes[partner.pk] == {"current_outstanding": 0, "total_repaid": 33, "active_loans": 0}
    ((_, _, _, after),) = told()
    assert after == {"status": "LIQUIDATED", "recovered": "33", "writtenOff": "3267", "txHash": "0x" + "ab" * 32}


def test_a_liquidation_that_recovered_nothing_makes_no_repayment(world: BooksRows) -> None:
    partner = world.partner(current_outstanding=1_000, active_loans=1)
    position = world.position(**at_the_pool(1_000))
    loan = world.loan(partner, position, 1_000)

    changes, made = changed_by(lambda: onchain.liquidated(movement(position), event(position, debtPaid=0)))

    assert [row[""] for row in made] == ["LedgerEntry"]
    assert changes[loan.pk] == {
        "status": "LIQUIDATED",
        "bearing_principal": 0,
        "outstanding_principal": 0,
        "written_off_principal": 1_000,
        "default_day": DAY,
        "liquidated_at": TIME,
        "repay_tx_hash": "0x" + "ab" * 32,
        "updated_at": NOW,
        **proven_by("0x" + "ab" * 32),
    }
    assert changes[partner.pk] == {"current_outstanding": 0, "active_loans": 0}
    assert not Repayment.objects.filter(loan=loan).exists()


def test_in_flight_on_the_account_is_what_it_will_pay_and_nothing_that_is_pulled(world: BooksRows) -> None:
    Repayment.objects.update(status="FAILED")  # the bystanders'
    loan = world.loan(world.partner(), world.position())
    by_transfer = world.repayment(loan, 1, funding=FundingSource.TRANSFER, funding_transfer=world.transfer(9, 9))
    on_trust = world.repayment(loan, 2, funding=FundingSource.TRUSTED)
    world.repayment(loan, 3)  # pulled
    world.repayment(loan, 4, funding=FundingSource.TRUSTED, status="SETTLED")
    assert set(trusted.in_flight_query()) == {by_transfer, on_trust}


def test_what_the_pool_was_owed_before_the_first_event_follows_from_that_event(world: BooksRows) -> None:
    position = world.position()
    first = movement(position, after=PoolDebt(principal=700, accrued=9, rate_bps=RATE))
    for drawn, paid, principal in ((0, 0, 700), (200, 0, 500), (0, 300, 1_000)):
        before = apply._sums_before(position, first, **({"drawn": drawn} if drawn else {"paid": paid}))
        assert before == PositionSums(Part(principal, 9), Part(0, 0), RATE, MOMENT)
    assert apply._sums_before(position, first) == PositionSums(Part(700, 9), Part(0, 0), RATE, MOMENT)
