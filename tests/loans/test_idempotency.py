"""The Idempotency-Key of borrow and repay: one effect however often it is asked for, and the first answer again."""

import datetime as dt
import json
import uuid

import pytest
from django_redis import get_redis_connection

from chain.models import Operation
from loans.api import repay as repay_endpoint
from loans.models import OaidCredit, PartnerLoan, Repayment
from loans.services import repay as repay_service
from loans.services import reservations
from partner_platform.core import clock
from partners.idempotency import records
from partners.models import IdempotencyKey
from tests.core.concurrency import at_once
from tests.factories import DOLLAR
from tests.support import books
from tests.support.actors import approve_usdc, set_operator

pytestmark = pytest.mark.django_db(transaction=True)


def borrow_body(user, dollars=100, loan_id="loan-1"):
    return {
        "oaidTokenId": user.oaid_token_id,
        "userWallet": user.wallet,
        "borrowAmount": str(dollars * DOLLAR),
        "partnerLoanId": loan_id,
    }


def borrow(lender, user, key="key-1", **body):
    return lender.post("/partners/borrow", borrow_body(user, **body), **{"Idempotency-Key": key})


def repay(lender, dollars, key="repay-1", **extra):
    body = {"partnerLoanId": "loan-1", "repaymentAmount": str(dollars * DOLLAR), **extra}
    return lender.post("/partners/repay", body, **{"Idempotency-Key": key})


def is_replay(answer) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


def test_a_retry_of_a_borrow_is_answered_with_its_loan_as_it_is_by_then_and_makes_no_second_one(chain, lender, settle):
    user = chain.users[0]

    first, pending = borrow(lender, user), borrow(lender, user)
    settle()
    settled, again = borrow(lender, user), borrow(lender, user)

    assert (first.status_code, is_replay(first)) == (202, False)
    assert (pending.status_code, is_replay(pending)) == (202, True)
    assert pending.json() == first.json()
    assert pending.headers["Location"] == "/partners/loan/loan-1"
    assert (settled.status_code, is_replay(settled)) == (201, True)
    assert settled.json()["internalLoanId"] == first.json()["internalLoanId"]
    assert settled.json()["txHash"] == PartnerLoan.objects.get().borrow_tx_hash
    assert (again.status_code, again.content) == (201, settled.content)
    assert PartnerLoan.objects.count() == 1
    assert Operation.objects.count() == 1


def test_a_retry_of_a_settled_repayment_gets_the_first_answer_though_the_debt_has_changed_since(chain, lender, settle):
    lender.borrow(chain.users[0], 100)
    settle()
    repay(lender, 40)
    settle()

    first = repay(lender, 40)
    lender.repay(10 * DOLLAR)
    settle()
    again = repay(lender, 40)

    assert (first.status_code, first.json()["remainingDebt"]) == (200, str(60 * DOLLAR))
    assert (again.status_code, again.content, is_replay(again)) == (200, first.content, True)
    assert lender.loan()["remainingDebt"] == str(50 * DOLLAR)
    assert Repayment.objects.count() == 2


def test_a_refusal_of_substance_is_kept_with_its_body_and_told_to_the_log(chain, lender):
    user = chain.users[0]

    first, again = borrow(lender, user, dollars=10_001), borrow(lender, user, dollars=10_001)

    assert (first.status_code, first.json()["code"], is_replay(first)) == (400, "insufficient_credit", False)
    assert (again.status_code, again.content, is_replay(again)) == (400, first.content, True)
    assert not PartnerLoan.objects.exists()
    from audit.models import ApiLog

    assert [row.error_code for row in ApiLog.objects.all()] == ["insufficient_credit"] * 2


def test_a_loan_the_chain_refused_is_told_to_every_retry_and_not_drawn_again(chain, lender, settle):
    user = chain.users[0]
    borrow(lender, user)
    set_operator(chain, user, allowed=False)
    settle()
    set_operator(chain, user, allowed=True)

    answers = [borrow(lender, user) for _ in range(2)]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(400, "settlement_failed")}
    assert answers[0].json()["details"]["internalLoanId"] == str(PartnerLoan.objects.get().internal_loan_id)
    assert answers[1].content == answers[0].content
    assert PartnerLoan.objects.get().status == "FAILED"


def test_another_body_under_the_same_key_is_422_and_changes_nothing(chain, lender):
    user = chain.users[0]
    borrow(lender, user)

    answer = borrow(lender, user, dollars=101)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert not is_replay(answer)
    assert PartnerLoan.objects.get().principal_amount == 100 * DOLLAR


def test_the_same_fields_in_another_order_and_spacing_are_the_same_body(chain, lender):
    body = borrow_body(chain.users[0])
    lender.post("/partners/borrow", body, **{"Idempotency-Key": "key-1"})

    turned = json.dumps(dict(reversed(body.items())), indent=3)
    answer = lender.post("/partners/borrow", turned, **{"Idempotency-Key": "key-1"})

    assert (answer.status_code, is_replay(answer)) == (202, True)


def test_a_key_is_its_partners_and_its_paths_own(chain, make_client, settle):
    first, second = make_client(0), make_client(1)
    user = chain.users[0]

    assert not is_replay(borrow(first, user, "same"))
    assert not is_replay(borrow(second, user, "same"))
    settle()
    assert repay(first, 10, "same").status_code == 202
    assert PartnerLoan.objects.count() == 2
    assert Repayment.objects.count() == 1


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "schlüssel", "a\tb", "a\x7fb"])
def test_a_key_that_is_not_1_to_255_printable_ascii_characters_is_400_and_names_the_header(chain, lender, key):
    answer = borrow(lender, chain.users[0], key)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert list(answer.json()["details"]) == ["Idempotency-Key"]
    assert not PartnerLoan.objects.exists()


@pytest.mark.parametrize("key", ["x" * 255, "!", "a b~"])
def test_the_longest_and_the_oddest_keys_are_taken(chain, lender, key):
    assert borrow(lender, chain.users[0], key).status_code == 202
    assert is_replay(borrow(lender, chain.users[0], key))


def test_an_invalid_body_an_unknown_key_and_a_503_are_not_kept(chain, lender, settings):
    from chain.rpc.clients import get_client

    user = chain.users[0]
    invalid = borrow(lender, user, dollars=0)
    urls = settings.CHAIN_RPC_URLS
    settings.CHAIN_RPC_URLS = ["http://127.0.0.1:9"]
    get_client.cache_clear()
    try:
        unavailable = borrow(lender, user)
    finally:
        settings.CHAIN_RPC_URLS = urls
        get_client.cache_clear()
    stranger = type(lender)(lender.partner, lender.key[:-4] + "AAAA")
    unknown = borrow(stranger, user)

    assert (invalid.status_code, unavailable.status_code, unknown.status_code) == (400, 503, 401)
    assert not IdempotencyKey.objects.exists()
    assert borrow(lender, user).status_code == 202


def test_what_is_retryable_is_not_kept_so_that_the_same_key_succeeds_later(chain, lender, settle):
    lender.borrow(chain.users[0], 100)
    settle()
    lender.repay(10 * DOLLAR)

    busy = repay(lender, 20)
    settle()

    assert (busy.status_code, busy.json()["code"], busy.json()["retryable"]) == (409, "repayment_in_progress", True)
    assert repay(lender, 20).status_code == 202


def test_a_pending_loans_repayment_may_be_asked_for_again_with_its_key(chain, lender, settle):
    lender.borrow(chain.users[0], 100)

    early = repay(lender, 20)
    settle()

    assert (early.status_code, early.json()["code"]) == (400, "loan_not_repayable")
    assert (early.json()["retryable"], early.headers["Retry-After"]) == (True, "2")
    assert not IdempotencyKey.objects.filter(path="/partners/repay").exists()
    assert repay(lender, 20).status_code == 202
    failed = PartnerLoan.objects.get()
    failed.status = "LIQUIDATED"
    failed.save(update_fields=["status"])
    final = repay(lender, 20, key="another")
    assert (final.json()["code"], final.json()["retryable"]) == ("loan_not_repayable", False)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_bugs_500_is_retryable_with_a_key_which_then_does_it_once(chain, lender, settle, monkeypatch, accepted):
    lender.borrow(chain.users[0], 100)
    settle()
    broken = (repay_endpoint, "present_repay") if accepted else (repay_service, "open_repayment")
    with monkeypatch.context() as patch:
        patch.setattr(*broken, lambda *args, **kwargs: 1 / 0)
        answer = repay(lender, 20)
    assert (answer.status_code, answer.json()["retryable"], answer.headers["Retry-After"]) == (500, True, "2")

    assert repay(lender, 20).status_code == 202
    settle()
    assert repay(lender, 20).status_code == 200
    assert Repayment.objects.count() == 1
    assert lender.loan()["remainingDebt"] == str(80 * DOLLAR)


def test_a_key_in_flight_is_409_and_says_to_come_back_in_a_second(chain, lender, monkeypatch):
    """The second request comes while the first is inside its acceptance."""
    user = chain.users[0]
    answers: list = []
    real = reservations.reserve_and

    def reserve_and(*args, **kwargs):
        if not answers:
            answers.extend([borrow(lender, user), borrow(lender, user, dollars=7)])
        return real(*args, **kwargs)

    monkeypatch.setattr(reservations, "reserve_and", reserve_and)

    first = borrow(lender, user)

    same, other = answers
    assert first.status_code == 202
    assert (same.status_code, same.json()["code"], same.headers["Retry-After"]) == (409, "idempotency_key_in_use", "1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert PartnerLoan.objects.count() == 1


def test_16_at_once_with_one_key_make_one_loan_and_nobody_is_told_of_a_duplicate(chain, lender, settle):
    user = chain.users[0]

    answers = at_once(16, lambda _: borrow(lender, user))

    codes = [(answer.status_code, answer.json().get("code")) for answer in answers]
    assert set(codes) <= {(202, None), (409, "idempotency_key_in_use")}
    assert codes.count((202, None)) >= 1
    assert sum(not is_replay(answer) for answer in answers if answer.status_code == 202) == 1
    assert PartnerLoan.objects.count() == 1
    settle()
    assert borrow(lender, user).status_code == 201


def test_16_at_once_make_one_loan_though_no_mark_holds(chain, lender, settle, monkeypatch):
    """Redis forgot every lock: the row's primary key alone lets one through."""
    monkeypatch.setattr(records, "_lock_name", lambda use: f"idempotency:{uuid.uuid4()}")
    user = chain.users[0]

    answers = at_once(16, lambda _: borrow(lender, user))

    assert {answer.status_code for answer in answers} == {202}
    assert sum(not is_replay(answer) for answer in answers) == 1
    assert len({answer.json()["internalLoanId"] for answer in answers}) == 1
    assert PartnerLoan.objects.count() == 1
    assert OaidCredit.objects.get().reserved == 100 * DOLLAR
    settle()


def test_16_repayments_at_once_with_one_key_are_one_repayment(chain, lender, settle, monkeypatch):
    monkeypatch.setattr(records, "_lock_name", lambda use: f"idempotency:{uuid.uuid4()}")
    lender.borrow(chain.users[0], 100)
    settle()

    answers = at_once(16, lambda _: repay(lender, 30))

    codes = [(answer.status_code, answer.json().get("code")) for answer in answers]
    assert set(codes) <= {(202, None), (409, "repayment_in_progress")}
    assert Repayment.objects.count() == 1
    settle()
    assert repay(lender, 30).json()["remainingDebt"] == str(70 * DOLLAR)


class Killed(BaseException):
    """The process is gone: no handler of ours sees it."""


def test_a_crash_after_the_acceptance_leaves_a_key_that_knows_its_loan(chain, lender, settle, monkeypatch):
    user = chain.users[0]

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("loans.api.borrow.respond_to_borrow", die)
        with pytest.raises(Killed):
            borrow(lender, user)
    get_redis_connection("default").flushdb()  # the lock of a dead process ends by itself

    retry = borrow(lender, user)
    settle()
    later = borrow(lender, user)

    assert (retry.status_code, retry.json()["status"], is_replay(retry)) == (202, "PENDING", True)
    assert (later.status_code, later.json()["internalLoanId"]) == (201, retry.json()["internalLoanId"])
    assert PartnerLoan.objects.count() == 1


def test_a_crash_before_the_commit_leaves_nothing_and_the_retry_begins_anew(chain, lender, settle, monkeypatch):
    user = chain.users[0]

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(records.Claim, "bind", die)
        with pytest.raises(Killed):
            borrow(lender, user)
    get_redis_connection("default").flushdb()

    assert not PartnerLoan.objects.exists()
    assert not IdempotencyKey.objects.exists()
    retry = borrow(lender, user)
    assert (retry.status_code, is_replay(retry)) == (202, False)
    settle()


def test_the_lock_of_a_request_ends_within_seconds_of_its_process(chain, lender):
    use = records.Use("partner:x", "POST", "/partners/borrow", "k", "f" * 64)
    with records.claimed(use):
        left = get_redis_connection("default").ttl(f"lock:idempotency:{use.id}")

    assert 0 < left <= 6
    assert not get_redis_connection("default").exists(f"lock:idempotency:{use.id}")


def test_a_request_that_waits_keeps_its_lock_and_one_that_lost_it_keeps_nobodys(chain, lender):
    use, redis = records.Use("partner:x", "POST", "/partners/borrow", "k", "f" * 64), get_redis_connection("default")
    name = f"lock:idempotency:{use.id}"
    with records.claimed(use) as claim:
        redis.expire(name, 1)
        claim.keep_alive()
        assert 5_000 < redis.pttl(name) <= 6_000
        redis.set(name, "another's", ex=3)
        claim.keep_alive()
        assert 0 < redis.pttl(name) <= 3_000

    assert redis.get(name) == b"another's"


def test_a_key_is_forgotten_after_seven_days_swept_or_not(chain, lender, settle):
    user = chain.users[0]
    borrow(lender, user)
    row = IdempotencyKey.objects.get()
    assert row.expires_at - row.created_at == dt.timedelta(days=7)

    IdempotencyKey.objects.update(expires_at=clock.now())
    late = borrow(lender, user)

    assert (late.status_code, late.json()["code"], is_replay(late)) == (409, "duplicate_loan_id", False)
    assert PartnerLoan.objects.count() == 1


def test_a_key_costs_an_acceptance_at_most_3_queries_and_no_key_none(chain, lender, django_assert_max_num_queries):
    user = chain.users[0]
    lender.borrow(user, 100, "warm-up")
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as without:
        lender.borrow(user, 100, "loan-2")
    with CaptureQueriesContext(connection) as with_key:
        borrow(lender, user, loan_id="loan-3")
    with django_assert_max_num_queries(5):
        assert is_replay(borrow(lender, user, loan_id="loan-3"))

    assert len(with_key) - len(without) <= 3
    assert len(with_key) <= 15


def test_the_books_add_up_after_keys_that_met_every_end(chain, lender, settle):
    user = chain.users[0]
    borrow(lender, user, "a", loan_id="a")
    borrow(lender, user, "b", loan_id="b", dollars=20_000)
    settle()
    approve_usdc(chain, lender.partner.settlement_address, 0)
    lender.post("/partners/repay", {"partnerLoanId": "a", "repaymentAmount": "1000000"}, **{"Idempotency-Key": "c"})

    assert sorted(IdempotencyKey.objects.values_list("key", "status_code")) == [("a", 0), ("b", 400), ("c", 400)]
    assert books.discrepancies() == []
