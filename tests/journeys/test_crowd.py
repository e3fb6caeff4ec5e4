"""16 threads in each of 4 processes at once: no limit is passed by a base unit, and everybody gets a clean answer."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.crowd import CallerProcesses, Done, caller_processes
from chain.models import Operation
from loans.models import LoanStatus, OaidCredit, PartnerLoan
from loans.positions import credit
from partner_platform.core import clock
from partners.models import Partner, PartnerDailyUsage
from tests.factories import DOLLAR, PartnerFactory, partner_with_key
from tests.support import books
from tests.support.chain import Chain

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]

AMOUNT = 3 * DOLLAR + 1
FITS = 100  # of them; and of what is left over, a base unit is missing for one more
LIMIT = FITS * AMOUNT + AMOUNT - 1
ENOUGH = 10**15
DAY = dt.date(2026, 1, 5)
OAID = 4711


@pytest.fixture(scope="module")
def everybody(anvil: Chain) -> Iterator[CallerProcesses]:
    with caller_processes(processes=4, threads=16) as started:
        yield started


def outcomes(done: Done) -> Counter[tuple[int, str]]:
    """How often each last answer was given; before it there was nothing but a 503 that says when to ask again."""
    first_ones = [answer for asked in done.asked for answer in asked.answers[:-1]]
    assert {answer.status for answer in first_ones} <= {503}
    assert all(answer.retry_after.isdigit() for answer in first_ones)
    return Counter((asked.answers[-1].status, asked.answers[-1].code) for asked in done.asked)


@pytest.mark.parametrize(
    ("headroom", "daily_limit", "total_limit", "refusal"),
    [
        (LIMIT, ENOUGH, ENOUGH, (400, "credit_contended")),
        (ENOUGH, LIMIT, ENOUGH, (403, "daily_limit_exceeded")),
        (ENOUGH, ENOUGH, LIMIT, (403, "total_limit_exceeded")),
    ],
)
def test_the_guarded_updates_take_what_fits_and_not_a_base_unit_more(
    headroom: int, daily_limit: int, total_limit: int, refusal: Any, everybody: CallerProcesses
) -> None:
    partner = PartnerFactory.create(daily_borrow_limit=daily_limit, total_borrow_limit=total_limit)
    credit.ensure_row(OAID)

    done = everybody.run(
        "reserve",
        each=3,
        partner_id=str(partner.pk),
        oaid_token_id=OAID,
        amount=AMOUNT,
        day=DAY.isoformat(),
        headroom=headroom,
    )

    assert outcomes(done) == {(200, ""): FITS, refusal: 64 * 3 - FITS}
    partner.refresh_from_db()
    taken = (
        OaidCredit.objects.get(oaid_token_id=OAID).reserved,
        partner.current_outstanding,
        PartnerDailyUsage.objects.get(partner_id=partner.pk, day=DAY).borrowed,
    )
    assert taken == (FITS * AMOUNT,) * 3


def test_192_borrows_at_once_use_up_a_daily_limit_exactly_and_each_has_its_answer(
    everybody: CallerProcesses, chain: Chain
) -> None:
    partner, key = partner_with_key(daily_borrow_limit=LIMIT, total_borrow_limit=ENOUGH, tier="ENTERPRISE")

    done = everybody.run(
        "borrow",
        each=3,
        keys=[key],
        wallets=[(user.oaid_token_id, user.wallet) for user in chain.users],
        amount=AMOUNT,
    )

    assert outcomes(done) == {(202, ""): FITS, (403, "daily_limit_exceeded"): 64 * 3 - FITS}
    assert_whole(done, partner, FITS)


def test_128_borrows_at_once_draw_an_oaids_credit_and_not_a_base_unit_more(
    everybody: CallerProcesses, chain: Chain
) -> None:
    partner, key = partner_with_key(daily_borrow_limit=ENOUGH, total_borrow_limit=ENOUGH, tier="ENTERPRISE")
    user = chain.users[0]  # $10,000

    done = everybody.run(
        "borrow", each=2, keys=[key], wallets=[(user.oaid_token_id, user.wallet)], amount=150 * DOLLAR + 1
    )

    assert outcomes(done) == {(202, ""): 66, (400, "insufficient_credit"): 128 - 66}
    assert_whole(done, partner, 66, amount=150 * DOLLAR + 1)


def assert_whole(done: Done, partner: Partner, count: int, amount: int = AMOUNT) -> None:
    """What was accepted is there, once, with all that belongs to it; of what was refused there is nothing."""
    loans = list(PartnerLoan.objects.select_related("borrow_operation"))
    partner.refresh_from_db()
    assert sorted(loan.partner_loan_id for loan in loans) == sorted(done.accepted)
    assert {loan.status for loan in loans} == {LoanStatus.PENDING}
    assert Operation.objects.count() == count
    assert partner.current_outstanding == count * amount
    assert PartnerDailyUsage.objects.get(partner_id=partner.pk, day=clock.today()).borrowed == count * amount
    assert sum(OaidCredit.objects.values_list("reserved", flat=True)) == count * amount
    assert books.discrepancies() == []
