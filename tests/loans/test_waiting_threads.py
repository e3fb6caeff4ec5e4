"""On a chain that stands still one partner's waiting borrows leave threads to others, and are accepted all the same."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from loans.api.waiting import waiting_threads
from loans.models import LoanStatus, PartnerLoan, Repayment
from partner_platform.core.fair_share import FairShare
from partner_platform.core.redis import wakeup
from partners.access import concurrency

pytestmark = pytest.mark.django_db(transaction=True)

WAITING = {"Prefer": "wait=20"}


class Halted:
    """In place of `wakeup.wait_until`: who waits stays until the test lets go."""

    def __init__(self, goes_on: bool = False) -> None:
        self.waiting = threading.Semaphore(0)
        self.waited: list[str] = []
        self._let_go = threading.Event()
        if goes_on:
            self._let_go.set()

    def __call__(self, key: str, look: Any, timeout: float) -> None:
        self.waited.append(key)
        self.waiting.release()
        assert self._let_go.wait(60)

    def let_go(self) -> None:
        self._let_go.set()


def borrow(client: Any, user: Any, loan_id: str) -> Any:
    body = {
        "oaidTokenId": user.oaid_token_id,
        "userWallet": user.wallet,
        "borrowAmount": "1000000",
        "partnerLoanId": loan_id,
    }
    try:
        return client.post("/partners/borrow", body, **WAITING)
    finally:
        connections.close_all()


def test_a_third_waiting_borrow_is_202_at_once_while_another_partners_borrow_waits_and_its_reads_go_on(
    chain: Any, make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy, modest = make_client(0), make_client(1)
    halted = Halted()
    monkeypatch.setattr(wakeup, "wait_until", halted)
    monkeypatch.setattr(waiting_threads, "waiting", FairShare(3, 2))
    monkeypatch.setattr(concurrency, "calls_in_flight", FairShare(6, 4))
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(borrow, greedy, chain.users[0], f"waits-{number}") for number in range(2)]
        for _ in range(2):
            assert halted.waiting.acquire(timeout=60)

        at_once = borrow(greedy, chain.users[0], "at-once")
        assert (at_once.status_code, at_once.json()["status"]) == (202, "PENDING")
        assert at_once.headers["Location"] == "/partners/loan/at-once"
        other = pool.submit(borrow, modest, chain.users[1], "other")
        assert halted.waiting.acquire(timeout=60)
        assert modest.get("/partners/my/stats").status_code == 200

        halted.let_go()
        assert [answer.result().status_code for answer in (*waiting, other)] == [202] * 3
    assert PartnerLoan.objects.filter(status=LoanStatus.PENDING).count() == 4
    assert not waiting_threads.waiting._held


def test_a_repayment_without_a_place_is_accepted_and_answered_202(
    lender: Any, settle: Any, chain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lender.borrow(chain.users[0], 100)
    settle()
    halted = Halted(goes_on=True)
    monkeypatch.setattr(wakeup, "wait_until", halted)
    share = FairShare(2, 1)
    monkeypatch.setattr(waiting_threads, "waiting", share)
    body = {"partnerLoanId": "loan-1", "repaymentAmount": "1000000"}
    assert share.take(lender.partner.pk)
    assert lender.post("/partners/repay", body, **WAITING).status_code == 202
    assert halted.waited == []
    assert Repayment.objects.count() == 1


def test_who_does_not_want_to_wait_takes_no_place(lender: Any, chain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    share = FairShare(2, 1)
    monkeypatch.setattr(waiting_threads, "waiting", share)
    monkeypatch.setattr(share, "take", lambda _: pytest.fail("a place was asked for"))
    assert lender.borrow(chain.users[0], 100).status_code == 202
