"""What acceptance takes hold of, row by row: an OAID's credit, a transfer's funds, a loan for its repayment."""

from typing import Any

import pytest

from loans.funding.sources import Funds
from loans.models import FundingSource, OaidCredit, PartnerLoan
from loans.positions import credit
from loans.positions.credit import CreditContended, CreditLimit, ReadingTooOld
from loans.services import reservations
from loans.services.open_repayment import hold_loan, operation_key
from loans.stopping import wallets
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, PlatformError
from partner_platform.core.invariants import InvariantViolation
from tests.support.books_rows import BLOCK, DAY, MOMENT, BooksRows, changed_by, everything

OAID, WALLET = 777, "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"


def credit_row(**fields: Any) -> OaidCredit:
    values = {"reserved": 300, "version": 5, "settled_block": BLOCK}
    return OaidCredit.objects.create(oaid_token_id=OAID, **{**values, **fields})


def limit(headroom: int = 1_000, block: int = BLOCK, seen: int | None = None) -> CreditLimit:
    return CreditLimit(OAID, headroom, block, seen_version=seen)


@pytest.mark.parametrize("seen", [None, 5])
@pytest.mark.parametrize(("amount", "left"), [(700, 0), (699, 1), (1, 699)])
def test_what_the_reading_leaves_is_reserved_to_the_last_base_unit(
    world: BooksRows, amount: int, left: int, seen: int | None
) -> None:
    row = credit_row()
    remaining: list[int] = []
    changes, made = changed_by(lambda: remaining.append(credit.reserve_credit(limit(seen=seen), amount)))
    assert (remaining, made) == ([left], [])
    assert changes == {row.pk: {"reserved": 300 + amount, "version": 6}}


@pytest.mark.parametrize(
    ("fields", "how", "amount", "error"),
    [
        ({}, limit(block=BLOCK - 1), 1, ReadingTooOld),
        ({}, limit(block=BLOCK - 1, seen=5), 1, ReadingTooOld),
        ({}, limit(seen=4), 1, ReadingTooOld),
        ({}, limit(seen=6), 1, ReadingTooOld),
        ({}, limit(), 701, CreditContended),
        ({"reserved": 0}, limit(), 1_001, ErrorCode.INSUFFICIENT_CREDIT),
        ({}, limit(seen=5), 701, ErrorCode.INSUFFICIENT_CREDIT),
        ({"frozen": True}, limit(), 1, ErrorCode.POSITION_FROZEN),
    ],
    ids=["old", "old, judged", "moved", "moved on", "contended", "too much", "too much, judged", "frozen"],
)
def test_what_stands_against_it_is_named_and_nothing_is_reserved(
    world: BooksRows, fields: dict[str, Any], how: CreditLimit, amount: int, error: Any
) -> None:
    credit_row(**fields)
    before = everything()
    with pytest.raises(PlatformError if isinstance(error, ErrorCode) else error) as refused:
        run_in_transaction(lambda: credit.reserve_credit(how, amount))
    if isinstance(error, ErrorCode):
        assert refused.value.code == error
    if error == ErrorCode.INSUFFICIENT_CREDIT:
        assert refused.value.details == {"availableCredit": str(1_000 - fields.get("reserved", 300))}
    assert everything() == before


def test_an_oaid_without_a_row_gets_one_and_the_transaction_runs_again(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner, ran, reserve = world.partner(), [], credit.reserve_credit

    def count_and_reserve(limit: CreditLimit, amount: int) -> int:
        ran.append(amount)
        return reserve(limit, amount)

    monkeypatch.setattr(credit, "reserve_credit", count_and_reserve)
    wallets.ensure_wallet(WALLET)

    def reserve_ten() -> int:
        return reservations.reserve_and(
            lambda remaining: remaining, partner=partner, user_wallet=WALLET, limit=limit(), amount=10, day=DAY
        )

    assert reserve_ten() == 990
    assert len(ran) == 2
    assert reserve_ten() == 980
    assert len(ran) == 3
    row = OaidCredit.objects.get(oaid_token_id=OAID)
    assert (row.reserved, row.version, row.settled_block) == (20, 2, 0)
    partner.refresh_from_db()
    assert partner.current_outstanding == 20
    before = everything()
    credit.ensure_row(OAID)
    assert everything() == before


@pytest.mark.parametrize(
    ("block", "settled"), [(BLOCK - 1, None), (BLOCK, None), (BLOCK + 1, BLOCK + 1)], ids=["older", "same", "newer"]
)
def test_a_loan_that_landed_ends_its_reservation_and_the_newest_landing_is_remembered(
    world: BooksRows, block: int, settled: int | None
) -> None:
    row = credit_row()
    changes, _ = changed_by(lambda: credit.end_reservation(OAID, 300, block))
    remembered = {} if settled is None else {"settled_block": settled}
    assert changes == {row.pk: {"reserved": 0, "version": 6, **remembered}}


def test_a_reservation_is_given_back_and_taken_again(world: BooksRows) -> None:
    row = credit_row()
    changes, _ = changed_by(lambda: credit.release_reservation(OAID, 300))
    assert changes == {row.pk: {"reserved": 0, "version": 6}}
    changes, _ = changed_by(lambda: credit.restore_reservation(OAID, 250))
    assert changes == {row.pk: {"reserved": 250, "version": 7}}


@pytest.mark.parametrize(
    "act", [credit.release_reservation, lambda oaid, amount: credit.end_reservation(oaid, amount, BLOCK + 1)]
)
@pytest.mark.parametrize("oaid", [OAID, 778])
def test_a_reservation_that_is_not_held_is_a_named_invariant(world: BooksRows, act: Any, oaid: int) -> None:
    credit_row()
    before = everything()
    with pytest.raises(InvariantViolation, match=f"M1: OAID {oaid} holds no reservation of 301"):
        run_in_transaction(lambda: act(oaid, 301))
    assert everything() == before


def test_a_reservation_of_an_oaid_that_is_not_there_is_not_taken_again(world: BooksRows) -> None:
    with pytest.raises(InvariantViolation, match="M1: OAID 778 holds no reservation of 1"):
        credit.restore_reservation(778, 1)


@pytest.mark.parametrize(("unused", "claimed"), [(200, 150), (150, 150), (149, 100), (100, 100)])
def test_a_payoff_claims_what_may_be_owed_when_it_lands_where_the_transfer_has_it(
    world: BooksRows, unused: int, claimed: int
) -> None:
    transfer = world.transfer(1_000, 1_000 - unused)
    found: list[int] = []
    funds = Funds(FundingSource.TRANSFER, transfer)
    changes, _ = changed_by(lambda: found.append(funds.claim(100, 150)))
    assert found == [claimed]
    assert changes == {transfer.pk: {"used": 1_000 - unused + claimed}}


def test_what_is_pulled_claims_nothing(world: BooksRows) -> None:
    before = everything()
    assert Funds(FundingSource.PULLED).claim(100, 150) == 100
    assert everything() == before


def a_loan(world: BooksRows, status: str = "ACTIVE", **fields: Any) -> PartnerLoan:
    position = world.position(pool_principal=1_000, loans_principal=1_000, pool_since=MOMENT)
    return world.loan(world.partner(), position, 1_000, status, **fields)


@pytest.mark.parametrize("status", ["ACTIVE", "DEFAULTED"])
def test_a_loan_is_held_for_its_repayment(world: BooksRows, status: str) -> None:
    loan = a_loan(world, status)
    changes, _ = changed_by(lambda: hold_loan(loan, 300, MOMENT))
    assert changes == {loan.pk: {"repayment_in_flight": True}}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"repayment_in_flight": True}, ErrorCode.REPAYMENT_IN_PROGRESS),
        ({"status": "REPAID"}, ErrorCode.LOAN_ALREADY_REPAID),
        ({"status": "LIQUIDATED"}, ErrorCode.LOAN_NOT_REPAYABLE),
        ({"outstanding_principal": 999}, ErrorCode.REPAYMENT_IN_PROGRESS),
        ({"bearing_principal": 999}, ErrorCode.REPAYMENT_IN_PROGRESS),
        ({"bearing_principal": 299}, ErrorCode.REPAYMENT_EXCEEDS_DEBT),
        ({"interest_since": MOMENT + 1}, ErrorCode.REPAYMENT_IN_PROGRESS),
    ],
    ids=["taken", "repaid", "liquidated", "principal", "bearing", "owes less now", "terms"],
)
def test_a_loan_that_changed_since_it_was_read_is_not_held(
    world: BooksRows, changed: dict[str, Any], code: ErrorCode
) -> None:
    loan = a_loan(world)
    PartnerLoan.objects.filter(pk=loan.pk).update(**changed)
    before = everything()
    with pytest.raises(PlatformError) as refused:
        run_in_transaction(lambda: hold_loan(loan, 300, MOMENT))
    assert refused.value.code == code
    assert everything() == before


def test_the_name_of_a_repayments_operation(world: BooksRows) -> None:
    repayment = world.repayment(a_loan(world), 300)
    assert operation_key(repayment.pk) == f"repay:{repayment.pk}"
