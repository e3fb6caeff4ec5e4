"""`kill -9` of the worker, again and again, in the middle of borrows: nothing is lost and nothing is paid twice."""

import pytest

from loans.models import LoanStatus, PartnerLoan
from tests.factories import DOLLAR
from tests.journeys.conftest import Platform
from tests.support import books
from tests.support.waiting import eventually

pytestmark = [pytest.mark.journey]

LOANS = 24


def test_a_worker_killed_every_few_loans_loses_and_doubles_nothing(platform: Platform):
    key, worker = platform.new_partner(), platform.servers["worker"]
    settlement = platform.chain.world.partners[0].settlement_address
    before = platform.chain.usdc_balance(settlement)

    with platform.chain.mining(every=0.3):
        for number in range(LOANS):
            answer = platform.borrow(key, platform.chain.users[2], 100, f"loan-{number}", Prefer="respond-async")
            assert answer.status == 202
            if number % 6 == 5:
                worker.kill()
                worker.launch()
        eventually(
            lambda: (
                PartnerLoan.objects.filter(status=LoanStatus.ACTIVE).count() == LOANS and books.discrepancies() == []
            ),
            seconds=60,
        )

    assert platform.chain.usdc_balance(settlement) - before == LOANS * 100 * DOLLAR * 995 // 1000


def test_a_borrow_is_active_within_two_blocks(platform: Platform):
    key = platform.new_partner()
    with platform.chain.mining(every=2.0):
        platform.borrow(key, platform.chain.users[2], 100, "warm-up")
        head = platform.chain.block_number()
        answer = platform.borrow(key, platform.chain.users[2], 100, "loan-1")
        blocks = platform.chain.block_number() - head

    assert answer.status == 201
    assert blocks <= 2
