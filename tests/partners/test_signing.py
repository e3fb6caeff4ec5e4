"""Signed calls: whose signature counts, for how long, and only once."""

import datetime as dt
import time
from typing import Any

import pytest
from django.test import Client
from django_redis import get_redis_connection

from partner_platform.core import clock
from partner_platform.core.secrets import crypto
from partners import credentials
from partners.access import rate_limit, signing
from partners.models import Partner
from tests.factories import partner_with_key
from tests.support import request_signing

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.urls")]

BODY = b'{"amount":"5"}'


@pytest.fixture
def signer() -> "Signer":
    partner, key = partner_with_key()
    secret = credentials.rotate_signing_secret(partner=partner, actor="test")
    credentials.set_signing_required(partner=partner, actor="test", required=True)
    return Signer(partner, key, secret)


class Signer:
    """A partner's backend that signs what it sends."""

    def __init__(self, partner: Partner, key: str, secret: str) -> None:
        self.partner, self.key, self.secret = partner, key, secret

    def headers(self, body: bytes = BODY, *, seconds: float = 0, secret: str | None = None) -> dict[str, str]:
        timestamp = str(time.time_ns() // 1_000_000 + int(seconds * 1000))
        signature = request_signing.sign_v1(secret=secret or self.secret, timestamp=timestamp, body=body)
        return {"X-Timestamp": timestamp, "X-Signature": signature}

    def post(self, headers: dict[str, str], body: bytes = BODY, **extra: Any) -> Any:
        return Client(raise_request_exception=False).post(
            "/partners/whoami",
            data=body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.key}", **headers},
            **extra,
        )


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def test_a_signed_call_comes_in_and_the_same_signature_never_again(signer: Signer) -> None:
    headers = signer.headers()
    assert signer.post(headers).status_code == 201
    assert code(signer.post(headers)) == (401, "replayed_signature")
    assert code(signer.post({**headers, "X-Signature": headers["X-Signature"].upper()})) == (401, "replayed_signature")
    assert signer.post(signer.headers(seconds=0.001)).status_code == 201


def test_the_formula_is_the_plans() -> None:
    # node -e 'crypto.createHmac("sha256","secret").update(`1704567890123.{"a":1}`).digest("hex")'
    assert (
        request_signing.sign_v1(secret="secret", timestamp="1704567890123", body=b'{"a":1}')
        == "386a801fa9e3bd28820f9bf2c1171d6b66f2cc6710a62787de1da6fb525c2c22"
    )


def test_a_read_is_signed_over_its_empty_body(signer: Signer) -> None:
    headers = {"Authorization": f"Bearer {signer.key}", **signer.headers(b"")}
    assert Client().get("/partners/whoami", headers=headers).status_code == 200


@pytest.mark.parametrize("missing", ["X-Timestamp", "X-Signature"])
def test_without_either_header_the_signature_is_missing(signer: Signer, missing: str) -> None:
    headers = signer.headers()
    del headers[missing]
    assert code(signer.post(headers)) == (401, "missing_signature")


def test_anything_that_was_not_signed_so_is_invalid(signer: Signer) -> None:
    good = signer.headers()
    for headers, body in (
        (good, BODY + b" "),
        ({**good, "X-Timestamp": str(int(good["X-Timestamp"]) + 1)}, BODY),
        ({**good, "X-Timestamp": good["X-Timestamp"][:10]}, BODY),
        ({**good, "X-Timestamp": "now"}, BODY),
        ({**good, "X-Signature": good["X-Signature"][:-1]}, BODY),
        ({**good, "X-Signature": "0" * 64}, BODY),
        ({**good, "X-Signature": "é" * 64}, BODY),
        (signer.headers(secret=signer.key), BODY),
    ):
        answer = signer.post(headers, body)
        assert code(answer) == (401, "invalid_signature"), (headers, body)
        assert answer.json()["message"] == "Invalid signature"
        assert signer.secret not in answer.content.decode()
    assert signer.post(good).status_code == 201  # none of them used it up


@pytest.mark.parametrize(("seconds", "status"), [(-301, 401), (-299, 201), (299, 201), (302, 401)])
def test_a_signature_holds_five_minutes_either_way(signer: Signer, seconds: int, status: int) -> None:
    answer = signer.post(signer.headers(seconds=seconds))
    assert answer.status_code == status
    if status == 401:
        assert (answer.json()["code"], answer.json()["message"]) == ("request_expired", "Request expired")


def test_a_signature_is_remembered_for_as_long_as_it_could_be_valid(signer: Signer) -> None:
    headers = signer.headers(seconds=299)
    signer.post(headers)
    left = get_redis_connection("default").ttl(f"signature:{signer.partner.pk}:{headers['X-Signature']}")
    assert left >= 2 * signing.WINDOW_SECONDS - 2


def test_during_the_grace_of_a_rotation_both_secrets_sign_and_after_it_the_new_one(signer: Signer) -> None:
    new = credentials.rotate_signing_secret(partner=signer.partner, actor="test", grace_hours=24)
    assert signer.post(signer.headers()).status_code == 201
    assert signer.post(signer.headers(seconds=1, secret=new)).status_code == 201
    Partner.objects.update(previous_signing_secret_until=clock.now() - dt.timedelta(seconds=1))
    assert code(signer.post(signer.headers(seconds=2))) == (401, "invalid_signature")
    assert signer.post(signer.headers(seconds=3, secret=new)).status_code == 201


def test_signing_is_off_until_it_is_asked_for() -> None:
    partner, key = partner_with_key()
    credentials.rotate_signing_secret(partner=partner, actor="test")
    assert Signer(partner, key, "").post({}).status_code == 201


def test_the_address_is_checked_before_the_signature_and_the_signature_before_the_rate(signer: Signer) -> None:
    for _ in range(100):
        rate_limit.count_call(quota=rate_limit.partner_quota("BASIC"), subject=str(signer.partner.pk))
    used_up, unsigned = signer.post(signer.headers()), signer.post({})
    Partner.objects.update(ip_allow_list=["203.0.113.0/24"])
    elsewhere, suspended_key = signer.post({}), signer.post({"Authorization": "Bearer nonsense"})
    assert code(used_up) == (429, "rate_limited")
    assert code(unsigned) == (401, "missing_signature")
    assert code(elsewhere) == (403, "ip_not_allowed")
    assert code(suspended_key) == (401, "invalid_api_key")
    # The body comes last.
    Partner.objects.update(ip_allow_list=[])
    get_redis_connection("default").delete(f"rate:{signer.partner.pk}")
    assert code(signer.post(signer.headers(b"not json", seconds=5), b"not json")) == (400, "invalid_request")


def test_the_secret_is_stored_encrypted_and_said_once(signer: Signer) -> None:
    row = Partner.objects.get()
    assert signer.secret.startswith("sk_test_sandbox_")
    assert signer.secret not in row.signing_secret
    assert crypto.decrypt(row.signing_secret) == signer.secret
