"""Many borrows at the same moment, in several processes, never pass a limit by a base unit."""

from collections import Counter
from functools import partial

import pytest

from loans.models import LoanStatus, PartnerLoan
from partners.models import Partner, PartnerDailyUsage
from tests.factories import DOLLAR
from tests.journeys.conftest import Platform, at_once
from tests.support import books

pytestmark = [pytest.mark.journey]


def outcomes(answers) -> Counter:
    return Counter((answer.status, answer.body.get("code")) for answer in answers)


def test_32_borrows_at_once_against_one_oaid_draw_its_credit_and_not_a_base_unit_more(platform: Platform):
    keys = [platform.new_partner(0), platform.new_partner(1)]
    user = platform.chain.users[0]

    with platform.chain.mining(every=0.5):
        answers = at_once([partial(platform.borrow, keys[n % 2], user, 900, f"loan-{n}") for n in range(32)])

    assert outcomes(answers) == {(201, None): 11, (400, "insufficient_credit"): 21}
    credit = platform.request("GET", f"/partners/public/oaid/{user.oaid_token_id}/credit-line", keys[0]).body
    assert credit["creditUsed"] == str(9_900 * DOLLAR)
    assert books.discrepancies() == []


def test_32_borrows_at_once_against_a_daily_limit_use_it_up_exactly(platform: Platform):
    key = platform.new_partner(daily_borrow_limit=str(10_000 * DOLLAR))

    with platform.chain.mining(every=0.5):
        answers = at_once(
            [partial(platform.borrow, key, platform.chain.users[1 + n % 2], 1_000, f"loan-{n}") for n in range(32)]
        )

    assert outcomes(answers) == {(201, None): 10, (403, "daily_limit_exceeded"): 22}
    assert PartnerDailyUsage.objects.get().borrowed == 10_000 * DOLLAR
    assert books.discrepancies() == []


def test_32_borrows_at_once_against_a_total_limit_use_it_up_exactly(platform: Platform):
    key = platform.new_partner(total_borrow_limit=str(10_000 * DOLLAR))
    settlement = platform.chain.world.partners[0].settlement_address
    before = platform.chain.usdc_balance(settlement)

    with platform.chain.mining(every=0.5):
        answers = at_once(
            [partial(platform.borrow, key, platform.chain.users[1 + n % 2], 1_000, f"loan-{n}") for n in range(32)]
        )

    assert outcomes(answers) == {(201, None): 10, (403, "total_limit_exceeded"): 22}
    assert Partner.objects.get().current_outstanding == 10_000 * DOLLAR
    assert platform.chain.usdc_balance(settlement) - before == 9_950 * DOLLAR
    assert books.discrepancies() == []


def test_the_same_loan_id_16_times_at_once_is_one_loan_and_fifteen_conflicts(platform: Platform):
    key = platform.new_partner()

    with platform.chain.mining(every=0.5):
        answers = at_once([lambda: platform.borrow(key, platform.chain.users[2], 100, "same")] * 16)

    assert outcomes(answers) == {(201, None): 1, (409, "duplicate_loan_id"): 15}
    assert PartnerLoan.objects.get().status == LoanStatus.ACTIVE
    assert Partner.objects.get().current_outstanding == 100 * DOLLAR
    assert books.discrepancies() == []


def test_8_repayments_at_once_take_the_debt_once(platform: Platform):
    key = platform.new_partner()
    settlement = platform.chain.world.partners[0].settlement_address

    with platform.chain.mining(every=0.5):
        assert platform.borrow(key, platform.chain.users[2], 100, "loan-1").status == 201
        before = platform.chain.usdc_balance(settlement)
        answers = at_once([lambda: platform.repay(key, 100, "loan-1")] * 8)

    accepted = [answer for answer in answers if answer.status == 200]
    assert len(accepted) == 1
    assert accepted[0].body["loanStatus"] == "REPAID"
    assert {answer.body["code"] for answer in answers if answer.status != 200} <= {
        "repayment_in_progress",
        "loan_already_repaid",
    }
    assert before - platform.chain.usdc_balance(settlement) == 100 * DOLLAR
    assert books.discrepancies() == []
