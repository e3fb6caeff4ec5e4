"""Each operation gives each status of its schema, as the schema tells it; a 500 nobody can bring about."""

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django_redis import get_redis_connection
from eth_account import Account
from eth_account.messages import encode_defunct
from schemathesis.checks import not_a_server_error

from chain.lending import readings
from chain.rpc.clients import get_client
from events.models import FeedState
from events.numbering import ensure_state
from partner_platform.core import clock
from partner_platform.core.web.middleware import MAX_BODY_BYTES
from partner_platform.health import readiness
from partners.idempotency.records import Use, claimed, fingerprint_of
from partners.models import ApiKey, PartnerStatus
from partners.refusals.counting import refusals
from sandbox.keys import key_pair
from staff.access.wallets import link_wallet
from tests.api import fuzzing
from tests.api.fuzzing import World
from tests.support.signing_in import PASSWORD, member, sign_in_message, tokens_of
from tests.webhooks.making import delivery_of, numbered_events
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db(transaction=True)

BORROW, REPAY, TYPED_DATA = "POST /partners/borrow", "POST /partners/repay", "POST /partners/borrow/typed-data"
LOAN, PAYOFF = "GET /partners/loan/{partnerLoanId}", "GET /partners/loan/{partnerLoanId}/payoff"
LOANS, TRANSACTIONS = "GET /partners/user/{userWallet}/loans", "GET /partners/my/transactions"
STATS, REPAYMENT = "GET /partners/my/stats", "GET /partners/repayments/{repaymentId}"
PREVIEW, ALL_LOANS = "POST /partners/borrow/preview", "GET /partners/loans"
REQUESTS, PLATFORM = "GET /partners/my/requests", "GET /partners/platform"
EVENTS, TRANSFERS = "GET /partners/my/events", "GET /partners/my/transfers"
STATEMENT = "GET /partners/my/statements/{month}"
CREDIT_LINE = "GET /partners/public/oaid/{oaidTokenId}/credit-line"
POSITION = "GET /partners/public/position/{positionId}/details"
SIGN_IN, REFRESH, SIGN_OUT = "POST /auth/token", "POST /auth/token/refresh", "POST /auth/logout"
NONCE, WALLET = "POST /auth/siwe/nonce", "POST /auth/siwe/verify"
OF_SIGN_IN = (SIGN_IN, REFRESH, WALLET)
LIVE, READY, SCHEMA = "GET /health/live", "GET /health/ready", "GET /openapi.json"

OF_LOANS = (BORROW, PREVIEW, TYPED_DATA, REPAY, REPAYMENT, LOAN, PAYOFF, LOANS, ALL_LOANS)
MY = "/partners/my"
WEBHOOKS, NEW_WEBHOOK = f"GET {MY}/webhooks", f"POST {MY}/webhooks"
WEBHOOK, CHANGE, DELETE = (f"{method} {MY}/webhooks/{{endpointId}}" for method in ("GET", "PATCH", "DELETE"))
TEST, ROTATE, RESEND = (f"POST {MY}/webhooks/{{endpointId}}/{act}" for act in ("test", "rotate-secret", "resend"))
DELIVERIES, DELIVERY = f"GET {MY}/webhooks/deliveries", f"GET {MY}/webhooks/deliveries/{{deliveryId}}"
RETRY = f"POST {MY}/webhooks/deliveries/{{deliveryId}}/retry"
KEYS, ROTATE_KEY, DELETE_KEY = f"GET {MY}/keys", f"POST {MY}/keys/rotate", f"DELETE {MY}/keys/{{keyId}}"
ROTATE_SIGNING = f"POST {MY}/signing-secret/rotate"

SETTINGS = (NEW_WEBHOOK, CHANGE, DELETE, TEST, ROTATE, RESEND, RETRY, ROTATE_KEY, DELETE_KEY, ROTATE_SIGNING)
WITH_BODY = (NEW_WEBHOOK, CHANGE, RESEND, ROTATE_KEY, ROTATE_SIGNING)
OF_PARTNERS = (
    *(*OF_LOANS, TRANSACTIONS, STATS, REQUESTS, PLATFORM, EVENTS, TRANSFERS, STATEMENT),
    *(WEBHOOKS, WEBHOOK, DELIVERIES, DELIVERY, KEYS, *SETTINGS),
)
MONEY = (BORROW, REPAY)
REFUSED_WITHOUT_REDIS = (*MONEY, PREVIEW)


HOUR = dt.timedelta(hours=1)


class Caller:
    """Makes calls, holds each answer against the schema, and remembers its status."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.schema = fuzzing.load()
        self.seen: set[tuple[str, int]] = set()
        user = world.users[0]
        wanted = {"oaidTokenId": user.oaid_token_id, "userWallet": user.wallet, "borrowAmount": "1000000"}
        self.good: dict[str, dict[str, Any]] = {
            BORROW: {"body": {**wanted, "partnerLoanId": "loan-1"}},
            REPAY: {"body": {"partnerLoanId": "loan-1", "repaymentAmount": "1000000"}},
            TYPED_DATA: {"body": {**wanted, "partnerLoanId": "loan-1"}},
            LOAN: {"path_parameters": {"partnerLoanId": "loan-1"}},
            PAYOFF: {"path_parameters": {"partnerLoanId": "loan-1"}},
            LOANS: {"path_parameters": {"userWallet": user.wallet}},
            TRANSACTIONS: {},
            STATS: {},
            PREVIEW: {"body": {**wanted, "partnerLoanId": "loan-1"}},
            ALL_LOANS: {},
            REQUESTS: {},
            PLATFORM: {},
            EVENTS: {},
            TRANSFERS: {},
            STATEMENT: {"path_parameters": {"month": f"{clock.now():%Y-%m}"}},
            REPAYMENT: {"path_parameters": {"repaymentId": str(uuid.uuid4())}},
            **{label: {} for label in (WEBHOOKS, DELIVERIES, KEYS)},
            NEW_WEBHOOK: {"body": {"url": "https://lender.example/hooks"}},
            CHANGE: {**nobodys("endpointId"), "body": {"description": "Ours"}},
            RESEND: {**nobodys("endpointId"), "body": {"since": clock.isoformat(clock.now() - HOUR)}},
            **{label: nobodys("endpointId") for label in (WEBHOOK, DELETE, TEST, ROTATE)},
            **{label: nobodys("deliveryId") for label in (DELIVERY, RETRY)},
            ROTATE_KEY: {"body": {}},
            ROTATE_SIGNING: {"body": {}},
            DELETE_KEY: nobodys("keyId"),
            CREDIT_LINE: {"path_parameters": {"oaidTokenId": str(user.oaid_token_id)}},
            POSITION: {"path_parameters": {"positionId": str(user.position_id)}},
            SIGN_IN: {"body": {"username": "ann", "password": PASSWORD}},
            REFRESH: {"body": {"refresh": "rt_x"}},
            WALLET: {"body": {"message": "", "signature": "0x" + "00" * 65}},
            NONCE: {},
            SIGN_OUT: {},
            LIVE: {},
            READY: {},
            SCHEMA: {},
        }

    def __call__(self, label: str, status: int, *, headers: dict[str, str] | None = None, **parts: Any) -> Any:
        """The good call, but for `parts`; the answer's JSON, where it is JSON."""
        case = self.schema.find_operation_by_label(label).Case(**{**self.good[label], **parts})
        response = case.call(headers=self.world.headers if headers is None else headers)
        assert response.status_code == status, (label, status, response.content)
        excluded = [not_a_server_error] if status == 503 else []  # this one is wanted
        case.validate_response(response, headers=self.world.headers, excluded_checks=excluded)
        self.seen.add((label, status))
        is_json = response.headers.get("content-type") == ["application/json"]
        return response.json() if is_json else response.content

    @property
    def documented(self) -> set[tuple[str, int]]:
        return {
            (f"{method.upper()} {path}", int(status))
            for path, item in self.schema.raw_schema["paths"].items()
            for method, operation in item.items()
            if operation["tags"] != ["Staff"]  # tests/staff/test_statuses.py has those
            for status in operation["responses"]
        }


def test_every_status_of_the_schema_is_answered_as_the_schema_tells(world: World, settings: Any) -> None:
    call = Caller(world)
    assert set(call.good) == {label for label, _ in call.documented}

    _the_life_of_a_loan(call)
    _webhooks(call)
    _credentials(call)
    _sign_ins(call, settings)
    _refusals(call)
    _limits(call, settings)
    with _no_chain(settings):
        for label in (CREDIT_LINE, POSITION, READY):
            call(label, 503)
    with _no_redis(settings):
        for label in (*REFUSED_WITHOUT_REDIS, *SETTINGS):
            call(label, 503)

    world.counts["operations"] = len(call.good)
    world.counts["statuses answered as documented"] = len(call.seen)
    # A lost database is answered 503 by every partner operation (tests/core/test_errors.py); here it stays up.
    not_here = {(label, 503) for label in OF_PARTNERS if label not in (*REFUSED_WITHOUT_REDIS, *SETTINGS)}
    not_here |= {(label, 503) for label in (*OF_SIGN_IN, SIGN_OUT)}
    assert {(label, status) for label, status in call.documented - call.seen if status != 500} == not_here


def _the_life_of_a_loan(call: Caller) -> None:
    for label in (LIVE, READY, SCHEMA, CREDIT_LINE, POSITION, TYPED_DATA, STATS, PREVIEW, PLATFORM, EVENTS, TRANSFERS):
        call(label, 200)
    once = {**call.world.headers, "Idempotency-Key": "borrow-1"}
    call(BORROW, 202, headers=once)
    call(PAYOFF, 400)  # it is pending
    call.world.settle()
    assert call(BORROW, 201, headers=once)["txHash"].startswith("0x")
    for label in (LOAN, PAYOFF, LOANS, TRANSACTIONS, ALL_LOANS, REQUESTS):
        call(label, 200)
    _statement(call)
    rows = call(TRANSACTIONS, 200, headers={**call.world.headers, "Accept": "text/csv"}).decode().splitlines()
    assert [row.split(",")[1:4] for row in rows] == [
        ["type", "partnerLoanId", "amount"],
        ["BORROW", "loan-1", "1000000"],
    ]
    once = {**call.world.headers, "Idempotency-Key": "repay-1"}
    repayment = {"repaymentId": call(REPAY, 202, headers=once)["repaymentId"]}
    assert call(REPAYMENT, 200, path_parameters=repayment)["status"] == "PENDING"
    call(REPAY, 409)  # one at a time
    call.world.settle()
    assert call(REPAY, 200, headers=once)["loanStatus"] == "REPAID"
    assert call(REPAYMENT, 200, path_parameters=repayment)["status"] == "SUCCESS"
    for label in (BORROW, PREVIEW):
        call(label, 409)  # its id is used
    for label in MONEY:
        other = {**call.good[label]["body"], "partnerLoanId": "loan-2"}
        kind = label.rsplit("/", 1)[1]
        call(label, 422, body=other, headers={**call.world.headers, "Idempotency-Key": f"{kind}-1"})


def _statement(call: Caller) -> None:
    headers = call.world.headers
    assert [line["kind"] for line in call(STATEMENT, 200)["lines"]] == ["BORROW", "FEE"]
    rows = call(STATEMENT, 200, headers={**headers, "Accept": "text/csv"}).decode().splitlines()
    assert [row.split(",")[1] for row in rows[:4]] == ["kind", "OPENING", "BORROW", "FEE"]
    assert call(STATEMENT, 200, headers={**headers, "Accept": "application/pdf"}).startswith(b"%PDF")
    call(STATEMENT, 404, path_parameters={"month": "a/b"})


def nobodys(name: str) -> dict[str, dict[str, str]]:
    return {"path_parameters": {name: str(uuid.uuid4())}}


def _webhooks(call: Caller) -> None:
    """An endpoint from its first delivery to its end; what is asked of others' is not found."""
    partner, headers = call.world.lender.partner, call.world.headers
    once = {**headers, "Idempotency-Key": "webhook-1"}
    made = call(NEW_WEBHOOK, 201, headers=once)
    call(NEW_WEBHOOK, 422, body={"url": "https://lender.example/other"}, headers=once)
    call(NEW_WEBHOOK, 409)  # it has this URL
    other = call(NEW_WEBHOOK, 201, body={"url": "https://lender.example/other"})
    ours, others = ({"path_parameters": {"endpointId": row["id"]}} for row in (made, other))
    delivery = delivery_of(Endpoint.objects.get(pk=made["id"]), numbered_events(partner, 1)[0], status="DELIVERED")
    its = {"path_parameters": {"deliveryId": str(delivery.pk)}}
    for label in (WEBHOOKS, DELIVERIES):
        call(label, 200)
    call(DELIVERY, 200, **its)
    call(RETRY, 202, **its)
    for label, status in ((WEBHOOK, 200), (CHANGE, 200), (TEST, 202), (ROTATE, 200), (RESEND, 202)):
        call(label, status, **ours)
    call(RESEND, 202, **ours, headers=once)
    later = {"since": clock.isoformat(clock.now() - HOUR / 2)}
    call(RESEND, 422, **ours, body=later, headers=once)
    call(CHANGE, 409, **others, body={"url": made["url"]})
    call(CHANGE, 200, **ours, body={"status": "DISABLED"})
    for label, of in ((TEST, ours), (RESEND, ours), (RETRY, its)):
        call(label, 409, **of)
    _while_in_flight(call, ROTATE, f"/partners/my/webhooks/{made['id']}/rotate-secret", {}, **ours)
    call(DELETE, 204, **others)
    for label in (WEBHOOK, CHANGE, DELETE, TEST, ROTATE, RESEND, DELIVERY, RETRY, DELETE_KEY):
        call(label, 404)


def _credentials(call: Caller) -> None:
    lender, headers = call.world.lender, call.world.headers
    in_use = ApiKey.objects.get(partner=lender.partner, revoked_at=None)
    call(KEYS, 200)
    call(DELETE_KEY, 409, path_parameters={"keyId": str(in_use.pk)})
    _while_in_flight(call, ROTATE_SIGNING, "/partners/my/signing-secret/rotate", {})
    for label in (ROTATE_SIGNING, ROTATE_KEY):
        once = {**headers, "Idempotency-Key": "rotate-1"}
        answer = call(label, 200, body={"gracePeriodHours": 24}, headers=once)
        call(label, 422, headers=once)
    call(ROTATE_KEY, 409)  # the one in use ends
    call.world.lender = replace(lender, key=answer["apiKey"])
    call(DELETE_KEY, 204, path_parameters={"keyId": str(in_use.pk)})


def _sign_ins(call: Caller, settings: Any) -> None:
    """Staff sign in in both ways, refresh and sign out."""
    settings.STAFF_SIGN_IN_DOMAINS = ["admin.example.com"]
    pair = key_pair("admin")
    link_wallet(user=member("ann"), address=pair.address, actor="system:test")
    tokens = call(SIGN_IN, 200)
    call(SIGN_IN, 401, body={"username": "ann", "password": "wrong"})
    call(REFRESH, 200, body={"refresh": tokens["refresh"]})
    call(REFRESH, 401)
    text = sign_in_message("admin.example.com", pair.address, call(NONCE, 200)["nonce"], settings.CHAIN_ID)
    signature = "0x" + Account.sign_message(encode_defunct(text=text), pair.private_key).signature.hex()
    access = call(WALLET, 200, body={"message": text, "signature": signature})["access"]
    call(WALLET, 401, body={"message": text, "signature": signature})
    call(SIGN_OUT, 200, headers={"Authorization": f"Bearer {access}"})
    for label in (*OF_SIGN_IN, NONCE, SIGN_OUT):
        call(label, 400, query={"limt": 1}, headers={"Authorization": f"Bearer {tokens_of(User.objects.get()).access}"})
    for label in OF_SIGN_IN:
        call(label, 413, body={"text": "x" * MAX_BODY_BYTES})
        call(label, 415, headers={"Content-Type": "text/plain"})
    call(SIGN_OUT, 401, headers={})
    settings.RATE_LIMIT_REFUSED, limit = 1, settings.RATE_LIMIT_REFUSED
    call(SIGN_OUT, 429, headers={})
    settings.RATE_LIMIT_REFUSED = limit
    refusals.forget()


def _while_in_flight(call: Caller, label: str, path: str, body: object, **parts: Any) -> None:
    """The same request with the same key, while the first is being answered."""
    use = Use(f"partner:{call.world.lender.partner.pk}", "POST", path, "in-flight", fingerprint_of(body))
    with claimed(use):
        call(label, 409, headers={**call.world.headers, "Idempotency-Key": "in-flight"}, **parts)


def _refusals(call: Caller) -> None:
    for label in WITH_BODY:
        call(label, 413, body={"text": "x" * MAX_BODY_BYTES})
        call(label, 415, headers={**call.world.headers, "Content-Type": "text/plain"})
    for label in (BORROW, REPAY, TYPED_DATA, PREVIEW):
        call(label, 400, body={})
        call(label, 413, body={"metadata": {"text": "x" * MAX_BODY_BYTES}})
        call(label, 415, headers={**call.world.headers, "Content-Type": "text/plain"})
    for label in (BORROW, PREVIEW):
        call(label, 404, body={**call.good[label]["body"], "oaidTokenId": 10**6})
    call(REPAY, 404, body={**call.good[REPAY]["body"], "partnerLoanId": "nobody's"[:6]})
    for label in (LOAN, PAYOFF):
        call(label, 404, path_parameters={"partnerLoanId": "unknown"})
    call(REPAYMENT, 404)
    cursor = call(EVENTS, 200)["next"]
    ensure_state()
    FeedState.objects.update(pruned=10**9)
    call(EVENTS, 410, query={"after": cursor})
    hook = call(NEW_WEBHOOK, 201, body={"url": "https://lender.example/again"})
    call(RESEND, 410, path_parameters={"endpointId": hook["id"]}, body={"after": cursor})
    FeedState.objects.update(pruned=0)
    call(LOANS, 400, path_parameters={"userWallet": "0x1"})
    call(LOANS, 404, path_parameters={"userWallet": "a/b"})
    for label in (TRANSACTIONS, ALL_LOANS, REQUESTS):
        call(label, 400, query={"limit": 0})
    for label in OF_PARTNERS:
        call(label, 400, query={"limt": 1})  # misspelt
    for label, name in ((CREDIT_LINE, "oaidTokenId"), (POSITION, "positionId")):
        call(label, 400, path_parameters={name: "x"})
        call(label, 404, path_parameters={name: str(10**6)})
    for label in OF_PARTNERS:
        call(label, 401, headers={})
    partner = call.world.lender.partner
    partner.status = PartnerStatus.SUSPENDED
    partner.save(update_fields=["status"])
    for label in OF_PARTNERS:
        call(label, 403)
    partner.status = PartnerStatus.ACTIVE
    partner.save(update_fields=["status"])


def _limits(call: Caller, settings: Any) -> None:
    limits = settings.RATE_LIMITS
    settings.RATE_LIMITS = {**limits, "ENTERPRISE": 1, "PUBLIC": 1}
    for label in (*OF_PARTNERS, *OF_SIGN_IN, NONCE, CREDIT_LINE, POSITION, SCHEMA):
        call(label, 429)  # many calls came within this minute
    settings.RATE_LIMITS = limits
    cache.clear()
    get_redis_connection("default").flushdb()


@contextmanager
def _no_chain(settings: Any) -> Iterator[None]:
    urls = settings.CHAIN_RPC_URLS
    settings.CHAIN_RPC_URLS = ["http://127.0.0.1:9"]
    get_client.cache_clear()
    readings.forget_block()
    readiness.forget()  # it is kept for a second, and this test is quick
    yield
    settings.CHAIN_RPC_URLS = urls
    get_client.cache_clear()
    readiness.forget()


@contextmanager
def _no_redis(settings: Any) -> Iterator[None]:
    caches = settings.CACHES
    settings.CACHES = {"default": {**caches["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    yield
    settings.CACHES = caches
