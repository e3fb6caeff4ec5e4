"""Secrets are planted where they belong, everything is done with them, and then they are looked for everywhere else.

Everywhere: every answer and its headers, the log as it is configured (all levels), every row and column of the
database, all that Redis holds (Celery's messages, caches, marks), every page of the console, the metrics.
"""

import base64
import io
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django_redis import get_redis_connection
from eth_account import Account
from eth_account.messages import encode_defunct

from audit.models import ApiLog, AuditEntry
from chain.lending import readings
from chain.rpc.clients import get_client
from partner_platform.core.secrets import crypto
from partners import credentials, keys
from partners.access import signing
from partners.models import ApiKey, Partner, Scope
from sandbox.keys import key_pair
from staff.access.wallets import link_wallet
from tests.factories import open_lender
from tests.support import request_signing
from tests.support.chain import Chain
from tests.support.consent import authorization_for
from tests.support.console import act, send
from tests.support.signing_in import sign_in_message
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "planted-staff-password-7f3a"
WEBHOOK_SECRET = "whsec_planted_webhook_secret_9c1d"
ENDPOINT_SECRET = "whsec_" + base64.b64encode(b"planted-secret-of-an-endpoint-4e").decode()
FORMER_SECRET = "whsec_" + base64.b64encode(b"planted-secret-before-it-+/-71f3").decode()
RPC_TOKEN = "planted-rpc-token-5e2b"
METRICS_TOKEN = "planted-metrics-token-with-32-characters"


class Traces:
    """What was said, by where."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def add(self, where: str, text: object) -> None:
        self.texts.append((where, str(text)))

    def answer(self, where: str, response: Any) -> Any:
        body = b"".join(response.streaming_content) if response.streaming else response.content
        self.add(f"answer of {where}", body.decode(errors="replace") + str(dict(response.headers)))
        return response

    def holding(self, secret: str) -> list[str]:
        return sorted({where for where, text in self.texts if secret in text})


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, at any level, through the configured formatter and filters."""
    (console,) = (handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(console.formatter)
    for a_filter in console.filters:
        handler.addFilter(a_filter)
    root = logging.getLogger()
    names = [name for name in logging.root.manager.loggerDict if isinstance(logging.getLogger(name), logging.Logger)]
    loggers = [root, *(logging.getLogger(name) for name in names)]
    levels = [logger.level for logger in loggers]
    root.addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def test_no_secret_is_anywhere_but_where_it_belongs(
    chain: Chain, log: io.StringIO, settings: Any, api_counts: Counter[str]
) -> None:
    traces = Traces()
    settings.METRICS_TOKEN = METRICS_TOKEN
    partner, key = open_lender(chain.world.partners[0].settlement_address, tier="ENTERPRISE")
    ApiKey.objects.filter(partner=partner).update(scopes=list(Scope.values))
    Partner.objects.update(webhook_secret=crypto.encrypt(WEBHOOK_SECRET))
    Endpoint.objects.create(
        partner=partner,
        url="https://receiver.example/events",
        secret=crypto.encrypt(ENDPOINT_SECRET),
        previous_secret=crypto.encrypt(FORMER_SECRET),
    )
    console, shown = _console(traces, partner)
    signature = _calls(traces, chain, key, shown["signing secret"], partner, settings)
    own = _own_settings(traces, key)
    sign_ins = _sign_ins(traces, settings)
    _pages(traces, console)
    traces.add("log", log.getvalue())
    _dump_database(traces)
    _dump_redis(traces)
    traces.answer("GET /metrics", Client().get("/metrics", HTTP_AUTHORIZATION=f"Bearer {METRICS_TOKEN}"))

    planted = {
        "API key": key,
        "its random part": key.rsplit("_", 1)[1],
        **shown,
        **own,
        **sign_ins,
        "webhook secret": WEBHOOK_SECRET,
        **_forms_of("endpoint's secret", ENDPOINT_SECRET),
        **_forms_of("endpoint's former secret", FORMER_SECRET),
        "staff password": PASSWORD,
        "platform's private key": settings.PLATFORM_PRIVATE_KEY.removeprefix("0x"),
        "encryption key": settings.FIELD_ENCRYPTION_KEYS[0],
        "Django's secret": settings.SECRET_KEY,
        "token in the RPC URL": RPC_TOKEN,
        "token for the metrics": METRICS_TOKEN,
    }
    found = {name: traces.holding(secret) for name, secret in planted.items() if traces.holding(secret)}
    assert found == {}
    api_counts.update({"secrets looked for": len(planted) + 1, "texts searched for them": len(traces.texts)})
    # A consent is kept with its loan as the proof it is, and nowhere else.
    assert [where for where in traces.holding(signature) if not where.startswith("loans.PartnerLoan")] == []
    # The search finds what is there.
    for where in (
        "log",
        "loans.PartnerLoan",
        "answer of GET /partners/loan/loan-1",
        "answer of GET /metrics",
        "redis",
        "page ",
    ):
        assert any(place.startswith(where) and text for place, text in traces.texts), where
    assert ApiLog.objects.count() >= 20
    assert AuditEntry.objects.count() > 3
    assert any("chain.tasks.drive_settlement" in text for where, text in traces.texts if where == "redis")
    assert "rate limits are not kept" in log.getvalue()


def _forms_of(name: str, secret: str) -> dict[str, str]:
    """A webhook's secret as it is shown, the key in it alone, and the bytes that this encodes."""
    encoded = secret.removeprefix("whsec_")
    return {name: secret, f"the {name}'s key": encoded, f"the {name}'s bytes": base64.b64decode(encoded).decode()}


def _console(traces: Traces, partner: Partner) -> tuple[Client, dict[str, str]]:
    """A staff user signs in and makes one more key and a signing secret, each on the one page that shows it."""
    User.objects.create_superuser("ann", "ann@platform.example", PASSWORD)
    console = Client()
    traces.answer("login", console.post("/console/login/", {"username": "ann", "password": "planted-wrong" + PASSWORD}))
    console.post("/console/login/", {"username": "ann", "password": PASSWORD})
    page = act(console, "/console/partners/partner/", "rotate_signing_secret", partner).content.decode()
    (secret,) = re.findall(r"sk_[a-z0-9]+_sandbox_[a-z0-9]{48}", page)
    form = {"partner": str(partner.pk), "scopes": ["read"], "expires_at_0": "", "expires_at_1": ""}
    page = send(console, "/console/partners/apikey/add/", form).content.decode()
    (second,) = re.findall(r"pk_[a-z0-9]+_sandbox_[a-z0-9]{32}", page)
    return console, {"signing secret": secret, "second key": second}


def _calls(traces: Traces, chain: Chain, key: str, signing_secret: str, partner: Partner, settings: Any) -> str:
    """What partners do, right and wrong, with the key wherever a clumsy client may put it; answers a signature."""
    client, user = Client(raise_request_exception=False), chain.users[0]
    authorized = {"Authorization": f"Bearer {key}", "Prefer": "respond-async"}

    def get(path: str, **headers: str) -> Any:
        return traces.answer(f"GET {path}", client.get(path, headers={**authorized, **headers}))

    def post(path: str, body: Any, **headers: str) -> Any:
        data = body if isinstance(body, str) else json.dumps(body)
        sent = client.post(path, data=data, content_type="application/json", headers={**authorized, **headers})
        return traces.answer(f"POST {path}", sent)

    borrow = {
        "oaidTokenId": user.oaid_token_id,
        "userWallet": user.wallet,
        "borrowAmount": "100000000",
        "partnerLoanId": "loan-1",
    }
    authorization = authorization_for(partner, borrow, user.private_key, nonce=1)
    assert post("/partners/borrow", {**borrow, "userAuthorization": authorization}).status_code == 202
    post("/partners/borrow", {**borrow, "userAuthorization": {**authorization, "nonce": "2"}})
    post("/partners/borrow/typed-data", borrow)
    get("/partners/loan/loan-1")
    get(f"/partners/user/{user.wallet}/loans")
    # The key in every wrong place.
    other = {"Authorization": key}
    get("/partners/loan/loan-1", **other)
    get("/partners/loan/loan-1", Authorization=f"Bearer {key} {key}")
    get("/partners/loan/loan-1", Authorization=f"Bearer {key}x")
    get(f"/partners/loan/{key}")
    get(f"/partners/user/{user.wallet}/loans?limit={key}&apiKey={key}&note={key}")
    get("/partners/loan/loan-1", **{"User-Agent": key, "Referer": key, "X-Request-Id": key, "Idempotency-Key": key})
    post("/partners/borrow", {**borrow, "apiKey": key, "note": key, key: 1, "metadata": {"text": f"my key is {key}"}})
    post("/partners/borrow", {**borrow, "partnerLoanId": key, "borrowAmount": "x"})
    post("/partners/borrow", f'{{"broken": "{key}"')
    post("/partners/borrow", {**borrow, "signingSecret": signing_secret, "x": signing_secret})
    post(f"/nowhere/{key}", {})
    # A webhook's secret in every wrong place.
    for secret in (ENDPOINT_SECRET, FORMER_SECRET):
        get(f"/partners/my/events?after={secret}&type={secret}&note={secret}")
        get("/partners/my/events", **{"User-Agent": secret, "Referer": secret, "X-Request-Id": secret[:60]})
        get(f"/partners/loan/{secret}")
        post("/partners/borrow", {**borrow, "secret": secret, secret: 1, "metadata": {"text": f"signed with {secret}"}})
        post(f"/nowhere/{secret}", {"secret": secret})
    get("/partners/my/events")
    # Signed, badly signed, replayed.
    credentials.set_signing_required(partner=partner, actor="test", required=True)
    timestamp = str(time.time_ns() // 1_000_000)
    signed = {
        "X-Timestamp": timestamp,
        "X-Signature": request_signing.sign_v1(secret=signing_secret, timestamp=timestamp, body=b""),
    }
    assert get("/partners/loan/loan-1", **signed).status_code == 200
    assert get("/partners/loan/loan-1", **signed).status_code == 401
    assert get("/partners/loan/loan-1", **{**signed, "X-Signature": "0" * 64}).status_code == 401
    credentials.set_signing_required(partner=partner, actor="test", required=False)
    _without_chain_and_redis(post, get, borrow, settings)
    return str(authorization["signature"])


def _sign_ins(traces: Traces, settings: Any) -> dict[str, str]:
    """Staff sign in to the API, right and wrong; the answers that show tokens are no traces."""
    settings.STAFF_SIGN_IN_DOMAINS = ["admin.example.com"]
    client, otp = Client(raise_request_exception=False), "planted-otp-61"
    admin_key = key_pair("admin")
    link_wallet(user=User.objects.get(username="ann"), address=admin_key.address, actor="system:test")

    def post(path: str, body: Any, **headers: str) -> Any:
        return client.post(path, json.dumps(body), "application/json", headers=headers)

    def traced(path: str, body: Any, **headers: str) -> Any:
        return traces.answer(f"POST {path}", post(path, body, **headers))

    password = {"username": "ann", "password": PASSWORD}
    first = post("/auth/token", {**password, "otp": otp}).json()
    second = post("/auth/token/refresh", {"refresh": first["refresh"]}).json()
    nonce = traced("/auth/siwe/nonce", {}).json()["nonce"]
    text = sign_in_message("admin.example.com", admin_key.address, nonce, settings.CHAIN_ID)
    signature = "0x" + Account.sign_message(encode_defunct(text=text), admin_key.private_key).signature.hex()
    assert post("/auth/siwe/verify", {"message": text, "signature": signature, "otp": otp}).status_code == 200
    assert traced("/auth/siwe/verify", {"message": text, "signature": signature, "otp": otp}).status_code == 401
    assert traced("/auth/token", {**password, "password": "x" + PASSWORD, "otp": otp}).status_code == 401
    traced("/auth/token", {"username": "ann", "password": [PASSWORD], "otp": [otp], "note": first["refresh"]})
    for token in (first["refresh"], second["refresh"], second["access"]):
        traced("/auth/token", {**password, "password": "x", token: token, "refresh": token})
        traced(f"/nowhere/{token}", {}, **{"User-Agent": token, "Referer": token, "X-Request-Id": token})
        traced(f"/partners/loan/{token}", {"note": token, "refresh": token, "access": token, "otp": otp})
        traced("/auth/logout", {}, Authorization=token)
        traced("/auth/logout", {}, Authorization=f"Bearer {token}x")
    assert traced("/auth/logout", {}, Authorization=f"Bearer {second['access']}").status_code == 200
    assert traced("/auth/token/refresh", {"refresh": first["refresh"]}).status_code == 401
    return {
        "one-time code": otp,
        "signature of a sign-in": signature,
        "refresh token": first["refresh"],
        "second refresh token": second["refresh"],
        "access token": first["access"],
        "second access token": second["access"],
    }


def _own_settings(traces: Traces, key: str) -> dict[str, str]:
    """What the partner makes for itself, each with an Idempotency-Key; the answers that show a secret are no traces."""
    client = Client()
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "own-settings"}

    def post(path: str, body: Any) -> Any:
        answer = client.post(f"/partners/my/{path}", json.dumps(body), "application/json", headers=headers)
        assert answer.status_code in (200, 201), answer.content
        return answer.json()

    made = post("webhooks", {"url": "https://lender.example/hooks"})
    second = post(f"webhooks/{made['id']}/rotate-secret", {})["secret"]
    for path in ("webhooks", f"webhooks/{made['id']}", "webhooks/deliveries", "keys"):
        answer = client.get(f"/partners/my/{path}", headers=headers)
        traces.answer(f"GET /partners/my/{path}", answer)
    traces.answer(
        "a secret in a body",
        client.post(
            "/partners/my/webhooks",
            json.dumps({"url": second, second: 1}),
            "application/json",
            headers={**headers, "Idempotency-Key": second},
        ),
    )
    signing = post("signing-secret/rotate", {})["signingSecret"]
    return {"webhook secret of an endpoint": made["secret"], "its second": second, "rotated signing secret": signing}


def _without_chain_and_redis(post: Any, get: Any, borrow: dict[str, Any], settings: Any) -> None:
    urls, caches = settings.CHAIN_RPC_URLS, settings.CACHES
    settings.CHAIN_RPC_URLS = [f"http://127.0.0.1:9/v3/{RPC_TOKEN}"]
    get_client.cache_clear()
    readings.forget_block()
    assert post("/partners/borrow", {**borrow, "partnerLoanId": "loan-2"}).status_code == 503
    assert get("/health/ready").status_code == 503
    settings.CHAIN_RPC_URLS = urls
    get_client.cache_clear()
    settings.CACHES = {"default": {**caches["default"], "LOCATION": "redis://user:planted@127.0.0.1:1/0"}}
    assert post("/partners/borrow", {**borrow, "partnerLoanId": "loan-2"}).status_code == 503
    settings.CACHES = caches


def _pages(traces: Traces, console: Client) -> None:
    for model, model_admin in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        paths = [reverse(f"{name}_changelist"), reverse(f"{name}_add")]
        paths += [reverse(f"{name}_change", args=[row.pk]) for row in model._default_manager.all()[:50]]
        paths += [reverse(f"{name}_history", args=[row.pk]) for row in model._default_manager.all()[:5]]
        for path in paths:
            response = console.get(path)
            assert response.status_code in (200, 403), (path, response.status_code, model_admin)
            traces.add(f"page {path}", response.content.decode())


def _dump_database(traces: Traces) -> None:
    for model in apps.get_models():
        for row in model._default_manager.values():
            traces.add(model._meta.label, row)


def _dump_redis(traces: Traces) -> None:
    redis: Any = get_redis_connection("default")
    readers = {
        b"string": redis.get,
        b"list": lambda name: redis.lrange(name, 0, -1),
        b"set": redis.smembers,
        b"hash": redis.hgetall,
        b"zset": lambda name: redis.zrange(name, 0, -1, withscores=True),
    }
    for name in redis.keys("*"):
        traces.add("redis", f"{name} {readers[redis.type(name)](name)}")


def test_a_line_of_the_log_is_masked_whatever_put_the_key_there(log: io.StringIO) -> None:
    key, secret = keys.generate("len", "sandbox").key, signing.new_signing_secret("len", "live")
    of_webhook = FORMER_SECRET
    logger = logging.getLogger("somebody.else")
    try:
        raise ValueError(f"cannot take {key}")
    except ValueError:
        logger.exception("with %s, %s and Bearer %s", secret, of_webhook, "abc.def")
    text = log.getvalue()
    assert "cannot take ***" in text
    assert "with ***, *** and Bearer ***" in text
    for planted in (key, secret, of_webhook, "abc.def"):
        assert planted not in text
