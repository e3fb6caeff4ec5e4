"""Signatures of version 2 cover every part of the request; version 1 counts only where the partner is allowed it."""

import time
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import AsyncRequestFactory, Client, RequestFactory

from audit.models import AuditEntry
from partner_platform.core.web.request_target import request_target
from partners import credentials
from partners.models import Partner
from tests.factories import PartnerFactory, open_lender, partner_with_key
from tests.support import request_signing
from tests.support.commands import type_command

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.urls")]

PATH, BODY = "/partners/whoami", b'{"amount":"5"}'


@pytest.fixture
def signer() -> "Signer":
    partner, key = partner_with_key()
    secret = credentials.rotate_signing_secret(partner=partner, actor="test")
    credentials.set_signing_required(partner=partner, actor="test", required=True)
    credentials.allow_signature_v1(partner=partner, actor="test", allowed=False)
    return Signer(partner, key, secret)


class Signer:
    """A partner's backend that signs what it sends."""

    def __init__(self, partner: Partner, key: str, secret: str) -> None:
        self.partner, self.key, self.secret = partner, key, secret

    def signed(self, **parts: Any) -> dict[str, str]:
        """Headers of a POST of `BODY` to `PATH`, or of what `parts` say."""
        timestamp = str(time.time_ns() // 1_000_000)
        told = {"method": "POST", "target": PATH.encode(), "idempotency_key": "", "body": BODY, **parts}
        signature = request_signing.sign_v2(secret=self.secret, timestamp=timestamp, **told)
        return {"X-Timestamp": timestamp, "X-Signature": signature}

    def send(
        self,
        headers: dict[str, str],
        method: str = "POST",
        path: str = PATH,
        body: bytes = BODY,
        raw: str | None = None,
    ) -> Any:
        """`raw` is the target as a server has it; without it the client's own path is."""
        environ: dict[str, Any] = {"RAW_URI": raw} if raw is not None else {}
        client: Any = Client(raise_request_exception=False)
        sent = {"Authorization": f"Bearer {self.key}", **headers}
        return client.generic(method, path, body, "application/json", headers=sent, **environ)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def test_a_signed_call_comes_in_and_the_same_signature_never_again(signer: Signer) -> None:
    headers = signer.signed(idempotency_key="order-1")
    headers["Idempotency-Key"] = "order-1"
    assert signer.send(headers).status_code == 201
    assert code(signer.send(headers)) == (401, "replayed_signature")
    upper = {**headers, "X-Signature": "v2=" + headers["X-Signature"][3:].upper()}
    assert code(signer.send(upper)) == (401, "replayed_signature")


@pytest.mark.parametrize(
    "signed",
    [
        {"method": "PUT"},
        {"method": "post "},
        {"target": b"/partners/loan/1"},
        {"target": PATH.encode() + b"?a=1"},
        {"target": PATH.encode() + b"?"},
        {"idempotency_key": "order-1"},
        {"body": BODY + b" "},
        {"body": b""},
    ],
    ids=str,
)
def test_a_signature_of_another_request_is_invalid_whichever_part_differs(
    signer: Signer, signed: dict[str, Any]
) -> None:
    answer = signer.send(signer.signed(**signed))
    assert code(answer) == (401, "invalid_signature")
    assert answer.json()["message"] == "Invalid signature"
    assert signer.send(signer.signed()).status_code == 201


def test_the_idempotency_key_cannot_be_added_changed_or_left_out(signer: Signer) -> None:
    without, with_key = signer.signed(), signer.signed(idempotency_key="order-1")
    assert code(signer.send({**without, "Idempotency-Key": "order-1"})) == (401, "invalid_signature")
    assert code(signer.send({**with_key, "Idempotency-Key": "order-2"})) == (401, "invalid_signature")
    assert code(signer.send(with_key)) == (401, "invalid_signature")
    assert signer.send({**with_key, "Idempotency-Key": "order-1"}).status_code == 201


def test_another_time_is_another_signature_and_an_old_one_expires(signer: Signer) -> None:
    headers = signer.signed()
    later = {**headers, "X-Timestamp": str(int(headers["X-Timestamp"]) + 1)}
    assert code(signer.send(later)) == (401, "invalid_signature")
    stale = str(time.time_ns() // 1_000_000 - 301_000)
    signature = request_signing.sign_v2(
        secret=signer.secret, timestamp=stale, method="POST", target=PATH.encode(), body=BODY
    )
    assert code(signer.send({"X-Timestamp": stale, "X-Signature": signature})) == (401, "request_expired")


@pytest.mark.parametrize("form", ["{0}A", "V2={0}", "v3={0}", "v2=v2={0}", "v2= {0}", "v2={0},v2={0}"])
def test_what_is_not_written_as_a_signature_is_invalid(signer: Signer, form: str) -> None:
    headers = signer.signed()
    written = form.format(headers["X-Signature"].removeprefix("v2="))
    assert code(signer.send({**headers, "X-Signature": written})) == (401, "invalid_signature")


def test_the_target_is_signed_as_the_client_wrote_it(signer: Signer) -> None:
    """`%61` is `a`: Django sees one path, but the client signed the other."""
    raw, decoded = "/partners/loan/lo%61n-1?x=%20", "/partners/loan/loan-1?x=%20"
    read = {"method": "GET", "body": b""}
    as_sent = signer.signed(target=raw.encode(), **read)
    assert signer.send(as_sent, "GET", decoded, b"", raw=raw).status_code == 200
    as_seen = signer.signed(target=decoded.encode(), **read)
    assert code(signer.send(as_seen, "GET", decoded, b"", raw=raw)) == (401, "invalid_signature")
    absolute = signer.signed(target=raw.encode(), **read)
    assert signer.send(absolute, "GET", decoded, b"", raw=f"http://api.example.com{raw}").status_code == 200
    # What the client calls RAW_URI is a header of its own, and nothing else.
    claimed = {**signer.signed(target=decoded.encode(), **read), "RAW-URI": decoded}
    assert code(signer.send(claimed, "GET", decoded, b"", raw=raw)) == (401, "invalid_signature")


def test_every_server_s_raw_target_is_found() -> None:
    plain, asynchronous = RequestFactory(), AsyncRequestFactory()
    assert request_target(plain.get("/a b?x=1&y=%20")) == b"/a%20b?x=1&y=%20"
    assert request_target(plain.get("/a", REQUEST_URI="/%61?q")) == b"/%61?q"
    assert request_target(plain.get("/a", RAW_URI="/\xe9?q")) == b"/\xe9?q"
    assert request_target(plain.get("/a", RAW_URI="http://host:1/%61")) == b"/%61"
    request: Any = asynchronous.get("/a")
    request.scope |= {"raw_path": b"/%61", "query_string": b"x=%20"}
    assert request_target(request) == b"/%61?x=%20"
    request.scope["query_string"] = b""
    assert request_target(request) == b"/%61"


def test_version_1_counts_only_where_the_partner_is_allowed_it(signer: Signer) -> None:
    def version_1(offset: int) -> dict[str, str]:
        timestamp = str(time.time_ns() // 1_000_000 + offset)
        signature = request_signing.sign_v1(secret=signer.secret, timestamp=timestamp, body=BODY)
        return {"X-Timestamp": timestamp, "X-Signature": signature}

    refused = signer.send(version_1(0))
    assert code(refused) == (401, "invalid_signature")
    assert refused.json()["message"] == "Signatures of version 1 are not taken from this partner; sign version 2"
    assert refused.json()["details"] == {"X-Signature": ["Must be v2= and 64 hex digits."]}
    credentials.allow_signature_v1(partner=signer.partner, actor="test", allowed=True)
    assert signer.send(version_1(1)).status_code == 201
    assert signer.send(signer.signed()).status_code == 201
    # Neither is taken for the other.
    headers = version_1(2)
    assert code(signer.send({**headers, "X-Signature": "v2=" + headers["X-Signature"]})) == (401, "invalid_signature")
    headers = signer.signed()
    assert code(signer.send({**headers, "X-Signature": headers["X-Signature"][3:]})) == (401, "invalid_signature")


@pytest.mark.parametrize(("is_sandbox", "allowed"), [(True, True), (False, False)])
def test_a_new_partner_may_sign_version_1_in_sandbox_and_not_live(
    settings: Any, is_sandbox: bool, allowed: bool
) -> None:
    settings.IS_SANDBOX = is_sandbox
    partner, _ = open_lender("0x" + "5e" * 20)
    assert Partner.objects.get(pk=partner.pk).signature_v1_allowed is allowed


def test_the_command_shows_and_changes_how_a_partner_signs_with_its_entry() -> None:
    partner = PartnerFactory.create()

    def told(*options: str) -> str:
        out = StringIO()
        type_command("set_signing", partner.partner_id, *options, stdout=out)
        return out.getvalue().strip()

    name = partner.partner_id
    assert told() == f"Requests of {name} may be unsigned; version 1 and 2."
    assert told("--v1", "no") == f"Requests of {name} may be unsigned; version 2 only."
    with pytest.raises(CommandError, match="--required: Make a signing secret first"):
        told("--required", "yes")
    credentials.rotate_signing_secret(partner=partner, actor="test")
    assert told("--required", "yes", "--v1", "yes") == f"Requests of {name} must be signed; version 1 and 2."
    told("--v1", "yes")  # nothing changes, and nothing is written
    entries = AuditEntry.objects.filter(action="partner.signature_v1_changed").order_by("pk")
    values = sorted((entry.before["signatureV1Allowed"], entry.after["signatureV1Allowed"]) for entry in entries)
    assert values == [(False, True), (True, False)]


@pytest.mark.django_db(transaction=True)
def test_partners_from_before_version_2_may_go_on_with_version_1(settings: Any) -> None:
    settings.IS_SANDBOX = False
    before = [("partners", "0008_status_reasons")]
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes()  # of all apps: later tests need what depends on the partners' too
    executor.migrate(before)
    try:
        old = executor.loader.project_state(before).apps.get_model("partners", "Partner")
        old.objects.create(
            partner_id="partner_old_001",
            partner_name="Old",
            key_label="old",
            daily_borrow_limit=1,
            total_borrow_limit=1,
            settlement_address="0x" + "5e" * 20,
            contact_email="dev@lender.example",
            created_by="test",
        )
    finally:
        MigrationExecutor(connection).migrate(newest)
    assert Partner.objects.get().signature_v1_allowed
    assert import_module("partners.models").signature_v1_by_default() is False
