"""A partner with the scope `manage` rotates and revokes its own keys, and its signing secret."""

import datetime as dt
from typing import Any

import pytest

from audit.models import AuditEntry
from partner_platform.core import clock
from partner_platform.core.errors import PlatformError
from partner_platform.core.secrets import crypto
from partners import keys, own_keys
from partners.models import ApiKey, IdempotencyKey, Partner
from tests.core.concurrency import at_once
from tests.factories import ApiKeyFactory
from tests.webhooks.making import Caller

pytestmark = pytest.mark.django_db(transaction=True)

MANAGE = ["read", "manage"]
DAY = dt.timedelta(days=1)


@pytest.fixture
def call() -> Caller:
    return Caller(scopes=MANAGE, created_at=clock.now() - 10 * DAY)


def rotate(call: Caller, hours: int | None = None, **headers: str) -> Any:
    return call("POST", "keys/rotate", {} if hours is None else {"gracePeriodHours": hours}, **headers)


def test_a_rotated_key_is_refused_at_once_and_the_new_one_has_its_scopes(call: Caller) -> None:
    made = rotate(call).json()
    row = ApiKey.objects.get(pk=made["id"])
    assert row.key_hash == keys.hash_key(made["apiKey"])
    assert (row.scopes, row.expires_at, made["scopes"], made["expiresAt"]) == (MANAGE, None, MANAGE, None)
    assert made["warning"] == "Save this API key securely. It will not be shown again!"
    assert call("GET", "keys").json()["code"] == "invalid_api_key"
    call.key = made["apiKey"]
    shown = call("GET", "keys").json()["keys"]
    assert [(key["id"], key["prefix"], key["isInUse"]) for key in shown] == [(made["id"], made["apiKey"][:16], True)]
    entry = AuditEntry.objects.get(action="partner.api_key_rotated")
    assert (entry.actor, entry.target) == (f"partner:{call.partner.partner_id}",) * 2
    assert made["apiKey"][16:] not in str((entry.before, entry.after))


def test_with_grace_the_former_key_calls_on_but_makes_no_further_key(call: Caller) -> None:
    made = rotate(call, 24).json()
    former = ApiKey.objects.get(pk=call.api_key.pk)
    assert made["formerKeyValidUntil"] == clock.isoformat(former.expires_at)
    assert clock.now() + dt.timedelta(hours=23) < former.expires_at <= clock.now() + DAY
    assert [key["isInUse"] for key in call("GET", "keys").json()["keys"]] == [False, True]
    refused = rotate(call)
    assert (refused.status_code, refused.json()["code"]) == (409, "api_key_replaced")
    assert ApiKey.objects.count() == 2


def test_a_key_with_an_end_is_replaced_by_one_with_an_end_as_far_away(call: Caller) -> None:
    ApiKey.objects.filter(pk=call.api_key.pk).update(expires_at=clock.now() + 20 * DAY)
    made = ApiKey.objects.get(pk=rotate(call).json()["id"])
    assert abs(made.expires_at - (clock.now() + 30 * DAY)) < dt.timedelta(minutes=1)


def test_a_rotation_leaves_the_partners_other_key_alone_and_makes_no_third(call: Caller) -> None:
    other = ApiKeyFactory.create(partner=call.partner, scopes=["read"], created_at=clock.now() - 20 * DAY)
    refused = rotate(call, 1)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_api_keys")
    assert rotate(call, 0).status_code == 200
    other.refresh_from_db()
    assert (other.revoked_at, other.expires_at) == (None, None)
    assert ApiKey.objects.filter(revoked_at=None).count() == 2


def test_of_two_rotations_with_one_key_at_once_one_makes_a_key(call: Caller) -> None:
    def act(_: int) -> str:
        try:
            return own_keys.rotate_own_key(in_use=call.api_key, grace_hours=0).row.scopes[1]
        except PlatformError as error:
            return error.code

    assert sorted(at_once(2, act)) == ["invalid_api_key", "manage"]
    assert ApiKey.objects.count() == 2


def test_with_an_idempotency_key_the_new_key_is_shown_again_to_who_rotated_with_grace(call: Caller) -> None:
    first, again = (rotate(call, 24, **{"Idempotency-Key": "one"}) for _ in range(2))
    assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")
    kept = IdempotencyKey.objects.get()
    assert first.json()["apiKey"] in crypto.decrypt(kept.sealed_answer)
    assert (kept.answer, ApiKey.objects.count()) == ("", 2)


@pytest.mark.parametrize("hours", [-1, 169, "24", 1.5, True])
def test_hours_of_grace_are_a_whole_number_up_to_a_week(call: Caller, hours: Any) -> None:
    for path in ("keys/rotate", "signing-secret/rotate"):
        refused = call("POST", path, {"gracePeriodHours": hours})
        assert (refused.status_code, list(refused.json()["details"])) == (400, ["gracePeriodHours"])
    assert ApiKey.objects.count() == 1


def test_a_key_is_deleted_its_own_too_but_never_the_last(call: Caller) -> None:
    refused = call("DELETE", f"keys/{call.api_key.pk}")
    assert (refused.status_code, refused.json()["code"]) == (409, "last_api_key")
    other = Caller(call.partner, scopes=MANAGE, key="pk_test_sandbox_" + "b" * 32)
    stranger = Caller(scopes=MANAGE)
    for key_id in (stranger.api_key.pk, "nobodys"):
        assert call("DELETE", f"keys/{key_id}").json()["code"] == "api_key_not_found"
    assert call("DELETE", f"keys/{call.api_key.pk}").status_code == 204
    assert call("GET", "keys").status_code == 401
    assert other("DELETE", f"keys/{call.api_key.pk}").json()["code"] == "api_key_not_found"
    assert other("DELETE", f"keys/{other.api_key.pk}").json()["code"] == "last_api_key"
    assert ApiKey.objects.filter(revoked_at=None).count() == 2
    entry = AuditEntry.objects.get(action="partner.api_key_revoked")
    assert entry.actor == f"partner:{call.partner.partner_id}"


def test_two_keys_that_delete_each_other_at_once_leave_one(call: Caller) -> None:
    pair = [call, Caller(call.partner, scopes=MANAGE, key="pk_test_sandbox_" + "b" * 32)]

    def act(number: int) -> str:
        try:
            own_keys.revoke_own_key(in_use=pair[number].api_key, key_id=str(pair[1 - number].api_key.pk))
        except PlatformError as error:
            return error.code
        return "revoked"

    assert sorted(at_once(2, act)) == ["invalid_api_key", "revoked"]
    assert ApiKey.objects.filter(revoked_at=None).count() == 1


def test_the_signing_secret_is_rotated_with_and_without_grace(call: Caller) -> None:
    first = call("POST", "signing-secret/rotate", {}).json()["signingSecret"]
    partner = Partner.objects.get()
    assert (crypto.decrypt(partner.signing_secret), partner.previous_signing_secret) == (first, "")
    answer = call("POST", "signing-secret/rotate", {"gracePeriodHours": 24}, **{"Idempotency-Key": "one"}).json()
    partner.refresh_from_db()
    assert crypto.decrypt(partner.signing_secret) == answer["signingSecret"] != first
    assert crypto.decrypt(partner.previous_signing_secret) == first
    assert answer["formerSecretValidUntil"] == clock.isoformat(partner.previous_signing_secret_until)
    assert answer["signingSecret"] not in str(IdempotencyKey.objects.values().get())
    actors = set(AuditEntry.objects.filter(action="partner.signing_secret_rotated").values_list("actor", flat=True))
    assert actors == {f"partner:{call.partner.partner_id}"}


def test_without_the_scope_nothing_of_it_is_done_or_read() -> None:
    call = Caller()  # every scope that a key has by itself
    for method, path in (
        ("GET", "keys"),
        ("POST", "keys/rotate"),
        ("DELETE", f"keys/{call.api_key.pk}"),
        ("POST", "signing-secret/rotate"),
    ):
        refused = call(method, path, {} if method == "POST" else None)
        assert (refused.status_code, refused.json()["details"]) == (403, {"missingScopes": ["manage"]})
    assert (ApiKey.objects.count(), AuditEntry.objects.count()) == (1, 0)
