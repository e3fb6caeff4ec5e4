"""Onboarding: the stages and what each needs, who checked, and that nobody acts before, where it is required."""

import itertools
import uuid
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import ProtectedError
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from audit.models import AppendOnlyError, AuditEntry
from authority.rights import Right
from partner_platform.core.errors import BadRequest, Forbidden, NotFound
from partners import credentials, services
from partners.models import ApiKey, Partner, PartnerStatus
from partners.onboarding import records, rule
from partners.onboarding import services as onboarding
from partners.onboarding.models import Onboarding, OnboardingContact, OnboardingNote, OnboardingStage
from partners.onboarding.stages import ORDER, TRANSITIONS, Facts, missing_for, stage_without
from tests.factories import PartnerFactory
from tests.support.acting import staff
from tests.support.commands import type_command
from tests.support.console import new_token
from tests.support.planner import assert_uses_index

ANN, BOB = staff("ann"), staff("bob")
TERMS: dict[str, Any] = {
    "partner_name": "New Lending Platform",
    "key_label": "nlp",
    "daily_borrow_limit": "50000000000",
    "total_borrow_limit": "200000000000",
    "settlement_address": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
    "contact_email": "api@newplatform.com",
}
OWNERS = [{"name": "Erika Mustermann", "country": "DE", "shareBasisPoints": 6000}]
PROFILE: dict[str, Any] = {
    "company_name": "New Lending Platform GmbH",
    "use_case": "Working capital\nfor small firms",
    "expected_monthly_volume": "50000000000",
    "beneficial_owners": OWNERS,
}
SHA = "9f" * 32
ALL_MISSING = [
    *("companyName", "useCase", "expectedMonthlyVolume", "document REGISTRATION", "document COMPLIANCE"),
    *("beneficialOwners", "kycVerified", "contractSigned", "stage LIVE"),
]


@pytest.fixture
def required(settings: Settings) -> None:
    settings.ONBOARDING = "required"


def opened(**terms: object) -> services.Opened:
    return services.create_partner(actor=ANN, **{**TERMS, **terms})


def accepted(partner: Partner, kind: str) -> None:
    document = records.add_document(partner=partner, actor=ANN, kind=kind, reference=f"dms://{kind}", sha256=SHA)
    records.check_document(partner=partner, document_id=str(document.pk), actor=BOB, verdict="ACCEPTED")


def onboard(partner: Partner) -> None:
    """All the way to LIVE."""
    onboarding.update_onboarding(partner=partner, actor=ANN, **PROFILE)
    onboarding.advance_onboarding(partner=partner, actor=ANN, stage="KYC")
    for kind in ("REGISTRATION", "COMPLIANCE"):
        accepted(partner, kind)
    onboarding.update_onboarding(partner=partner, actor=BOB, kyc_verified=True)
    onboarding.advance_onboarding(partner=partner, actor=ANN, stage="CONTRACT")
    onboarding.update_onboarding(partner=partner, actor=BOB, contract_signed=True)
    onboarding.advance_onboarding(partner=partner, actor=ANN, stage="SANDBOX")
    onboarding.advance_onboarding(partner=partner, actor=ANN, stage="LIVE")


def stage_of(partner: Partner) -> str:
    return str(Onboarding.objects.get(pk=partner.pk).stage)


def refusal(act: Any, *args: object, **kwargs: object) -> tuple[str, dict[str, Any]]:
    with pytest.raises(BadRequest) as refused:
        act(*args, **kwargs)
    return str(refused.value.code), refused.value.details


# --- the table ---


def test_each_stage_needs_what_it_names_and_what_the_stages_before_it_need() -> None:
    nothing, everything = Facts(), Facts("c", "u", 1, True, frozenset({"REGISTRATION", "COMPLIANCE"}), True, True)
    assert [len(missing_for(stage, nothing)) for stage in ORDER] == [0, 3, 7, 8, 8]
    assert missing_for(OnboardingStage.LIVE, nothing) == ALL_MISSING[:-1]
    assert [missing_for(stage, everything) for stage in ORDER] == [[]] * 5


def test_stages_are_not_skipped_and_only_live_has_a_way_back_that_is_no_beginning() -> None:
    forward = {
        (one, other) for one, ways in TRANSITIONS.items() for other in ways if ORDER.index(other) > ORDER.index(one)
    }
    assert forward == set(itertools.pairwise(ORDER))
    assert {str(stage) for stage in TRANSITIONS[OnboardingStage.LIVE]} == {"KYC", "CONTRACT"}
    assert stage_without(OnboardingStage.LIVE, flag="kyc_verified") == OnboardingStage.KYC
    assert stage_without(OnboardingStage.APPLIED, flag="contract_signed") == OnboardingStage.APPLIED


# --- off ---


@pytest.mark.django_db
def test_where_it_is_off_a_new_partner_is_active_with_a_key_and_needs_nothing() -> None:
    made = opened()
    assert (made.partner.status, made.stage, made.warning) == (
        "ACTIVE",
        "LIVE",
        "Save this API key securely. It will not be shown again!",
    )
    assert made.api_key is not None
    assert ApiKey.objects.filter(partner=made.partner).count() == 1
    waiting = opened(status="INACTIVE", settlement_address="0x" + "1" * 40).partner
    assert stage_of(waiting) == "APPLIED"
    assert services.activate_partner(partner=waiting, actor=ANN).status == "ACTIVE"
    assert services.rotate_api_key(partner=waiting, actor=ANN)


# --- required ---


@pytest.mark.django_db
@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("status", PartnerStatus.values)
def test_where_it_is_required_a_new_partner_has_no_key_and_is_told_what_is_missing(status: str) -> None:
    made = opened(status=status)
    assert (made.partner.status, made.stage, made.api_key) == ("INACTIVE", "APPLIED", None)
    assert made.warning == f"The partner is not active and has no API key yet. Missing: {', '.join(ALL_MISSING)}"
    assert ApiKey.objects.count() == 0
    [entry] = AuditEntry.objects.filter(action="partner.created")
    assert entry.after is not None
    assert (entry.after["status"], "firstApiKeyPrefix" in entry.after) == ("INACTIVE", False)


@pytest.mark.django_db
@pytest.mark.usefixtures("required")
def test_nobody_is_activated_or_gets_a_key_before_it_is_live_however_often_it_was_suspended() -> None:
    partner = opened().partner
    acts: list[Any] = [services.activate_partner, services.rotate_api_key, credentials.create_api_key]
    for act in acts:
        assert refusal(act, partner=partner, actor=ANN) == (
            "onboarding_incomplete",
            {"missing": ALL_MISSING, "stage": "APPLIED"},
        )
    services.suspend_partner(partner=partner, actor=ANN)
    assert refusal(services.activate_partner, partner=partner, actor=ANN)[0] == "onboarding_incomplete"
    assert (Partner.objects.get().status, ApiKey.objects.count()) == ("SUSPENDED", 0)

    onboard(partner)
    assert Partner.objects.get().status == "SUSPENDED"  # LIVE says that it may be activated, not that it is
    assert services.activate_partner(partner=partner, actor=ANN).status == "ACTIVE"
    assert credentials.create_api_key(partner=partner, actor=ANN).startswith("pk_nlp_")


@pytest.mark.django_db
@pytest.mark.usefixtures("required")
def test_the_whole_way_is_on_record_with_who_did_what() -> None:
    partner = opened().partner
    onboard(partner)
    row = Onboarding.objects.get()
    assert (row.stage, row.stage_changed_by) == ("LIVE", "staff:ann")
    assert (row.kyc_checked_by, row.contract_checked_by) == ("staff:bob", "staff:bob")
    assert row.kyc_checked_at is not None
    assert (row.expected_monthly_volume, row.beneficial_owners) == (50_000_000_000, OWNERS)
    entries = AuditEntry.objects.filter(action__startswith="partner.onboarding").order_by("timestamp")
    moves = [entry for entry in entries if entry.action == "partner.onboarding_stage_changed"]
    assert [(entry.before, entry.after) for entry in moves] == [
        ({"stage": one}, {"stage": other}) for one, other in itertools.pairwise(ORDER)
    ]
    assert {entry.target for entry in entries} == {f"partner:{partner.partner_id}"}
    [checked, _] = [entry for entry in entries if entry.action == "partner.onboarding_document_checked"]
    assert (checked.actor, (checked.after or {})["kind"], (checked.after or {})["verdict"]) == (
        "staff:bob",
        "REGISTRATION",
        "ACCEPTED",
    )


@pytest.mark.django_db
@pytest.mark.usefixtures("required")
def test_a_stage_that_lacks_something_or_does_not_follow_is_refused_and_nothing_is_written() -> None:
    partner = opened().partner
    written = AuditEntry.objects.count()
    assert refusal(onboarding.advance_onboarding, partner=partner, actor=ANN, stage="KYC") == (
        "onboarding_incomplete",
        {"missing": ALL_MISSING[:3], "stage": "APPLIED"},
    )
    for stage, problem in {
        "LIVE": "It is at APPLIED: what may follow is KYC.",
        "DONE": "Must be one of APPLIED, KYC, CONTRACT, SANDBOX, LIVE.",
    }.items():
        refused = refusal(onboarding.advance_onboarding, partner=partner, actor=ANN, stage=stage)
        assert refused == ("invalid_request", {"stage": [problem]})
    onboarding.advance_onboarding(partner=partner, actor=ANN, stage="APPLIED")  # where it is
    assert (stage_of(partner), AuditEntry.objects.count()) == ("APPLIED", written)


@pytest.mark.django_db
@pytest.mark.usefixtures("required")
@pytest.mark.parametrize(("flag", "stage"), [("kyc_verified", "KYC"), ("contract_signed", "CONTRACT")])
def test_a_check_that_is_taken_back_takes_the_stage_back_and_with_it_the_next_activation(flag: str, stage: str) -> None:
    partner = opened().partner
    onboard(partner)
    services.activate_partner(partner=partner, actor=ANN)
    services.update_partner(partner=partner, actor=BOB, **{flag: False})
    assert stage_of(partner) == stage
    assert Partner.objects.get().status == "ACTIVE"  # suspending is somebody's decision
    services.suspend_partner(partner=partner, actor=ANN)
    missing = refusal(services.activate_partner, partner=partner, actor=ANN)[1]["missing"]
    assert missing == [{"kyc_verified": "kycVerified", "contract_signed": "contractSigned"}[flag], "stage LIVE"]


@pytest.mark.django_db
def test_flags_that_a_partner_is_opened_with_are_noted_as_checked_by_who_opened_it() -> None:
    row = Onboarding.objects.get(pk=opened(kyc_verified=True).partner.pk)
    assert (row.kyc_checked_by, row.contract_checked_by, row.contract_checked_at) == ("staff:ann", "", None)


@pytest.mark.django_db
@pytest.mark.usefixtures("required")
@pytest.mark.parametrize(("status", "stage"), [("ACTIVE", "LIVE"), ("SUSPENDED", "LIVE"), ("INACTIVE", "APPLIED")])
def test_a_partner_from_before_is_live_where_it_acted(status: str, stage: str) -> None:
    partner = PartnerFactory.create(status=status)
    assert (rule.onboarding_of(partner).stage, Onboarding.objects.count()) == (stage, 0)
    records.add_document(partner=partner, actor=ANN, kind="OTHER", reference="x", sha256=SHA)
    assert stage_of(partner) == stage


@pytest.mark.django_db
@pytest.mark.usefixtures("required")
def test_commands_and_the_console_say_what_is_missing_in_place_of_a_key() -> None:
    said = StringIO()
    options = {"name": "Lender", "label": "len", "daily-limit": "1", "total-limit": "1", "email": "a@x.example"}
    address = f"--settlement-address={TERMS['settlement_address']}"
    type_command("create_partner", address, *(f"--{name}={value}" for name, value in options.items()), stdout=said)
    assert f"Missing: {', '.join(ALL_MISSING)}" in said.getvalue()
    assert "API key:" not in said.getvalue()

    client, partner = Client(), Partner.objects.get()
    client.force_login(User.objects.get(username="ann"))
    form = {"action": "rotate_key_now", "_selected_action": [str(partner.pk)], "index": "0", "form_token": new_token()}
    answer = client.post(reverse("admin:partners_partner_changelist"), form, follow=True)
    assert "Onboarding is not complete: companyName" in answer.content.decode()
    assert ApiKey.objects.count() == 0


# --- documents, contacts, notes, what a company says ---


@pytest.mark.django_db
def test_a_document_is_checked_once_and_a_rejected_one_counts_for_nothing() -> None:
    partner, other = PartnerFactory.create(status="INACTIVE"), PartnerFactory.create()
    onboarding.update_onboarding(partner=partner, actor=ANN, **PROFILE)
    onboarding.advance_onboarding(partner=partner, actor=ANN, stage="KYC")
    document = records.add_document(
        partner=partner, actor=ANN, kind="REGISTRATION", reference="dms://1", sha256=SHA.upper()
    )
    assert (document.sha256, document.verdict) == (SHA, "")
    found = str(document.pk)
    for owner, key in ((other, found), (partner, str(uuid.uuid4())), (partner, "x")):
        with pytest.raises(NotFound):
            records.check_document(partner=owner, document_id=key, actor=BOB, verdict="ACCEPTED")
    checked = records.check_document(
        partner=partner, document_id=found, actor=BOB, verdict="REJECTED", remark="Expired"
    )
    assert (checked.verdict, checked.remark, checked.checked_by) == ("REJECTED", "Expired", "staff:bob")
    again = refusal(records.check_document, partner=partner, document_id=found, actor=ANN, verdict="ACCEPTED")
    assert again == ("invalid_request", {"verdict": ["It was checked already: add the document again."]})
    missing = refusal(onboarding.advance_onboarding, partner=partner, actor=ANN, stage="CONTRACT")[1]["missing"]
    assert missing[0] == "document REGISTRATION"


@pytest.mark.django_db
def test_a_note_is_never_changed_and_a_contact_is_taken_off_by_its_own_partner_only() -> None:
    partner, other = PartnerFactory.create_batch(2)
    note = records.add_note(partner=partner, actor=ANN, text=" Called. ")
    assert (note.text, note.written_by) == ("Called.", "staff:ann")
    for change in (note.save, note.delete, OnboardingNote.objects.all().delete):
        with pytest.raises(AppendOnlyError):
            change()
    contact = records.add_contact(partner=partner, actor=ANN, name="Max", email="MAX@x.example")
    assert contact.email == "max@x.example"
    with pytest.raises(NotFound):
        records.remove_contact(partner=other, contact_id=str(contact.pk), actor=ANN)
    records.remove_contact(partner=partner, contact_id=str(contact.pk), actor=ANN)
    assert OnboardingContact.objects.count() == 0
    said = [entry.action for entry in AuditEntry.objects.order_by("timestamp")]
    assert said == [f"partner.onboarding_{what}" for what in ("note_added", "contact_added", "contact_removed")]


BAD: dict[str, tuple[str, list[object]]] = {
    "company_name": ("companyName", ["", "x" * 201, "a\nb", 7]),
    "use_case": ("useCase", ["", " ", "x" * 4_001, "a\x00b", None]),
    "expected_monthly_volume": ("expectedMonthlyVolume", ["0", "-1", "1.5", 5, str(2**63)]),
    "beneficial_owners": (
        "beneficialOwners",
        [
            {},
            [{}],
            [{**OWNERS[0], "shareBasisPoints": 0}],
            [{**OWNERS[0], "country": "de"}],
            [{**OWNERS[0], "name": ""}],
            OWNERS * 2,
            [{**OWNERS[0], "more": 1}],
        ],
    ),
}


@pytest.mark.django_db
def test_what_a_company_says_of_itself_is_read_strictly_and_each_field_is_named() -> None:
    partner = PartnerFactory.create()
    for name, (api_name, values) in BAD.items():
        for value in values:
            refused = refusal(onboarding.update_onboarding, partner=partner, actor=ANN, **{name: value})
            assert (refused[0], list(refused[1])) == ("invalid_request", [api_name]), value
    for bad in ("x", "9f" * 31, 9):
        add: dict[str, Any] = {"kind": "OTHER", "reference": "x", "sha256": bad}
        assert list(refusal(records.add_document, partner=partner, actor=ANN, **add)[1]) == ["sha256"]
    assert (Onboarding.objects.count(), AuditEntry.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_every_act_needs_the_right_to_manage_onboarding() -> None:
    partner = PartnerFactory.create()
    everything_else = staff("eve", rights=[right for right in Right if right != Right.MANAGE_ONBOARDING])
    acts: list[tuple[Any, dict[str, Any]]] = [
        (onboarding.update_onboarding, {"company_name": "x"}),
        (onboarding.advance_onboarding, {"stage": "KYC"}),
        (records.add_document, {"kind": "OTHER", "reference": "x", "sha256": SHA}),
        (records.check_document, {"document_id": "x", "verdict": "ACCEPTED"}),
        (records.add_contact, {"name": "x", "email": "x@x.example"}),
        (records.remove_contact, {"contact_id": "x"}),
        (records.add_note, {"text": "x"}),
        (services.update_partner, {"kyc_verified": True}),
    ]
    for act, values in acts:
        with pytest.raises(Forbidden):
            act(partner=partner, actor=everything_else, **values)
    assert (Onboarding.objects.count(), AuditEntry.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_the_lists_are_found_in_order_by_an_index_and_a_partner_with_papers_is_not_deleted() -> None:
    partner = opened().partner
    for query in (records.documents_query, records.contacts_query, records.notes_query):
        assert_uses_index(query(partner)[:11])
    with pytest.raises(ProtectedError):
        partner.delete()
