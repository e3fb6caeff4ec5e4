"""A sensitive change is made by two people: asked for by one, approved by another, and exactly as it was shown."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from eth_utils.address import to_checksum_address
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from authority.approvals import deciding
from authority.approvals.requiring import WaitsForApproval
from authority.models import Approval, ApprovalStatus
from authority.roles import Role
from partner_platform.core import clock
from partner_platform.core.errors import Conflict, Forbidden, NotFound, PlatformError
from partners import credentials, services, settlement_addresses
from partners.models import ApiKey, OutgoingMail, Partner, PartnerStatus
from tests.factories import DOLLAR, ApiKeyFactory, PartnerFactory
from tests.support.approvals import acting, person, the_approval

pytestmark = pytest.mark.django_db

NEW_ADDRESS = str(to_checksum_address("0x7d650b01ea0700f7553d9260a76546ab1a97a1d7"))


@pytest.fixture(autouse=True)
def required(settings: Settings) -> None:
    settings.APPROVALS = "required"


@pytest.fixture
def ann() -> User:
    return person("ann")


@pytest.fixture
def bob() -> User:
    return person("bob")


def raise_limit(partner: Partner, actor: str, *, to: int = 2_000) -> None:
    services.update_partner(partner=partner, actor=actor, daily_borrow_limit=str(to * DOLLAR))


def ask(act: Callable[[], object]) -> Approval:
    """Do what waits; returns its approval."""
    with pytest.raises(WaitsForApproval) as waits:
        act()
    row = waits.value.approval
    assert row is not None
    return row


def approve(row: Approval, user: User, reason: str = "seen") -> deciding.Approved:
    return deciding.approve(approval_id=str(row.pk), actor=acting(user), reason=reason)


def refusal_of(act: Callable[[], object]) -> str:
    with pytest.raises(PlatformError) as refused:
        act()
    return str(refused.value.code)


def limit_of(partner: Partner) -> int:
    return Partner.objects.get(pk=partner.pk).daily_borrow_limit // DOLLAR


def test_a_higher_limit_waits_with_before_after_reason_and_what_hangs_on_it(ann: User, bob: User) -> None:
    partner = PartnerFactory.create(active_loans=2, current_outstanding=49_000 * DOLLAR)

    row = ask(lambda: raise_limit(partner, acting(ann, reason="their volume doubled")))

    assert limit_of(partner) == 1_000
    assert (row.before, row.after) == ({"dailyBorrowLimit": "1000000000"}, {"dailyBorrowLimit": "2000000000"})
    assert (row.impact, row.reason) == ("2 active loans, $49,000 outstanding", "their volume doubled")
    assert (row.kind, row.maker, row.rights) == ("partner.terms", "staff:ann", ["staff.change_limits"])
    assert row.expires_at - row.created_at == dt.timedelta(hours=72)
    (entry,) = AuditEntry.objects.all()
    assert (entry.actor, entry.action, entry.target) == ("staff:ann", "approval.proposed", f"approval:{row.pk}")
    assert entry.after == {
        "kind": "partner.terms",
        "target": f"partner:{partner.partner_id}",
        "before": row.before,
        "after": row.after,
        "impact": row.impact,
        "reason": row.reason,
    }
    mail = OutgoingMail.objects.get()
    assert (mail.recipient, mail.partner) == ("bob@platform.example", None)
    assert "2 active loans, $49,000 outstanding" in mail.text


def test_a_second_person_approves_and_the_change_is_made_as_who_asked_for_it(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))

    done = approve(row, bob, "seen their books")

    assert limit_of(partner) == 2_000
    assert (done.secrets, done.approval.status) == ({}, ApprovalStatus.APPROVED)
    assert (done.approval.decided_by, done.approval.decision_reason) == ("staff:bob", "seen their books")
    trail = set(AuditEntry.objects.values_list("actor", "action"))
    assert trail == {
        ("staff:ann", "approval.proposed"),
        ("staff:bob", "approval.approved"),
        ("staff:ann", "partner.updated"),
    }


def test_a_second_person_rejects_and_nothing_is_changed(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))

    closed = deciding.reject(approval_id=str(row.pk), actor=acting(bob), reason="not agreed")

    assert (closed.status, closed.decision_reason, limit_of(partner)) == ("REJECTED", "not agreed", 1_000)
    assert refusal_of(lambda: approve(row, bob)) == "approval_closed"
    assert limit_of(partner) == 1_000
    again = ask(lambda: raise_limit(partner, acting(ann)))
    assert again.pk != row.pk


SENSITIVE_TERMS: dict[str, dict[str, object]] = {
    "settlement address": {"settlement_address": NEW_ADDRESS},
    "higher daily limit": {"daily_borrow_limit": str(1_001 * DOLLAR)},
    "higher total limit": {"total_borrow_limit": str(5_001 * DOLLAR)},
    "higher tier": {"tier": "ENTERPRISE"},
    "higher fee": {"platform_fee_percentage": 51},
    "lower fee": {"platform_fee_percentage": 49},
    "trusted funding": {"repayment_funding": "TRUSTED"},
    "a higher limit among harmless terms": {"partner_name": "Other", "daily_borrow_limit": str(1_001 * DOLLAR)},
}
HARMLESS_TERMS: dict[str, dict[str, object]] = {
    "lower limits": {"daily_borrow_limit": str(999 * DOLLAR), "total_borrow_limit": str(4_999 * DOLLAR)},
    "lower tier": {"tier": "BASIC"},
    "proven funding": {"repayment_funding": "PROVEN"},
    "name": {"partner_name": "Other Lending"},
    "the same limit": {"daily_borrow_limit": str(1_000 * DOLLAR)},
}


@pytest.mark.parametrize("values", SENSITIVE_TERMS.values(), ids=SENSITIVE_TERMS)
def test_sensitive_terms_wait_and_are_as_asked_for_once_approved(values: dict[str, Any], ann: User, bob: User) -> None:
    partner = PartnerFactory.create(tier="PREMIUM")
    before = Partner.objects.filter(pk=partner.pk).values().get()

    row = ask(lambda: services.update_partner(partner=partner, actor=acting(ann), **values))
    assert Partner.objects.filter(pk=partner.pk).values().get() == before
    approve(row, bob)

    now = Partner.objects.get(pk=partner.pk)
    assert {name: str(getattr(now, name)) for name in values} == {name: str(value) for name, value in values.items()}


@pytest.mark.parametrize("values", HARMLESS_TERMS.values(), ids=HARMLESS_TERMS)
def test_what_lowers_or_matters_to_no_money_does_not_wait(values: dict[str, Any], ann: User) -> None:
    partner = PartnerFactory.create(tier="PREMIUM", repayment_funding="TRUSTED")

    changed = services.update_partner(partner=partner, actor=acting(ann), **values)

    assert {name: str(getattr(changed, name)) for name in values} == {name: str(v) for name, v in values.items()}
    assert Approval.objects.count() == 0


def test_suspending_and_revoking_never_wait(ann: User) -> None:
    partner = PartnerFactory.create()
    key = ApiKeyFactory.create(partner=partner)

    credentials.revoke_api_key(api_key=key, actor=acting(ann))
    services.suspend_partner(partner=partner, actor=acting(ann), reason="fraud")

    key.refresh_from_db()
    partner.refresh_from_db()
    assert (key.revoked_at is not None, partner.status) == (True, PartnerStatus.SUSPENDED)
    assert Approval.objects.count() == 0


def test_activation_waits_and_tells_what_the_partner_may_then_do(ann: User, bob: User) -> None:
    partner = PartnerFactory.create(status=PartnerStatus.SUSPENDED, status_reason="fraud")

    row = ask(lambda: services.activate_partner(partner=partner, actor=acting(ann), seen=0))

    assert row.before == {"status": "SUSPENDED", "reason": "fraud"}
    assert row.impact == (
        f"0 active loans, $0 outstanding; $1,000 a day and $5,000 in all to {partner.settlement_address}, PROVEN"
    )
    partner.refresh_from_db()
    assert partner.status == PartnerStatus.SUSPENDED
    approve(row, bob)
    partner.refresh_from_db()
    assert partner.status == PartnerStatus.ACTIVE


def test_a_new_key_waits_and_is_returned_to_who_approves_once(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()

    row = ask(
        lambda: credentials.create_api_key(
            partner=partner, actor=acting(ann), scopes=["read"], expires_at=clock.now() + dt.timedelta(days=9)
        )
    )
    assert ApiKey.objects.count() == 0
    done = approve(row, bob)

    (key,) = ApiKey.objects.all()
    assert (key.scopes, done.secrets["apiKey"][:16]) == (["read"], key.prefix)
    stored = str(list(Approval.objects.values())) + str(list(AuditEntry.objects.values()))
    assert done.secrets["apiKey"] not in stored


def test_a_rotation_waits_and_the_old_key_lives_until_it_is_approved(ann: User, bob: User) -> None:
    old = ApiKeyFactory.create()

    row = ask(lambda: services.rotate_api_key(partner=old.partner, actor=acting(ann)))
    old.refresh_from_db()
    assert (old.revoked_at, row.before) == (None, {"apiKeyPrefixes": [old.prefix]})
    done = approve(row, bob)

    old.refresh_from_db()
    assert old.revoked_at is not None
    assert done.secrets["apiKey"].startswith("pk_test_sandbox_")


NEW_PARTNER = {
    "partner_name": "New Lending",
    "key_label": "nlp",
    "daily_borrow_limit": str(50_000 * DOLLAR),
    "total_borrow_limit": str(200_000 * DOLLAR),
    "settlement_address": NEW_ADDRESS,
    "contact_email": "api@newplatform.com",
}


def test_a_partner_that_may_lend_at_once_waits_and_one_that_may_not_is_opened(ann: User, bob: User) -> None:
    row = ask(lambda: services.create_partner(actor=acting(ann), **NEW_PARTNER))
    assert Partner.objects.count() == 0
    assert (row.before, row.after["settlementAddress"], row.after["status"]) == ({}, NEW_ADDRESS, "ACTIVE")

    done = approve(row, bob)

    partner = Partner.objects.get()
    assert (partner.partner_id, partner.created_by) == (done.secrets["partnerId"], "staff:ann")
    assert done.secrets["apiKey"].startswith("pk_nlp_sandbox_")
    other: dict[str, Any] = {**NEW_PARTNER, "settlement_address": "0x7d650b01ea0700f7553d9260a76546ab1a97a1d8"}
    opened = services.create_partner(actor=acting(ann), status=PartnerStatus.INACTIVE, **other)
    assert opened.partner.status == PartnerStatus.INACTIVE
    assert Approval.objects.count() == 1


def test_a_former_settlement_address_waits(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()

    row = ask(lambda: settlement_addresses.note_former(partner=partner, address=NEW_ADDRESS, actor=acting(ann)))
    assert settlement_addresses.owner_of(NEW_ADDRESS) is None
    approve(row, bob)

    assert settlement_addresses.owner_of(NEW_ADDRESS) == partner.pk


@pytest.mark.parametrize("actor", ["system", "partner:partner_1", "system:reconcile"])
def test_the_platform_and_partners_themselves_do_not_wait(actor: str) -> None:
    partner = PartnerFactory.create()
    raise_limit(partner, actor)
    assert (limit_of(partner), Approval.objects.count()) == (2_000, 0)


def test_nobody_waits_where_approvals_are_off(ann: User, settings: Settings) -> None:
    settings.APPROVALS = "off"
    partner = PartnerFactory.create()
    raise_limit(partner, acting(ann))
    assert (limit_of(partner), Approval.objects.count()) == (2_000, 0)


def test_an_approval_is_still_needed_and_used_after_approvals_were_turned_off(
    ann: User, bob: User, settings: Settings
) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    settings.APPROVALS = "off"
    approve(row, bob)
    assert limit_of(partner) == 2_000


def test_the_same_change_asked_for_again_is_one_proposal_and_another_persons_is_another(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    first = ask(lambda: raise_limit(partner, acting(ann)))

    again = ask(lambda: raise_limit(partner, acting(ann, reason="please")))
    other = ask(lambda: raise_limit(partner, acting(ann), to=3_000))
    of_bob = ask(lambda: raise_limit(partner, acting(bob)))

    assert again.pk == first.pk
    assert len({first.pk, other.pk, of_bob.pk}) == Approval.objects.count() == 3
    assert AuditEntry.objects.filter(action="approval.proposed").count() == 3


# --- Who may not decide -------------------------------------------------------------------------------------------


def test_nobody_decides_about_what_they_asked_for(ann: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))

    assert refusal_of(lambda: approve(row, ann)) == "self_approval"
    refused = refusal_of(lambda: deciding.reject(approval_id=str(row.pk), actor=acting(ann), reason="no"))

    assert (refused, the_approval().status, limit_of(partner)) == ("self_approval", "WAITING", 1_000)


def test_nor_by_another_account_with_their_address(ann: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    second = person("ann2", email="ANN@platform.example ")

    assert refusal_of(lambda: approve(row, second)) == "self_approval"
    assert limit_of(partner) == 1_000


def test_nor_under_a_new_name(ann: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    User.objects.filter(pk=ann.pk).update(username="anna")

    assert refusal_of(lambda: approve(row, ann)) == "self_approval"
    assert limit_of(partner) == 1_000


def test_who_lacks_the_right_of_the_change_does_not_decide(ann: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: services.update_partner(partner=partner, actor=acting(ann), settlement_address=NEW_ADDRESS))
    credit = person("carl", Role.CREDIT)  # may change limits

    with pytest.raises(Forbidden) as refused:
        approve(row, credit)

    assert refused.value.details == {"right": "staff.change_settlement_address"}
    assert Partner.objects.get(pk=partner.pk).settlement_address == partner.settlement_address


def test_who_lacks_the_right_of_a_change_does_not_even_ask_for_it() -> None:
    partner = PartnerFactory.create()
    support = person("sue", Role.SUPPORT)
    assert refusal_of(lambda: raise_limit(partner, acting(support))) == "right_missing"
    assert Approval.objects.count() == 0


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_decision_has_a_reason(reason: str, ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    assert refusal_of(lambda: approve(row, bob, reason)) == "invalid_request"
    assert limit_of(partner) == 1_000


@pytest.mark.parametrize("approval_id", ["nonsense", "6f1c2d9e-04b8-4b7a-9c35-1e8d7a2f5b60"])
def test_what_does_not_exist_is_not_found(approval_id: str, bob: User) -> None:
    with pytest.raises(NotFound):
        deciding.approve(approval_id=approval_id, actor=acting(bob), reason="seen")


# --- What is no longer as it was shown ----------------------------------------------------------------------------


def outdated(row: Approval, user: User) -> str:
    """The reason why the approval was refused and closed."""
    assert refusal_of(lambda: approve(row, user)) == "approval_outdated"
    row.refresh_from_db()
    assert row.status == ApprovalStatus.OUTDATED
    entry = AuditEntry.objects.get(action="approval.outdated")
    assert (entry.actor, entry.target) == (f"staff:{user.username}", f"approval:{row.pk}")
    assert not AuditEntry.objects.filter(action="approval.approved").exists()
    assert not AuditEntry.objects.filter(action="partner.updated", actor="staff:ann").exists()
    return row.decision_reason


NO_LONGER = "What would be changed is no longer what was shown"


def test_an_approval_after_the_value_changed_is_refused(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    services.update_partner(partner=partner, actor="system", daily_borrow_limit=str(500 * DOLLAR))

    assert outdated(row, bob) == NO_LONGER
    assert limit_of(partner) == 500


def test_so_is_one_after_something_else_changed_that_lending_depends_on(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    services.suspend_partner(partner=partner, actor="system", reason="fraud")

    assert outdated(row, bob) == NO_LONGER
    assert limit_of(partner) == 1_000


def test_one_after_a_new_loan_is_not(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    Partner.objects.filter(pk=partner.pk).update(active_loans=1, current_outstanding=DOLLAR)
    approve(row, bob)
    assert limit_of(partner) == 2_000


def test_an_approval_of_what_is_so_already_is_refused(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    raise_limit(partner, "system")
    assert outdated(row, bob) == "There is nothing left to change"


@pytest.mark.parametrize(
    "changed",
    [
        {"arguments": {"partnerId": "partner_x", "terms": {"dailyBorrowLimit": "9000000000"}}},
        {"arguments": {"partnerId": "partner_x", "terms": {"settlementAddress": NEW_ADDRESS}}},
        {"before": {"dailyBorrowLimit": "1"}},
        {"maker": "staff:eve", "maker_account": ""},
        {"rights": []},
    ],
    ids=["another limit", "an address", "what was shown before", "who asked", "the rights it needs"],
)
def test_an_approval_whose_row_was_changed_makes_nothing_that_was_not_shown(
    changed: dict[str, Any], ann: User, bob: User
) -> None:
    partner = PartnerFactory.create(partner_id="partner_x")
    row = ask(lambda: raise_limit(partner, acting(ann)))
    Approval.objects.filter(pk=row.pk).update(**changed)

    assert outdated(row, bob) == "Its row is not what was written"
    partner.refresh_from_db()
    assert (limit_of(partner), partner.settlement_address != NEW_ADDRESS) == (1_000, True)


def test_who_asked_and_lost_the_right_meanwhile_gets_nothing(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    ann.groups.clear()

    assert outdated(row, bob) == "Who asked for it no longer has the right staff.change_limits"
    assert limit_of(partner) == 1_000


def test_who_asked_and_left_meanwhile_gets_nothing(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    User.objects.filter(pk=ann.pk).update(is_active=False)

    assert outdated(row, bob) == "Who asked for it no longer has the right staff.change_limits"


def test_another_account_with_the_name_of_who_asked_is_somebody_else(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    User.objects.filter(pk=ann.pk).update(username="gone")
    person("ann", email="another@platform.example")

    assert outdated(row, bob) == "Who asked for it has no account any more"


def test_an_expired_one_is_closed_and_may_be_asked_for_again(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    Approval.objects.filter(pk=row.pk).update(expires_at=clock.now())

    with pytest.raises(Conflict) as refused:
        approve(row, bob)

    assert (str(refused.value.code), refused.value.details) == ("approval_closed", {"status": "EXPIRED"})
    assert limit_of(partner) == 1_000
    again = ask(lambda: raise_limit(partner, acting(ann)))
    assert (again.pk != row.pk, again.status) == (True, "WAITING")


def test_an_approval_counts_once(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: raise_limit(partner, acting(ann)))
    approve(row, bob)
    services.update_partner(partner=partner, actor="system", daily_borrow_limit=str(1_000 * DOLLAR))

    assert refusal_of(lambda: approve(row, bob)) == "approval_closed"
    assert limit_of(partner) == 1_000


def test_a_change_that_the_service_refuses_waits_on(ann: User, bob: User) -> None:
    partner = PartnerFactory.create()
    row = ask(lambda: services.update_partner(partner=partner, actor=acting(ann), settlement_address=NEW_ADDRESS))
    settlement_addresses.note_former(partner=PartnerFactory.create(), address=NEW_ADDRESS, actor="system")

    assert refusal_of(lambda: approve(row, bob)) == "invalid_request"

    assert the_approval().status == "WAITING"
    assert Partner.objects.get(pk=partner.pk).settlement_address == partner.settlement_address
    assert AuditEntry.objects.filter(action="approval.approved").count() == 0
