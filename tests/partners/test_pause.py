"""The platform's pause of new borrows: exact when it is made, finished after a crash, known to new partners."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from audit.models import AuditEntry
from authority.rights import Right
from partner_platform import health
from partner_platform.core import clock, metrics
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, ErrorCode, Forbidden, Unavailable
from partners import limits, selectors, services
from partners.models import BorrowingPause, Partner
from partners.stopping import pause
from partners.tasks import carry_pause
from tests.factories import DOLLAR, PartnerFactory, open_lender
from tests.support.acting import staff

ADDRESS = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"


def flags() -> set[bool]:
    return set(Partner.objects.values_list("borrowing_paused", flat=True))


def reserve(partner: Partner) -> None:
    day = clock.today()
    limits.ensure_day(partner_id=partner.pk, day=day)
    run_in_transaction(lambda: limits.reserve_limits(partner_id=partner.pk, amount=DOLLAR, day=day))


def refused(partner: Partner) -> bool:
    """Whether a borrow of the partner is refused for the pause, in the transaction that would accept it."""
    try:
        reserve(partner)
    except Unavailable as error:
        return (error.code, error.retry_after) == (ErrorCode.BORROWING_PAUSED, 60)
    return False


@pytest.mark.django_db
def test_a_pause_is_of_every_partner_and_says_who_when_and_why() -> None:
    for _ in range(3):
        PartnerFactory.create()
    first = pause.pause_borrowing(actor=staff("ann"), reason=" the pool is upgraded ")
    assert (first.is_paused, first.actor, first.reason) == (True, "staff:ann", "the pool is upgraded")
    assert flags() == {True}
    assert refused(Partner.objects.all()[0])
    second = pause.pause_borrowing(actor=staff("bob"), reason="a bad block")
    assert (second.actor, second.since, second.reason) == (
        "staff:ann",
        selectors.borrowing_pause().since,
        "the pool is upgraded | a bad block",
    )
    pause.pause_borrowing(actor=staff("bob"), reason="a bad block")
    last = pause.resume_borrowing(actor=staff("bob"), reason="all is well")
    assert (last.is_paused, last.actor, last.reason) == (False, "staff:bob", "all is well")
    pause.resume_borrowing(actor=staff("bob"), reason="once more")
    assert flags() == {False}
    assert not refused(Partner.objects.all()[0])
    entries = AuditEntry.objects.filter(target="platform:borrowing").order_by("timestamp")
    assert [(entry.actor, entry.action, entry.after) for entry in entries] == [
        ("staff:ann", "borrowing.paused", {"isPaused": True, "reason": "the pool is upgraded"}),
        ("staff:bob", "borrowing.paused", {"isPaused": True, "reason": "the pool is upgraded | a bad block"}),
        ("staff:bob", "borrowing.resumed", {"isPaused": False, "reason": "all is well"}),
    ]


@pytest.mark.django_db
def test_it_needs_a_reason_and_each_direction_its_own_right() -> None:
    for change, right in (
        (pause.pause_borrowing, Right.RESUME_BORROWING),
        (pause.resume_borrowing, Right.PAUSE_BORROWING),
    ):
        with pytest.raises(Forbidden):
            change(actor=staff("ann", [right]), reason="why")
        with pytest.raises(BadRequest, match=r"^reason: This field is required"):
            change(actor=staff("ann"), reason=" ")
    assert not AuditEntry.objects.exists()
    assert not selectors.borrowing_pause().is_paused


@pytest.mark.django_db
def test_a_partner_that_is_opened_during_a_pause_is_paused_too() -> None:
    pause.pause_borrowing(actor=staff("ann"), reason="why")
    partner, _ = open_lender(ADDRESS)
    assert Partner.objects.get(pk=partner.pk).borrowing_paused
    assert refused(partner)


@pytest.mark.django_db
def test_what_a_process_left_undone_is_done_by_the_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        PartnerFactory.create()
    with monkeypatch.context() as killed:
        killed.setattr(pause, "carry_to_partners", lambda: 0)
        pause.pause_borrowing(actor=staff("ann"), reason="why")
    assert (flags(), carry_pause(), flags(), carry_pause()) == ({False}, 3, {True}, 0)


@pytest.mark.django_db
def test_a_pause_that_a_resumption_overtook_writes_nothing() -> None:
    partner = PartnerFactory.create()
    overtaken = pause.pause_borrowing(actor=staff("ann"), reason="why")
    pause.resume_borrowing(actor=staff("ann"), reason="why")
    assert not pause._carry(partner.pk, overtaken)
    assert flags() == {False}


@pytest.mark.django_db(transaction=True)
def test_a_borrow_at_the_moment_of_a_pause_was_accepted_before_or_is_refused() -> None:
    partners = [PartnerFactory.create(daily_borrow_limit=10**15, total_borrow_limit=10**15) for _ in range(3)]
    for partner in partners:
        reserve(partner)
    before_return: list[int] = []
    barrier = threading.Barrier(7)

    def outstanding() -> int:
        return sum(Partner.objects.values_list("current_outstanding", flat=True))

    def borrow(number: int) -> int:
        try:
            barrier.wait()
            return sum(not refused(partners[(number + turn) % 3]) for turn in range(6))
        finally:
            connection.close()

    def stop() -> int:
        try:
            barrier.wait()
            pause.pause_borrowing(actor=staff("ann"), reason="why")
            before_return.append(outstanding())
        finally:
            connection.close()
        return 0

    with ThreadPoolExecutor(7) as pool:
        running = [pool.submit(borrow, number) for number in range(6)] + [pool.submit(stop)]
        accepted = sum(work.result() for work in running)
    assert before_return == [(3 + accepted) * DOLLAR] == [outstanding()]
    assert flags() == {True}


@pytest.mark.django_db(transaction=True)
def test_pauses_resumptions_and_new_partners_at_once_end_as_the_platform_says() -> None:
    for _ in range(2):
        PartnerFactory.create()
    addresses = [f"0x{number:040x}" for number in range(1, 4)]

    def act(number: int) -> None:
        try:
            if number % 3 == 2:
                open_lender(addresses[number // 3], number=number)
            else:
                change: Any = pause.resume_borrowing if number % 3 else pause.pause_borrowing
                change(actor=staff("ann"), reason=f"number {number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(act, range(9)))
    assert BorrowingPause.objects.count() == 1
    assert (Partner.objects.count(), flags()) == (5, {selectors.borrowing_pause().is_paused})


@pytest.mark.django_db
def test_health_and_metrics_tell_it_and_call_it_healthy() -> None:
    def told() -> tuple[int, str, bool]:
        health.readiness.forget()
        answer = Client().get("/health/ready")
        line = f"borrowing_paused {float(selectors.is_borrowing_paused())}"
        return answer.status_code, answer.json()["borrowing"], line.encode() in metrics.build()

    chain = Client().get("/health/ready").json()["chain"]
    status = 200 if chain == "ok" else 503
    assert told() == (status, "open", True)
    pause.pause_borrowing(actor=staff("ann"), reason="why")
    assert told() == (status, "paused", True)
    health.readiness.forget()


@pytest.mark.django_db
def test_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    PartnerFactory.create()
    call_command("pause_borrowing", "--reason=a drill")
    assert (flags(), selectors.borrowing_pause().reason) == ({True}, "a drill")
    call_command("resume_borrowing", "--reason=it is over")
    assert flags() == {False}
    assert capsys.readouterr().out == "New borrows are paused, of every partner.\nNew borrows are taken.\n"


@pytest.mark.django_db
def test_a_suspended_partner_is_told_of_that_first() -> None:
    partner = PartnerFactory.create()
    pause.pause_borrowing(actor=staff("ann"), reason="why")
    services.suspend_partner(partner=partner, actor=staff("ann"))
    with pytest.raises(Forbidden, match=r"^Partner account is suspended$"):
        reserve(partner)
