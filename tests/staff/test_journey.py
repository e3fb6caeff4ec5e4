"""The plan's staff endpoints 9 to 14 and 16, one after the other, with the plan's bodies and answers."""

import re
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from partners import settlement_addresses
from partners.models import ApiKey, IdempotencyKey, Partner
from tests.staff.world import PLANS_PARTNER, StaffWorld
from tests.support.staff_api import StaffApi

pytestmark = pytest.mark.django_db

KEY = re.compile(r"pk_nlp_sandbox_[a-z0-9]{32}")
SAVE_IT = "Save this API key securely. It will not be shown again!"
STATS = "/partners/my/stats"


def with_key(key: str, path: str = STATS) -> Any:
    return Client().get(path, headers={"Authorization": f"Bearer {key}"})


def created(api: StaffApi, **headers: str) -> dict[str, Any]:
    answer = api.post("/admin/partners/create", PLANS_PARTNER, **headers)
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_a_partner_from_its_opening_to_its_calls_in_the_log(world: StaffWorld) -> None:
    api = world.api

    made = created(api)
    key, secret = made.pop("apiKey"), made.pop("webhookSecret")
    assert KEY.fullmatch(key)
    assert secret.startswith("whsec_")
    assert made == {
        "success": True,
        "partner": {
            "partnerId": "partner_nlp_002",
            "partnerName": "New Lending Platform",
            "status": "ACTIVE",
            "tier": "BASIC",
        },
        "warning": SAVE_IT,
    }
    path = "/admin/partners/partner_nlp_002"
    shown = api.get(path).json()
    assert {name: shown[name] for name in PLANS_PARTNER} == PLANS_PARTNER
    assert (shown["createdBy"], shown["currentOutstanding"]) == ("staff:ann", "0")
    assert key not in str(shown)
    assert secret not in str(shown)
    assert with_key(key).status_code == 200

    found = api.get("/admin/partners?status=ACTIVE&tier=BASIC").json()
    assert [row["partnerId"] for row in found["partners"]] == ["partner_nlp_002", world.partner.partner_id]
    assert {name: found[name] for name in ("total", "limit", "offset", "next")} == {
        "total": 2,
        "limit": 10,
        "offset": 0,
        "next": None,
    }

    changes = {"dailyBorrowLimit": "75000000000", "totalBorrowLimit": "300000000000", "tier": "PREMIUM"}
    updated = api("PATCH", path, changes)
    assert (updated.status_code, updated.json()["success"]) == (200, True)
    assert {name: updated.json()["partner"][name] for name in changes} == changes
    assert with_key(key).json()["limits"]["dailyBorrowLimit"] == "75000000000"

    suspended = api.post(f"{path}/suspend", {"reason": "Its keys were published."}).json()["partner"]
    assert (suspended["status"], suspended["statusReason"]) == ("SUSPENDED", "Its keys were published.")
    refused = with_key(key)
    assert (refused.status_code, refused.json()["message"]) == (403, "Partner account is suspended")
    active = api.post(f"{path}/activate").json()["partner"]
    assert (active["status"], active["statusReason"]) == ("ACTIVE", None)
    assert with_key(key).status_code == 200

    renewed = api.post(f"{path}/regenerate-api-key").json()
    new_key = renewed.pop("apiKey")
    assert renewed == {
        "success": True,
        "warning": "Old API key has been invalidated. Save this new key securely!",
    }
    assert (with_key(key).status_code, with_key(new_key).status_code) == (401, 200)

    logs = api.get("/admin/partners/audit-logs?partnerId=partner_nlp_002&startDate=2026-01-01&limit=100").json()
    assert [(log["statusCode"], log["errorMessage"]) for log in logs["logs"]] == [
        (200, None),
        (401, "Invalid API key"),
        (200, None),
        (403, "Partner account is suspended"),
        (200, None),
        (200, None),
    ]
    assert {log["partnerName"] for log in logs["logs"]} == {"New Lending Platform"}
    assert (logs["total"], logs["limit"], logs["next"]) == (6, 100, None)
    actions = AuditEntry.objects.filter(target="partner:partner_nlp_002").order_by("timestamp")
    assert [(entry.actor, entry.action) for entry in actions] == [
        ("staff:ann", "partner.created"),
        ("staff:ann", "partner.updated"),
        ("staff:ann", "partner.suspended"),
        ("staff:ann", "partner.activated"),
        ("staff:ann", "partner.api_key_rotated"),
    ]


def test_a_key_in_its_grace_works_beside_the_new_one(world: StaffWorld) -> None:
    key = created(world.api)["apiKey"]
    answer = world.api.post("/admin/partners/partner_nlp_002/regenerate-api-key", {"gracePeriodHours": 24}).json()
    assert answer["warning"] == "The old API key stays valid for 24 hours at most. Save this new key securely!"
    assert [with_key(one).status_code for one in (key, answer["apiKey"])] == [200, 200]


def test_keys_are_listed_added_and_revoked_and_another_partners_is_not_found(world: StaffWorld) -> None:
    created(world.api)
    path = "/admin/partners/partner_nlp_002/keys"
    body = {"scopes": ["read"], "expiresAt": "2099-01-05T10:30:00Z"}
    added = world.api.post(path, body).json()
    assert with_key(added["apiKey"]).status_code == 200
    assert (added["warning"], added["key"]["scopes"], added["key"]["expiresAt"]) == (SAVE_IT, *body.values())
    listed = world.api.get(path).json()["keys"]
    assert (len(listed), listed[0]["id"], listed[0]["isLive"]) == (2, added["key"]["id"], True)
    assert added["apiKey"] not in str(listed)
    third = world.api.post(path)
    assert (third.status_code, third.json()["details"]) == (400, {"apiKey": ["2 keys are live; revoke one first."]})

    revoked = world.api("DELETE", f"{path}/{added['key']['id']}").json()
    assert (revoked["success"], revoked["key"]["isLive"]) == (True, False)
    assert world.api("DELETE", f"{path}/{added['key']['id']}").json() == revoked
    assert with_key(added["apiKey"]).status_code == 401
    others = world.api("DELETE", f"{path}/{world.key.pk}")
    assert (others.status_code, others.json()["code"]) == (404, "api_key_not_found")
    assert ApiKey.objects.get(pk=world.key.pk).revoked_at is None


def test_secrets_are_shown_once_and_stand_in_no_answer_and_no_entry(world: StaffWorld) -> None:
    created(world.api)
    path = "/admin/partners/partner_nlp_002"
    webhook = world.api.post(f"{path}/rotate-webhook-secret").json()
    signing = world.api.post(f"{path}/rotate-signing-secret").json()
    assert webhook["webhookSecret"].startswith("whsec_")
    assert signing["signingSecret"].startswith("sk_nlp_sandbox_")
    everything = str([world.api.get(path).json(), list(AuditEntry.objects.values())])
    assert webhook["webhookSecret"] not in everything
    assert signing["signingSecret"] not in everything
    world.api("PATCH", path, {"webhookUrl": ""})
    none = world.api.post(f"{path}/rotate-webhook-secret")
    assert (none.status_code, none.json()["code"]) == (404, "endpoint_not_found")
    again = world.api("PATCH", path, {"webhookUrl": "https://newplatform.com/again"}).json()
    assert again["webhookSecret"].startswith("whsec_")


def test_the_same_key_opens_one_partner_and_shows_its_api_key_again(world: StaffWorld) -> None:
    once = {"Idempotency-Key": "opening-1"}
    first = created(world.api, **once)
    again = world.api.post("/admin/partners/create", PLANS_PARTNER, **once)
    assert (again.status_code, again.json(), again["Idempotent-Replayed"]) == (201, first, "true")
    assert Partner.objects.count() == 2
    kept = IdempotencyKey.objects.get()
    assert (kept.answer, first["apiKey"] in kept.sealed_answer) == ("", False)


def test_a_bad_term_is_named_and_nothing_is_opened(world: StaffWorld) -> None:
    wrong = {"dailyBorrowLimit": 5, "tier": "GOLD", "colour": "red", "settlementAddress": "0x1"}
    answer = world.api.post("/admin/partners/create", {**PLANS_PARTNER, **wrong})
    assert (answer.status_code, set(answer.json()["details"])) == (400, set(wrong))
    taken = {**PLANS_PARTNER, "settlementAddress": world.partner.settlement_address}
    answer = world.api.post("/admin/partners/create", taken)
    said = f"Belongs to {world.partner.partner_id}, now or formerly."
    assert (answer.status_code, answer.json()["details"]) == (400, {"settlementAddress": [said]})
    assert Partner.objects.count() == 1


def test_an_address_that_another_takes_at_the_same_moment_is_named_and_no_bug(
    world: StaffWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, looks = settlement_addresses.require_free, []

    def look(address: str, **whose: Any) -> None:
        looks.append(address)
        if len(looks) > 1:  # at the first look it was free
            really(address, **whose)

    monkeypatch.setattr(settlement_addresses, "require_free", look)
    taken = {**PLANS_PARTNER, "settlementAddress": world.partner.settlement_address}
    answer = world.api.post("/admin/partners/create", taken, **{"Idempotency-Key": "opening-1"})
    assert (answer.status_code, list(answer.json()["details"]), len(looks)) == (400, ["settlementAddress"], 2)
    assert Partner.objects.count() == 1


def test_create_and_audit_logs_are_no_partners_ids(world: StaffWorld) -> None:
    assert world.api.get("/admin/partners/create").status_code == 405
    assert "logs" in world.api.get("/admin/partners/audit-logs").json()
    assert world.api.get("/admin/partners/nobody").json()["code"] == "partner_not_found"


def test_a_loan_is_marked_as_defaulted_with_a_reason_and_cured(world: StaffWorld) -> None:
    path = f"/admin/loans/{world.loan.internal_loan_id}"
    assert world.api.post(f"{path}/default", {}).json()["details"] == {"reason": ["This field is required."]}
    loan = world.api.post(f"{path}/default", {"reason": "The borrower is insolvent."}).json()["loan"]
    assert (loan["status"], loan["defaultReason"]) == ("DEFAULTED", "The borrower is insolvent.")
    assert (loan["partnerId"], loan["partnerName"]) == (world.partner.partner_id, "Lender 0")
    twice = world.api.post(f"{path}/default", {"reason": "Again"})
    assert (twice.status_code, twice.json()["details"]) == (400, {"status": "DEFAULTED"})
    assert world.api.post(f"{path}/cure").json()["loan"]["status"] == "ACTIVE"
    assert world.api.get(path).json()["defaultReason"] is None
    entries = AuditEntry.objects.filter(action__in=["loan.defaulted", "loan.cured"]).order_by("timestamp")
    assert [entry.actor for entry in entries] == ["staff:ann", "staff:ann"]
