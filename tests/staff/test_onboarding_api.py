"""Onboarding over the staff API: each call through the whole stack, by who may and by who may not."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from partners import services
from partners.models import Partner
from partners.onboarding.models import Onboarding, OnboardingContact, OnboardingDocument, OnboardingNote
from tests.factories import PartnerFactory
from tests.support.acting import group_of, staff
from tests.support.signing_in import tokens_of

pytestmark = pytest.mark.django_db

SHA = "9f" * 32
DOCUMENT = {"kind": "REGISTRATION", "reference": "dms://4711", "sha256": SHA}


class Caller:
    """A member of staff with a role, at the API."""

    def __init__(self, role: str) -> None:
        self.user = User.objects.create(username=f"{role}-person", is_staff=True)
        self.user.groups.add(group_of(role))
        self.headers = {"Authorization": f"Bearer {tokens_of(self.user).access}"}

    def __call__(self, method: str, path: str, body: Mapping[str, object] | None = None, **headers: str) -> Any:
        data = {} if body is None else {"data": body, "content_type": "application/json"}
        call = getattr(Client(), method.lower())
        return call(f"/admin/partners/{path}", headers={**self.headers, **headers}, **data)


@pytest.fixture
def partner(settings: Settings) -> Partner:
    settings.ONBOARDING = "required"
    return services.create_partner(
        actor=staff("ann"),
        partner_id="partner_nlp_003",
        partner_name="New Lending Platform",
        key_label="nlp",
        daily_borrow_limit="50000000000",
        total_borrow_limit="200000000000",
        settlement_address="0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
        contact_email="api@newplatform.com",
    ).partner


def test_a_partner_is_taken_from_its_application_to_live_over_the_api(partner: Partner) -> None:
    call, path = Caller("credit"), partner.partner_id
    before = call("GET", f"{path}/onboarding").json()
    assert (before["stage"], before["status"], before["isRequired"]) == ("APPLIED", "INACTIVE", True)
    assert before["missing"] == ["companyName", "useCase", "expectedMonthlyVolume"]

    profile = {
        "companyName": "New Lending Platform GmbH",
        "useCase": "Working capital",
        "expectedMonthlyVolume": "50000000000",
        "beneficialOwners": [{"name": "Erika Mustermann", "country": "DE", "shareBasisPoints": 6000}],
    }
    assert call("PATCH", f"{path}/onboarding", profile).json() == {**before, **profile, "missing": []}
    assert call("POST", f"{path}/onboarding/advance", {"stage": "KYC"}).json()["stage"] == "KYC"
    refused = call("POST", f"{path}/onboarding/advance", {"stage": "CONTRACT"})
    assert (refused.status_code, refused.json()["code"]) == (400, "onboarding_incomplete")
    assert refused.json()["details"] == {
        "missing": ["document REGISTRATION", "document COMPLIANCE", "kycVerified"],
        "stage": "KYC",
    }
    for kind in ("REGISTRATION", "COMPLIANCE"):
        added = call("POST", f"{path}/documents", {**DOCUMENT, "kind": kind})
        assert (added.status_code, added.json()["verdict"], added.json()["addedBy"]) == (
            201,
            None,
            "staff:credit-person",
        )
        checked = call("POST", f"{path}/documents/{added.json()['id']}/check", {"verdict": "ACCEPTED"})
        assert (checked.status_code, checked.json()["verdict"]) == (200, "ACCEPTED")
    kyc = call("PATCH", f"{path}/onboarding", {"kycVerified": True}).json()
    assert (kyc["kycVerified"], kyc["kycCheckedBy"], kyc["missing"]) == (True, "staff:credit-person", [])
    call("POST", f"{path}/onboarding/advance", {"stage": "CONTRACT"})
    call("PATCH", f"{path}/onboarding", {"contractSigned": True})
    call("POST", f"{path}/onboarding/advance", {"stage": "SANDBOX"})
    live = call("POST", f"{path}/onboarding/advance", {"stage": "LIVE"})
    assert (live.status_code, live.json()["stage"], live.json()["missing"]) == (200, "LIVE", [])
    assert services.activate_partner(partner=partner, actor=staff("ann")).status == "ACTIVE"


def test_documents_contacts_and_notes_are_listed_newest_first_and_a_repeated_call_adds_one(partner: Partner) -> None:
    call, path = Caller("credit"), partner.partner_id
    key = {"Idempotency-Key": "once"}
    first, again = (call("POST", f"{path}/documents", DOCUMENT, **key) for _ in range(2))
    assert (first.json()["id"], again["Idempotent-Replayed"]) == (again.json()["id"], "true")
    call("POST", f"{path}/documents", {**DOCUMENT, "kind": "OTHER"})
    page = call("GET", f"{path}/documents?limit=1").json()
    assert (page["total"], page["hasMore"], page["documents"][0]["kind"]) == (2, True, "OTHER")
    rest = call("GET", f"{path}/documents?limit=1&cursor={page['next']}").json()
    assert [row["id"] for row in rest["documents"]] == [first.json()["id"]]

    contact = call("POST", f"{path}/contacts", {"name": "Max", "email": "max@x.example"})
    assert (contact.status_code, contact.json()["role"]) == (201, "")
    assert call("GET", f"{path}/contacts").json()["contacts"] == [contact.json()]
    assert call("DELETE", f"{path}/contacts/{contact.json()['id']}").json() == contact.json()
    assert call("DELETE", f"{path}/contacts/{contact.json()['id']}").json()["code"] == "contact_not_found"
    assert OnboardingContact.objects.count() == 0

    note = call("POST", f"{path}/notes", {"text": "Called."})
    assert (note.status_code, note.json()["writtenBy"]) == (201, "staff:credit-person")
    assert call("GET", f"{path}/notes").json()["notes"] == [note.json()]


WRITES: list[tuple[str, str, dict[str, object]]] = [
    ("PATCH", "onboarding", {"kycVerified": True}),
    ("POST", "onboarding/advance", {"stage": "KYC"}),
    ("POST", "documents", dict(DOCUMENT)),
    ("POST", "documents/x/check", {"verdict": "ACCEPTED"}),
    ("POST", "contacts", {"name": "Max", "email": "max@x.example"}),
    ("DELETE", "contacts/x", {}),
    ("POST", "notes", {"text": "Called."}),
]
READS = ("onboarding", "documents", "contacts", "notes")


def test_who_may_only_look_reads_everything_and_writes_nothing_and_a_stranger_does_neither(partner: Partner) -> None:
    written = AuditEntry.objects.count()
    for role in ("viewer", "support", "operator", "auditor"):
        call = Caller(role)
        assert {call("GET", f"{partner.partner_id}/{path}").status_code for path in READS} == {200}
        for method, path, body in WRITES:
            answer = call(method, f"{partner.partner_id}/{path}", body)
            assert (answer.status_code, answer.json()["details"]) == (403, {"right": "staff.manage_onboarding"}), path
    stranger = Caller("nobody")
    assert {stranger("GET", f"{partner.partner_id}/{path}").status_code for path in READS} == {403}
    assert Client().get(f"/admin/partners/{partner.partner_id}/onboarding").json()["code"] == "missing_token"
    assert AuditEntry.objects.filter(action__startswith="partner.onboarding").count() == 0
    assert (OnboardingDocument.objects.count(), OnboardingNote.objects.count(), written) == (0, 0, 1)
    assert Onboarding.objects.get().stage == "APPLIED"


def test_an_unknown_partner_is_404_and_a_bad_body_names_its_field() -> None:
    call, known = Caller("credit"), PartnerFactory.create().partner_id
    for method, path, body in [*WRITES, *(("GET", path, {}) for path in READS)]:
        answer = call(method, f"partner_nobody/{path}", None if method in ("GET", "DELETE") else body)
        assert (answer.status_code, answer.json()["code"]) == (404, "partner_not_found"), path
    bad: list[tuple[str, str, dict[str, object], str]] = [
        ("PATCH", "onboarding", {"kycVerified": "yes"}, "kycVerified"),
        ("PATCH", "onboarding", {"stage": "LIVE"}, "stage"),
        ("PATCH", "onboarding", {"beneficialOwners": [{"name": "x"}]}, "beneficialOwners"),
        ("PATCH", "onboarding", {"companyName": "a\nb"}, "companyName"),
        ("POST", "onboarding/advance", {"stage": "DONE"}, "stage"),
        ("POST", "documents", {**DOCUMENT, "sha256": "xyz"}, "sha256"),
        ("POST", "contacts", {"name": "Max", "email": "max"}, "email"),
        ("POST", "notes", {"text": ""}, "text"),
    ]
    for method, path, body, field in bad:
        answer = call(method, f"{known}/{path}", body)
        assert (answer.status_code, list(answer.json()["details"])) == (400, [field]), answer.json()
    assert (Onboarding.objects.count(), OnboardingNote.objects.count()) == (0, 0)
