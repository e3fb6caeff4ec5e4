"""Each move of a partner's sums: by how much, of that partner and that day alone, and never below zero."""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import IntegrityError, connection

from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Forbidden, Unavailable
from partner_platform.core.invariants import InvariantViolation
from partners import limits
from partners.models import Partner, PartnerDailyUsage
from tests.factories import PartnerFactory

DAY = dt.date(2026, 1, 5)
OTHER_DAY = dt.date(2026, 1, 6)
SUMS = ("current_outstanding", "total_borrowed", "total_repaid", "active_loans", "repaid_loans")
NOBODY = uuid.UUID("00000000-0000-4000-8000-000000000000")

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Move:
    """`act(partner's key)` changes `sums`, and what is borrowed of the day, by so much."""

    act: Callable[[uuid.UUID], object]
    sums: Mapping[str, int] = field(default_factory=dict)
    of_the_day: int = 0


MOVES = {
    "reserve": Move(
        lambda key: limits.reserve_limits(partner_id=key, amount=7, day=DAY), {"current_outstanding": 7}, of_the_day=7
    ),
    "release": Move(
        lambda key: limits.release_limits(partner_id=key, amount=7, day=DAY), {"current_outstanding": -7}, of_the_day=-7
    ),
    "settle a borrow": Move(
        lambda key: limits.count_borrowed(partner_id=key, amount=7), {"total_borrowed": 7, "active_loans": 1}
    ),
    "settle three borrows": Move(
        lambda key: limits.count_borrowed(partner_id=key, amount=7, loans=3), {"total_borrowed": 7, "active_loans": 3}
    ),
    "settle a repayment": Move(
        lambda key: limits.count_repaid(partner_id=key, amount=7), {"current_outstanding": -7, "total_repaid": 7}
    ),
    "settle a repayment with interest in it": Move(
        lambda key: limits.count_repaid(partner_id=key, amount=7, principal=4),
        {"current_outstanding": -4, "total_repaid": 7},
    ),
    "settle a repayment of interest alone": Move(
        lambda key: limits.count_repaid(partner_id=key, amount=7, principal=0), {"total_repaid": 7}
    ),
    "settle the repayment that closes a loan": Move(
        lambda key: limits.count_repaid(partner_id=key, amount=7, principal=4, closes_loan=True),
        {"current_outstanding": -4, "total_repaid": 7, "active_loans": -1, "repaid_loans": 1},
    ),
    "write a loan off": Move(
        lambda key: limits.write_off(partner_id=key, principal=7), {"current_outstanding": -7, "active_loans": -1}
    ),
    "undo a repayment": Move(
        lambda key: limits.undo_repayment(partner_id=key, amount=7, principal=4),
        {"current_outstanding": 4, "total_repaid": -7},
    ),
    "undo the repayment that closed a loan": Move(
        lambda key: limits.undo_repayment(
            partner_id=key, amount=7, principal=4, counted={"active_loans": 1, "repaid_loans": -1}
        ),
        {"current_outstanding": 4, "total_repaid": -7, "active_loans": 1, "repaid_loans": -1},
    ),
    "undo a borrow": Move(
        lambda key: limits.undo_borrow(partner_id=key, amount=7), {"total_borrowed": -7, "active_loans": -1}
    ),
    "reserve again": Move(
        lambda key: limits.reserve_limits_again(partner_id=key, amount=7, day=DAY),
        {"current_outstanding": 7},
        of_the_day=7,
    ),
}


def partner_with(taken: Mapping[str, int], of_the_day: int) -> Partner:
    """A partner whose sums are just what the move takes away, and a hundred where it takes nothing."""
    held = {name: -taken.get(name, 0) if taken.get(name, 0) < 0 else 100 for name in SUMS}
    partner = PartnerFactory.create(**held, daily_borrow_limit=1_000, total_borrow_limit=1_000)
    for day in (DAY, OTHER_DAY):
        borrowed = -of_the_day if day == DAY and of_the_day < 0 else 100
        PartnerDailyUsage.objects.create(partner=partner, day=day, borrowed=borrowed)
    return partner


def everything() -> dict[Any, Any]:
    """Each partner's sums and each of its days."""
    partners = {row["pk"]: row for row in Partner.objects.values("pk", *SUMS)}
    days = {
        (row["partner_id"], row["day"]): row
        for row in PartnerDailyUsage.objects.values("partner_id", "day", "borrowed")
    }
    return {**partners, **days}


@pytest.mark.parametrize("name", MOVES)
def test_a_move_changes_the_sums_of_its_partner_and_its_day_alone(name: str) -> None:
    move = MOVES[name]
    partner, _other = partner_with(move.sums, move.of_the_day), partner_with({}, 0)
    expected = everything()
    for changed, by in move.sums.items():
        expected[partner.pk][changed] += by
    expected[partner.pk, DAY]["borrowed"] += move.of_the_day

    run_in_transaction(lambda: move.act(partner.pk))

    assert everything() == expected


@pytest.mark.parametrize(
    ("name", "what"),
    [
        (name, what)
        for name, move in MOVES.items()
        for what in (*[taken for taken, by in move.sums.items() if by < 0], *(["day"] if move.of_the_day < 0 else []))
    ],
)
def test_a_move_that_would_take_more_than_there_is_is_a_named_invariant_and_moves_nothing(name: str, what: str) -> None:
    move = MOVES[name]
    partner = partner_with(move.sums, move.of_the_day)
    if what == "day":
        PartnerDailyUsage.objects.filter(partner=partner, day=DAY).update(borrowed=-move.of_the_day - 1)
    else:
        Partner.objects.filter(pk=partner.pk).update(**{what: -move.sums[what] - 1})
    before = everything()

    with pytest.raises(InvariantViolation, match=str(partner.pk)):
        run_in_transaction(lambda: move.act(partner.pk))

    assert everything() == before


@pytest.mark.parametrize("name", MOVES)
def test_a_move_of_a_partner_that_is_not_there_is_a_named_invariant(name: str) -> None:
    partner_with({}, 0)
    before = everything()
    with pytest.raises(InvariantViolation, match=str(NOBODY)):
        run_in_transaction(lambda: MOVES[name].act(NOBODY))
    assert everything() == before


@pytest.mark.parametrize("name", ["release", "reserve again"])
def test_a_move_on_a_day_without_a_row_is_a_named_invariant(name: str) -> None:
    partner = partner_with(MOVES[name].sums, MOVES[name].of_the_day)
    PartnerDailyUsage.objects.filter(partner=partner, day=DAY).delete()
    before = everything()
    with pytest.raises(InvariantViolation, match=f"usage of {DAY}"):
        run_in_transaction(lambda: MOVES[name].act(partner.pk))
    assert everything() == before


@pytest.mark.parametrize("total_limit", [1_000, 10_000])
def test_exactly_what_both_limits_leave_is_taken_by_terms_that_changed_since_they_were_read(total_limit: int) -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=total_limit)
    limits.ensure_day(partner_id=partner.pk, day=DAY)
    run_in_transaction(lambda: limits.reserve_limits(partner_id=partner.pk, amount=1_000, day=DAY, daily_limit=100))
    assert Partner.objects.get(pk=partner.pk).current_outstanding == 1_000


def test_a_total_limit_is_told_where_the_daily_one_leaves_exactly_the_amount() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=999)
    limits.ensure_day(partner_id=partner.pk, day=DAY)
    with pytest.raises(Forbidden) as refused:
        limits.reserve_limits(partner_id=partner.pk, amount=1_000, day=DAY, daily_limit=1_000)
    assert (refused.value.code, refused.value.details) == (ErrorCode.TOTAL_LIMIT_EXCEEDED, {"remaining": "999"})


def test_terms_that_change_at_each_of_five_looks_are_503_and_nothing_is_reserved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody saves other terms between every reading and the update."""
    partner = PartnerFactory.create(daily_borrow_limit=1_000)
    limits.ensure_day(partner_id=partner.pk, day=DAY)
    read, looks = limits._read, []

    def read_and_be_overtaken(key: uuid.UUID) -> Partner:
        seen = read(key)
        looks.append(seen.daily_borrow_limit)
        Partner.objects.filter(pk=key).update(daily_borrow_limit=seen.daily_borrow_limit + 1)
        return seen

    monkeypatch.setattr(limits, "_read", read_and_be_overtaken)
    with pytest.raises(Unavailable) as refused:
        limits.reserve_limits(partner_id=partner.pk, amount=7, day=DAY, daily_limit=999)

    assert looks == [1_000, 1_001, 1_002, 1_003, 1_004]
    assert refused.value.code == ErrorCode.DATABASE_UNAVAILABLE
    assert Partner.objects.get(pk=partner.pk).current_outstanding == 0


def test_a_day_whose_row_went_missing_is_made_again() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000)
    limits.ensure_day(partner_id=partner.pk, day=DAY)
    PartnerDailyUsage.objects.all().delete()
    with pytest.raises(limits.DayMissing):
        run_in_transaction(lambda: limits.reserve_limits(partner_id=partner.pk, amount=7, day=DAY))
    limits.ensure_day(partner_id=partner.pk, day=DAY)
    run_in_transaction(lambda: limits.reserve_limits(partner_id=partner.pk, amount=7, day=DAY))
    assert PartnerDailyUsage.objects.get().borrowed == 7


@pytest.mark.skipif(connection.vendor == "mongodb", reason="MongoDB has no foreign keys")
def test_a_day_of_a_partner_that_is_not_there_is_refused_and_not_remembered() -> None:
    for _ in range(2):
        with pytest.raises(IntegrityError):
            limits.ensure_day(partner_id=NOBODY, day=DAY)
    assert not PartnerDailyUsage.objects.exists()


def test_a_day_is_made_once_for_each_partner_and_day(django_assert_num_queries: Any) -> None:
    first, second = PartnerFactory.create(), PartnerFactory.create()
    for partner, day in ((first, DAY), (second, DAY), (first, OTHER_DAY)):
        limits.ensure_day(partner_id=partner.pk, day=day)
    limits._known_days.clear()  # as another process
    with django_assert_num_queries(1):
        limits.ensure_day(partner_id=first.pk, day=DAY)
    made = set(PartnerDailyUsage.objects.values_list("partner_id", "day"))
    assert made == {(first.pk, DAY), (second.pk, DAY), (first.pk, OTHER_DAY)}
