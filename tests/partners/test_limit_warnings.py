"""A partner is warned where what it uses passes 80 % or 100 % of a limit: in that very transaction, and once."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from events.models import Event
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import Forbidden
from partners import limits, services
from partners.models import OutgoingMail, Partner, PartnerDailyUsage
from partners.notices.limit_marks import LimitUse, amounts_between_marks, mark_of, marks_passed
from tests.core.concurrency import at_once
from tests.factories import PartnerFactory
from tests.support.acting import staff
from tests.support.events import bodies, data_of

NOW = dt.datetime(2026, 1, 5, 9, 30, tzinfo=dt.UTC)
DAY, NEXT_DAY = NOW.date(), dt.date(2026, 1, 6)
WIDE = 10**15


@pytest.fixture(autouse=True)
def at_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "timezone", SimpleNamespace(now=lambda: NOW))


def reserve(partner: Partner, amount: int, day: dt.date = DAY) -> int:
    """As an accepted borrow reserves, with the partner as it is authenticated; returns the number of statements."""
    seen = Partner.objects.get(pk=partner.pk)
    return _reserve_as(seen, amount, day)


def _reserve_as(seen: Partner, amount: int, day: dt.date = DAY) -> int:
    limits.ensure_day(partner_id=seen.pk, day=day)
    with CaptureQueriesContext(connection) as queries:
        run_in_transaction(
            lambda: limits.reserve_limits(
                partner_id=seen.pk,
                amount=amount,
                day=day,
                daily_limit=seen.daily_borrow_limit,
                total=limits.total_of(seen),
            )
        )
    return sum("UPDATE" in query["sql"] or "SELECT" in query["sql"] for query in queries.captured_queries)


def release(partner: Partner, amount: int, day: dt.date = DAY) -> None:
    run_in_transaction(lambda: limits.release_limits(partner_id=partner.pk, amount=amount, day=day))


def warned(partner: Partner) -> list[tuple[Any, ...]]:
    data = data_of(partner, "partner.limit_warning")
    return [(one["limitType"], one["percentage"], one["used"], one["limit"], one["day"]) for one in data]


@pytest.mark.parametrize(
    ("limit", "eighty"), [(100, 80), (1, 1), (3, 3), (99, 80), (101, 81), (2**63 - 1, 7_378_697_629_483_820_646)]
)
def test_a_mark_is_the_smallest_amount_that_is_so_much_of_the_limit(limit: int, eighty: int) -> None:
    assert (mark_of(limit, 80), mark_of(limit, 100)) == (eighty, limit)
    assert (eighty - 1) * 100 < limit * 80 <= eighty * 100


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [(0, 79, ()), (79, 80, (80,)), (80, 99, ()), (99, 100, (100,)), (0, 100, (80, 100)), (100, 79, ()), (80, 80, ())],
)
def test_a_mark_is_passed_by_what_reaches_it_from_below(before: int, after: int, passed: tuple[int, ...]) -> None:
    assert marks_passed(LimitUse(before, 100), LimitUse(after, 100)) == passed


def test_between_two_marks_the_same_number_of_them_is_reached() -> None:
    assert [amounts_between_marks(100, reached) for reached in (0, 1, 2)] == [(0, 80), (80, 100), None]
    assert [LimitUse(used, 100).marks_reached for used in (0, 79, 80, 99, 100, 101)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.django_db
def test_the_borrow_that_passes_80_per_cent_of_the_day_is_told_with_these_figures() -> None:
    partner = PartnerFactory.create(partner_id="partner_a", daily_borrow_limit=1_000, total_borrow_limit=WIDE)
    reserve(partner, 799)
    assert bodies(partner) == []
    reserve(partner, 1)
    (body,) = bodies(partner)
    assert Event.objects.get().number is None
    assert body == {
        "id": str(Event.objects.get().pk),
        "type": "partner.limit_warning",
        "createdAt": "2026-01-05T09:30:00Z",
        "apiVersion": body["apiVersion"],
        "partnerLoanId": None,
        "sequence": None,
        "data": {
            "partnerId": "partner_a",
            "limitType": "DAILY",
            "percentage": 80,
            "limit": "1000",
            "used": "800",
            "remaining": "200",
            "day": "2026-01-05",
        },
    }
    mail = OutgoingMail.objects.get()
    assert (mail.partner_id, mail.recipient) == (partner.pk, partner.contact_email)
    assert mail.subject == "partner_a has used 80 % of its daily limit"
    assert mail.text == (
        "partner_a has used $0.0008 of its daily borrow limit of $0.001 on 2026-01-05 (UTC).\n\n"
        "A borrow that would pass the limit is refused with 403 daily_limit_exceeded.\n"
    )


@pytest.mark.django_db
def test_the_borrow_that_passes_the_marks_of_the_total_limit_is_told() -> None:
    partner = PartnerFactory.create(partner_id="partner_a", daily_borrow_limit=WIDE, total_borrow_limit=1_000)
    reserve(partner, 850)
    reserve(partner, 150)
    assert warned(partner) == [("TOTAL", 80, "850", "1000", None), ("TOTAL", 100, "1000", "1000", None)]
    assert sorted(OutgoingMail.objects.values_list("subject", flat=True)) == [
        "partner_a has used 100 % of its total limit",
        "partner_a has used 80 % of its total limit",
    ]


@pytest.mark.django_db
def test_a_borrow_that_passes_both_marks_at_once_is_two_events_and_one_mail() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=WIDE)
    reserve(partner, 1_000)
    assert [one[:3] for one in warned(partner)] == [("DAILY", 80, "1000"), ("DAILY", 100, "1000")]
    assert "100 %" in OutgoingMail.objects.get().subject


@pytest.mark.django_db
def test_a_mark_of_the_day_is_told_once_a_day_however_often_it_is_passed() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=WIDE)
    for _ in range(3):
        reserve(partner, 800)
        release(partner, 800)
    reserve(partner, 800, day=NEXT_DAY)
    assert [(one[1], one[4]) for one in warned(partner)] == [(80, "2026-01-05"), (80, "2026-01-06")]
    assert OutgoingMail.objects.count() == 2


@pytest.mark.django_db
def test_a_mark_of_the_total_limit_is_told_again_once_it_was_fallen_below_and_mailed_once_a_day() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=WIDE, total_borrow_limit=1_000)
    for _ in range(2):
        reserve(partner, 800)
        reserve(partner, 10)
        release(partner, 11)  # 799
        release(partner, 799)
    assert [one[:3] for one in warned(partner)] == [("TOTAL", 80, "800")] * 2
    assert OutgoingMail.objects.count() == 1


@pytest.mark.django_db
def test_a_refused_borrow_warns_of_nothing() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=900)
    with pytest.raises(Forbidden):
        reserve(partner, 901)
    with pytest.raises(Forbidden):
        reserve(partner, 1_001)
    assert (bodies(partner), OutgoingMail.objects.count()) == ([], 0)
    assert Partner.objects.get(pk=partner.pk).current_outstanding == 0


@pytest.mark.django_db(transaction=True)
def test_a_warning_is_gone_with_the_transaction_that_is_rolled_back() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=1_000)
    limits.ensure_day(partner_id=partner.pk, day=DAY)

    def reserve_and_fail() -> None:
        limits.reserve_limits(partner_id=partner.pk, amount=900, day=DAY)
        assert (Event.objects.count(), OutgoingMail.objects.count()) == (2, 2)
        raise RuntimeError("the loan cannot be made")

    with pytest.raises(RuntimeError):
        run_in_transaction(reserve_and_fail)
    assert (Event.objects.count(), OutgoingMail.objects.count()) == (0, 0)
    reserve(partner, 900)
    assert sorted(one[:2] for one in warned(partner)) == [("DAILY", 80), ("TOTAL", 80)]


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor == "mongodb", reason="the statements are counted in SQL")
def test_a_borrow_that_passes_no_mark_costs_two_updates_below_80_per_cent_and_above() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=1_000)
    assert [reserve(partner, 100) for _ in range(3)] == [2, 2, 2]
    reserve(partner, 500)  # both marks of 80 %
    assert len(warned(partner)) == 2
    assert [reserve(partner, 10) for _ in range(3)] == [2, 2, 2]
    assert len(warned(partner)) == 2


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor == "mongodb", reason="the statements are counted in SQL")
def test_a_process_that_has_not_seen_the_day_pays_for_it_once() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=WIDE)
    reserve(partner, 900)
    limits._known_marks.clear()
    assert [reserve(partner, 1) for _ in range(3)] == [2 + 1 + 2, 2, 2]  # in vain, then partner and day are read
    assert len(warned(partner)) == 1


@pytest.mark.django_db
def test_a_partner_as_it_was_read_long_ago_hides_no_mark() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=WIDE, total_borrow_limit=1_000)
    seen = Partner.objects.get(pk=partner.pk)
    reserve(partner, 700)
    _reserve_as(seen, 100)  # it says that nothing is used
    assert [one[:3] for one in warned(partner)] == [("TOTAL", 80, "800")]
    _reserve_as(seen, 100)
    Partner.objects.filter(pk=partner.pk).update(total_borrow_limit=1_001)
    _reserve_as(seen, 101)
    assert [one[1:4] for one in warned(partner)] == [(80, "800", "1000"), (100, "1001", "1001")]


@pytest.mark.django_db
def test_a_total_limit_that_was_lowered_since_it_was_read_refuses_and_warns_by_its_present_value() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=WIDE, total_borrow_limit=1_000)
    seen = Partner.objects.get(pk=partner.pk)
    Partner.objects.filter(pk=partner.pk).update(total_borrow_limit=500)
    with pytest.raises(Forbidden):
        _reserve_as(seen, 501)
    _reserve_as(seen, 400)
    assert [one[1:4] for one in warned(partner)] == [(80, "400", "500")]


@pytest.mark.django_db
def test_a_total_that_fell_since_it_was_read_passes_its_mark_again() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=WIDE, total_borrow_limit=1_000)
    reserve(partner, 850)
    seen = Partner.objects.get(pk=partner.pk)
    release(partner, 150)
    _reserve_as(seen, 145)
    assert [one[1:3] for one in warned(partner)] == [(80, "850"), (80, "845")]


@pytest.mark.django_db
def test_a_daily_limit_that_is_raised_has_new_marks_for_a_process_that_knew_the_old_ones() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=WIDE)
    reserve(partner, 900)
    services.update_partner(partner=partner, actor=staff("ann"), daily_borrow_limit="2000")
    for _ in range(3):
        reserve(partner, 300)
    assert [one[1:4] for one in warned(partner)] == [(80, "900", "1000"), (80, "1800", "2000")]


@pytest.mark.django_db(transaction=True)
def test_borrows_of_16_threads_pass_each_mark_once() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_600, total_borrow_limit=1_600)
    at_once(16, lambda _: reserve(partner, 100))
    assert sorted(one[:3] for one in warned(partner)) == [
        ("DAILY", 80, "1300"),
        ("DAILY", 100, "1600"),
        ("TOTAL", 80, "1300"),
        ("TOTAL", 100, "1600"),
    ]
    assert OutgoingMail.objects.count() == 4
    assert PartnerDailyUsage.objects.get().borrowed == 1_600


@pytest.mark.django_db
def test_a_limit_that_is_lowered_to_what_is_used_is_told_and_a_raised_one_is_not() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=1_000)
    reserve(partner, 500)
    services.update_partner(partner=partner, actor=staff("ann"), daily_borrow_limit="625", total_borrow_limit="500")
    assert warned(partner) == [
        ("DAILY", 80, "500", "625", "2026-01-05"),
        ("TOTAL", 80, "500", "500", None),
        ("TOTAL", 100, "500", "500", None),
    ]
    services.update_partner(partner=partner, actor=staff("ann"), daily_borrow_limit="900", total_borrow_limit="900")
    assert len(warned(partner)) == 3
    reserve(partner, 220)  # 80 % of the new limits are new marks
    assert [one[:4] for one in warned(partner)[3:]] == [("TOTAL", 80, "720", "900"), ("DAILY", 80, "720", "900")]


@pytest.mark.django_db
def test_terms_that_are_no_limits_warn_of_nothing_however_much_is_used() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=1_000, current_outstanding=1_000)
    services.update_partner(partner=partner, actor=staff("ann"), tier="PREMIUM", daily_borrow_limit="2000")
    assert bodies(partner) == []


@pytest.mark.django_db
def test_what_a_reorg_brings_back_counts_as_it_is_used_again() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=1_000)
    limits.ensure_day(partner_id=partner.pk, day=DAY)
    run_in_transaction(lambda: limits.reserve_limits_again(partner_id=partner.pk, amount=800, day=DAY))
    assert sorted(one[:3] for one in warned(partner)) == [("DAILY", 80, "800"), ("TOTAL", 80, "800")]
    run_in_transaction(lambda: limits.count_repaid(partner_id=partner.pk, amount=500))
    run_in_transaction(lambda: limits.undo_repayment(partner_id=partner.pk, amount=500, principal=500))
    assert [one[:3] for one in warned(partner)][2:] == [("TOTAL", 80, "800")]


@pytest.mark.django_db
def test_a_failure_of_an_earlier_day_that_a_reorg_undoes_warns_of_no_daily_limit() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, total_borrow_limit=WIDE)
    earlier = dt.date(2026, 1, 4)
    limits.ensure_day(partner_id=partner.pk, day=earlier)
    run_in_transaction(lambda: limits.reserve_limits_again(partner_id=partner.pk, amount=900, day=earlier))
    assert bodies(partner) == []
