"""Keys and transfers under many processes: killed in the middle, or all at once."""

import os
import signal
import threading
from collections import Counter
from functools import partial

import pytest

from chain.models import FundingTransfer
from loans.models import PartnerLoan, Repayment
from tests.factories import DOLLAR
from tests.journeys.conftest import Platform, at_once
from tests.support import books
from tests.support.actors import transfer_usdc
from tests.support.waiting import eventually

pytestmark = [pytest.mark.journey]

KEY = {"Idempotency-Key": "loan-1-of-user-2"}


def test_16_repayments_at_once_in_four_processes_share_a_transfer_to_the_last_base_unit(platform: Platform):
    key, chain = platform.new_partner(), platform.chain
    executor = chain.addresses["executor"]
    with chain.mining(every=0.3):
        borrowed = at_once([partial(platform.borrow, key, chain.users[2], 20, f"loan-{n}") for n in range(16)])
    assert {answer.status for answer in borrowed} == {201}
    tx_hash = transfer_usdc(chain, chain.world.partners[0].settlement_address, executor, 100 * DOLLAR)
    funded = chain.usdc_balance(executor)

    def repay(number: int):
        body = {
            "partnerLoanId": f"loan-{number}",
            "repaymentAmount": str(10 * DOLLAR),
            "repaymentTxHash": tx_hash,
        }
        return platform.request("POST", "/partners/repay", key, body)

    with chain.mining(every=0.3):
        answers = at_once([partial(repay, number) for number in range(16)])

    outcomes = Counter((answer.status, answer.body.get("code")) for answer in answers)
    assert outcomes == {(200, None): 10, (400, "transfer_already_used"): 6}
    assert FundingTransfer.objects.get().used == 100 * DOLLAR
    assert funded - chain.usdc_balance(executor) == 100 * DOLLAR
    assert books.discrepancies() == []


def test_16_borrows_at_once_with_one_key_in_four_processes_are_one_loan(platform: Platform):
    key, user = platform.new_partner(), platform.chain.users[2]

    with platform.chain.mining(every=0.5):
        answers = at_once([lambda: platform.borrow(key, user, 100, "same", **KEY)] * 16)
        again = platform.borrow(key, user, 100, "same", **KEY)

    outcomes = Counter((answer.status, answer.body.get("code")) for answer in answers)
    assert set(outcomes) <= {(201, None), (409, "idempotency_key_in_use")}
    assert PartnerLoan.objects.count() == 1
    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert {answer.body["internalLoanId"] for answer in answers if answer.status == 201} == {
        again.body["internalLoanId"]
    }


def test_a_web_process_killed_between_acceptance_and_answer_locks_no_key(platform: Platform):
    """The retry is answered within seconds of the kill, with the loan that was accepted, and then with its end."""
    key, user, web = platform.new_partner(), platform.chain.users[2], platform.servers["web"]
    lost: list[Exception] = []

    def borrow() -> None:
        try:
            platform.borrow(key, user, 100, "loan-1", **KEY)
        except OSError as error:
            lost.append(error)

    first = threading.Thread(target=borrow)
    first.start()
    eventually(PartnerLoan.objects.exists, seconds=20)  # accepted; nothing is mined, so it waits
    busy = platform.borrow(key, user, 100, "loan-1", Prefer="respond-async", **KEY)
    os.killpg(web.pid, signal.SIGKILL)  # all of its processes
    web.kill()
    first.join(timeout=30)
    web.launch().wait_ready()

    def retry():
        answer = platform.borrow(key, user, 100, "loan-1", Prefer="respond-async", **KEY)
        return answer if answer.status != 409 else None

    answer = eventually(retry, seconds=10, every=0.5)
    with platform.chain.mining(every=0.3):
        settled = platform.borrow(key, user, 100, "loan-1", **KEY)

    assert lost
    assert (busy.status, busy.body["code"], busy.headers["Retry-After"]) == (409, "idempotency_key_in_use", "1")
    assert (answer.status, answer.headers["Idempotent-Replayed"]) == (202, "true")
    assert (settled.status, settled.headers["Idempotent-Replayed"]) == (201, "true")
    assert settled.body["internalLoanId"] == answer.body["internalLoanId"]
    assert PartnerLoan.objects.count() == 1
    assert not Repayment.objects.exists()
    assert books.discrepancies() == []
