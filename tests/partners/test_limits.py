"""No interleaving of borrows passes a limit by a base unit (M1), and the sums stay what the loans add up to (M4)."""

import datetime as dt
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Forbidden
from partner_platform.core.invariants import InvariantViolation
from partners import limits, services
from partners.models import Partner, PartnerDailyUsage, PartnerStatus
from tests.factories import DOLLAR, PartnerFactory
from tests.support.acting import staff

DAY = dt.date(2026, 1, 5)
NEXT_DAY = dt.date(2026, 1, 6)
THREADS = 16


def reserve(partner: Partner, amount: int, day: dt.date = DAY, **kwargs: Any) -> None:
    limits.ensure_day(partner_id=partner.pk, day=day)
    run_in_transaction(lambda: limits.reserve_limits(partner_id=partner.pk, amount=amount, day=day, **kwargs))


def sums(partner: Partner, day: dt.date = DAY) -> tuple[int, int]:
    """What is borrowed of the day, and outstanding."""
    usage = PartnerDailyUsage.objects.filter(partner_id=partner.pk, day=day).first()
    return (usage.borrowed if usage else 0, Partner.objects.get(pk=partner.pk).current_outstanding)


def in_threads(work: Callable[[], object], times: int) -> list[object]:
    """`work` that many times in THREADS threads; what each returned or raised."""

    def run(_: int) -> object:
        try:
            return work()
        except Forbidden as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(times)))


@pytest.mark.django_db(transaction=True)
def test_sixteen_threads_never_pass_the_daily_limit_by_a_base_unit() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=10 * DOLLAR, total_borrow_limit=10**15)
    outcomes = in_threads(lambda: reserve(partner, 3 * DOLLAR + 1), times=THREADS)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Forbidden)]
    assert len(refused) == THREADS - 3
    assert {error.code for error in refused} == {ErrorCode.DAILY_LIMIT_EXCEEDED}
    assert sums(partner) == (9 * DOLLAR + 3, 9 * DOLLAR + 3)


@pytest.mark.django_db(transaction=True)
def test_sixteen_threads_never_pass_the_total_limit_by_a_base_unit() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=10**15, total_borrow_limit=10 * DOLLAR)
    outcomes = in_threads(lambda: reserve(partner, 5 * DOLLAR, daily_limit=10**15), times=THREADS)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Forbidden)]
    assert len(refused) == THREADS - 2
    assert {error.code for error in refused} == {ErrorCode.TOTAL_LIMIT_EXCEEDED}
    assert sums(partner) == (10 * DOLLAR, 10 * DOLLAR)


@pytest.mark.django_db(transaction=True)
def test_reserving_and_releasing_in_threads_ends_where_it_began() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=10**15, total_borrow_limit=10**15)

    def there_and_back() -> None:
        reserve(partner, 7)
        run_in_transaction(lambda: limits.release_limits(partner_id=partner.pk, amount=7, day=DAY))

    assert in_threads(there_and_back, times=2 * THREADS) == [None] * 2 * THREADS
    assert sums(partner) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_a_days_row_made_by_sixteen_threads_at_once_is_one_row() -> None:
    partner = PartnerFactory.create()

    def ensure() -> None:
        limits._known_days.clear()
        limits.ensure_day(partner_id=partner.pk, day=DAY)

    assert in_threads(ensure, times=THREADS) == [None] * THREADS
    assert PartnerDailyUsage.objects.filter(partner_id=partner.pk).count() == 1


@pytest.mark.django_db
def test_the_whole_limit_can_be_used_and_not_one_base_unit_more() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=100, total_borrow_limit=150)
    reserve(partner, 100)
    with pytest.raises(Forbidden, match=r"^Partner daily limit exceeded\. Remaining: \$0$") as daily:
        reserve(partner, 1)
    assert daily.value.details == {"remaining": "0"}
    with pytest.raises(Forbidden, match=r"^Partner total limit exceeded\. Remaining: \$0\.00005$") as total:
        reserve(partner, 51, day=NEXT_DAY)
    assert total.value.details == {"remaining": "50"}
    reserve(partner, 50, day=NEXT_DAY)
    assert sums(partner) == (100, 150)
    assert sums(partner, NEXT_DAY) == (50, 150)


@pytest.mark.django_db
def test_where_both_limits_are_passed_the_daily_one_is_told() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=3_000 * DOLLAR, total_borrow_limit=2_000 * DOLLAR)
    with pytest.raises(Forbidden, match=r"daily limit exceeded\. Remaining: \$3000$"):
        reserve(partner, 3_001 * DOLLAR)
    assert sums(partner) == (0, 0)


@pytest.mark.django_db
def test_a_refused_reservation_leaves_nothing_behind() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=100, total_borrow_limit=10**9)
    reserve(partner, 60)
    with pytest.raises(Forbidden, match=r"Remaining: \$0\.00004$"):
        reserve(partner, 41)
    assert sums(partner) == (60, 60)


@pytest.mark.django_db
@pytest.mark.parametrize("seen", [None, 1_000, 100])
def test_a_limit_lowered_since_it_was_read_counts(seen: int | None) -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000)
    services.update_partner(partner=partner, actor=staff("ann"), daily_borrow_limit="100")
    with pytest.raises(Forbidden) as refused:
        reserve(partner, 101, daily_limit=seen)
    assert refused.value.details == {"remaining": "100"}
    reserve(partner, 100, daily_limit=seen)
    assert sums(partner) == (100, 100)


@pytest.mark.django_db
def test_a_limit_raised_since_it_was_read_counts() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=100)
    services.update_partner(partner=partner, actor=staff("ann"), daily_borrow_limit="1000")
    reserve(partner, 1_000, daily_limit=100)
    assert sums(partner) == (1_000, 1_000)


@pytest.mark.django_db
def test_a_limit_below_what_is_used_leaves_nothing_not_less() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000)
    reserve(partner, 900)
    services.update_partner(partner=partner, actor=staff("ann"), daily_borrow_limit="100")
    with pytest.raises(Forbidden, match=r"Remaining: \$0$"):
        reserve(partner, 1)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [PartnerStatus.SUSPENDED, PartnerStatus.INACTIVE])
def test_a_partner_suspended_after_it_authenticated_reserves_nothing(status: str) -> None:
    partner = PartnerFactory.create(status=status)
    with pytest.raises(Forbidden, match=f"^Partner account is {status.lower()}$") as refused:
        reserve(partner, 1, daily_limit=partner.daily_borrow_limit)
    assert refused.value.code == ErrorCode.PARTNER_NOT_ACTIVE
    assert sums(partner) == (0, 0)


@pytest.mark.django_db
def test_a_reservation_costs_two_queries_where_the_limit_is_known_and_three_where_not(
    django_assert_num_queries: Any,
) -> None:
    partner = PartnerFactory.create()
    limits.ensure_day(partner_id=partner.pk, day=DAY)
    seen: dict[str, Any] = {"daily_limit": partner.daily_borrow_limit, "total": limits.total_of(partner)}
    with django_assert_num_queries(2):
        limits.reserve_limits(partner_id=partner.pk, amount=1, day=DAY, **seen)
    with django_assert_num_queries(3):
        limits.reserve_limits(partner_id=partner.pk, amount=1, day=DAY)
    with django_assert_num_queries(0):
        limits.ensure_day(partner_id=partner.pk, day=DAY)


@pytest.mark.django_db
def test_reserving_on_a_day_nobody_made_is_a_bug_with_a_name() -> None:
    partner = PartnerFactory.create()
    with pytest.raises(limits.DayMissing):
        limits.reserve_limits(partner_id=partner.pk, amount=1, day=DAY)


@pytest.mark.django_db
def test_sums_that_would_go_below_zero_are_named_invariants_and_do_not_move() -> None:
    partner = PartnerFactory.create()
    reserve(partner, 10)
    for work in (
        lambda: limits.release_limits(partner_id=partner.pk, amount=11, day=DAY),
        lambda: limits.release_limits(partner_id=partner.pk, amount=10, day=NEXT_DAY),
        lambda: limits.count_repaid(partner_id=partner.pk, amount=11),
        lambda: limits.count_borrowed(partner_id=NOBODY, amount=1),
    ):
        with pytest.raises(InvariantViolation):
            run_in_transaction(work)
    assert Partner.objects.get(pk=partner.pk).total_repaid == 0


NOBODY = uuid.UUID("00000000-0000-4000-8000-000000000000")


@pytest.mark.django_db
@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_below_one_base_unit_moves_nothing(amount: int) -> None:
    partner = PartnerFactory.create(current_outstanding=5)
    for work in (
        lambda: limits.reserve_limits(partner_id=partner.pk, amount=amount, day=DAY),
        lambda: limits.release_limits(partner_id=partner.pk, amount=amount, day=DAY),
        lambda: limits.count_borrowed(partner_id=partner.pk, amount=amount),
        lambda: limits.count_repaid(partner_id=partner.pk, amount=amount),
    ):
        with pytest.raises(ValueError, match="at least 1 base unit"):
            work()
    assert sums(partner) == (0, 5)


STEPS = st.lists(st.tuples(st.sampled_from(["borrow", "fail", "repay"]), st.integers(1, 60)), max_size=25)


class AnyHistory(TestCase):
    @given(steps=STEPS)
    @settings(max_examples=30, deadline=None)
    def test_after_any_history_the_sums_equal_what_the_loans_add_up_to(self, steps: list[tuple[str, int]]) -> None:
        partner = PartnerFactory.create(daily_borrow_limit=150, total_borrow_limit=100)
        pending: list[int] = []
        used = outstanding = borrowed = repaid = 0
        for step, amount in steps:
            if step == "borrow":
                fits = used + amount <= 150 and outstanding + amount <= 100
                try:
                    reserve(partner, amount)
                except Forbidden:
                    assert not fits
                else:
                    assert fits
                    pending.append(amount)
                    used, outstanding = used + amount, outstanding + amount
            elif step == "fail" and pending:
                failed = pending.pop()
                limits.release_limits(partner_id=partner.pk, amount=failed, day=DAY)
                used, outstanding = used - failed, outstanding - failed
            elif step == "repay" and pending:
                settled = pending.pop()
                limits.count_borrowed(partner_id=partner.pk, amount=settled)
                limits.count_repaid(partner_id=partner.pk, amount=settled)
                borrowed, repaid, outstanding = borrowed + settled, repaid + settled, outstanding - settled
        row = Partner.objects.get(pk=partner.pk)
        assert sums(partner) == (used, outstanding)
        assert (row.total_borrowed, row.total_repaid) == (borrowed, repaid)
