"""Onboarding, terms, status and keys: each change with its audit entry, no key in any."""

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from audit.models import AuditEntry
from partner_platform.core import clock
from partner_platform.core.errors import BadRequest
from partners import keys, services
from partners.models import ApiKey, Partner, PartnerStatus
from tests.factories import ApiKeyFactory, PartnerFactory
from tests.support.acting import staff

ADDRESS = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"
TERMS: dict[str, Any] = {
    "partner_name": "New Lending Platform",
    "key_label": "nlp",
    "tier": "BASIC",
    "daily_borrow_limit": "50000000000",
    "total_borrow_limit": "200000000000",
    "platform_fee_percentage": 75,
    "settlement_address": ADDRESS.lower(),
    "contact_email": "API@newplatform.com",
    "webhook_url": "https://newplatform.com/webhooks",
}


def live_keys(partner: Partner) -> int:
    now = clock.now()
    rows = ApiKey.objects.filter(partner_id=partner.pk)
    return sum(row.revoked_at is None and (row.expires_at is None or row.expires_at > now) for row in rows)


@pytest.mark.django_db
def test_a_new_partner_gets_the_plans_id_clean_terms_and_one_key() -> None:
    PartnerFactory.create_batch(2)
    partner, key, _ = services.create_partner(actor=staff("ann"), **TERMS)
    row = Partner.objects.get(partner_id="partner_nlp_003")
    assert row == partner
    assert (row.settlement_address, row.contact_email) == (ADDRESS, "api@newplatform.com")
    assert (row.daily_borrow_limit, row.total_borrow_limit) == (50_000_000_000, 200_000_000_000)
    assert (row.status, row.created_by, row.current_outstanding) == ("ACTIVE", "staff:ann", 0)
    assert keys.parse(key) == keys.KeyParts(label="nlp", environment="sandbox")
    api_key = ApiKey.objects.get()
    assert (api_key.key_hash, api_key.prefix) == (keys.hash_key(key), key[:16])


@pytest.mark.django_db
def test_no_key_is_in_any_audit_entry() -> None:
    partner, first, _ = services.create_partner(actor=staff("ann"), **TERMS)
    second = services.rotate_api_key(partner=partner, actor=staff("bob"), grace_hours=24)
    services.suspend_partner(partner=partner, actor=staff("bob"))
    services.activate_partner(partner=partner, actor=staff("bob"))
    services.update_partner(partner=partner, actor=staff("bob"), tier="PREMIUM")
    entries = list(AuditEntry.objects.order_by("timestamp"))
    assert sorted(entry.action for entry in entries) == [
        "partner.activated",
        "partner.api_key_rotated",
        "partner.created",
        "partner.suspended",
        "partner.updated",
        "webhook.endpoint_created",
    ]
    assert {entry.target.partition(":")[0] for entry in entries} == {"partner", "webhook"}
    told = json.dumps([[entry.before, entry.after] for entry in entries])
    for key in (first, second):
        assert key[-32:] not in told
        assert keys.hash_key(key) not in told


BAD: dict[str, tuple[str, list[object]]] = {
    "partner_name": ("partnerName", ["", " ", "x" * 201, "a\nb", 7, None]),
    "key_label": ("apiKeyPrefix", ["", "a", "NLP", "a_b", "x" * 13, "nlp\n", None]),
    "tier": ("tier", ["GOLD", "basic", None, {"$gt": ""}]),
    "daily_borrow_limit": (
        "dailyBorrowLimit",
        ["0", "-1", "1.5", "", "1e9", "9223372036854775808", "9" * 20, 5, True, None, "٣", "1\n", {"$gt": ""}],
    ),
    "total_borrow_limit": ("totalBorrowLimit", ["0", "9223372036854775808", 5]),
    "platform_fee_percentage": ("platformFeePercentage", [-1, 10_000, "50", 0.5, True, None]),
    "settlement_address": (
        "settlementAddress",
        ["0xPartnerSettlementWallet1234567890123456", "0x" + "0" * 40, ADDRESS[:-1] + "d", ADDRESS + "00", "", None],
    ),
    "public_key": ("publicKey", ["0x12", 5]),
    "contact_email": ("contactEmail", ["", "nobody", "a@b", "a b@c.de", None, "x" * 250 + "@b.co"]),
    "webhook_url": (
        "webhookUrl",
        ["http://a.example", "ftp://a.example", "https://", "javascript:alert(1)", "https://u:p@a.example", 5],
    ),
    "kyc_verified": ("kycVerified", ["true", 1, None]),
    "repayment_funding": ("repaymentFunding", ["NEVER"]),
    "current_outstanding": ("current_outstanding", ["0"]),
    "webhook_secret": ("webhook_secret", ["x"]),
}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "api_name", "value"),
    [(name, api_name, value) for name, (api_name, values) in BAD.items() for value in values],
)
def test_a_bad_term_is_refused_by_its_name_and_nothing_is_made(name: str, api_name: str, value: object) -> None:
    with pytest.raises(BadRequest) as refused:
        services.create_partner(actor=staff("ann"), **{**TERMS, name: value})
    assert list(refused.value.details) == [api_name]
    known = PartnerFactory.create()
    with pytest.raises(BadRequest) as refused:
        services.update_partner(partner=known, actor=staff("ann"), **{name: value})
    assert list(refused.value.details) == [api_name]
    assert Partner.objects.count() == 1
    assert not ApiKey.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_everything_missing_is_named_at_once() -> None:
    with pytest.raises(BadRequest) as refused:
        services.create_partner(actor=staff("ann"))
    assert sorted(refused.value.details) == [
        "apiKeyPrefix",
        "contactEmail",
        "dailyBorrowLimit",
        "partnerName",
        "settlementAddress",
        "totalBorrowLimit",
    ]


@pytest.mark.django_db
def test_a_taken_id_is_refused() -> None:
    taken = PartnerFactory.create()
    with pytest.raises(BadRequest) as refused:
        services.create_partner(actor=staff("ann"), partner_id=taken.partner_id, **TERMS)
    assert refused.value.details == {"partnerId": ["Is taken."]}


@pytest.mark.django_db(transaction=True)
def test_eight_partners_of_one_label_made_at_once_get_eight_ids() -> None:
    def create(number: int) -> str:
        terms = {**TERMS, "settlement_address": f"0x{number + 1:040x}"}
        try:
            return services.create_partner(actor=staff("ann"), **terms)[0].partner_id
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(create, range(8)))
    assert len(set(ids)) == 8
    assert Partner.objects.count() == ApiKey.objects.count() == 8
    assert sorted(AuditEntry.objects.values_list("action", flat=True)) == [
        *["partner.created"] * 8,
        *["webhook.endpoint_created"] * 8,
    ]


@pytest.mark.django_db
def test_an_update_writes_the_terms_that_changed_and_leaves_the_sums_alone() -> None:
    stale = PartnerFactory.create(tier="BASIC", daily_borrow_limit=1_000)
    Partner.objects.filter(pk=stale.pk).update(current_outstanding=77)
    updated = services.update_partner(
        partner=stale, actor=staff("ann"), tier="PREMIUM", daily_borrow_limit="75000000000", key_label="test"
    )
    assert (updated.tier, updated.daily_borrow_limit, updated.current_outstanding) == ("PREMIUM", 75_000_000_000, 77)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == ("staff:ann", "partner.updated")
    assert entry.before == {"tier": "BASIC", "dailyBorrowLimit": "1000"}
    assert entry.after == {"tier": "PREMIUM", "dailyBorrowLimit": "75000000000"}


@pytest.mark.django_db
def test_what_changes_nothing_is_told_to_nobody() -> None:
    partner = PartnerFactory.create(tier="BASIC")
    services.update_partner(partner=partner, actor=staff("ann"), tier="BASIC")
    services.activate_partner(partner=partner, actor=staff("ann"))
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_suspending_and_activating_change_the_status_and_say_so() -> None:
    partner = PartnerFactory.create()
    assert services.suspend_partner(partner=partner, actor=staff("ann")).status == PartnerStatus.SUSPENDED
    entry = AuditEntry.objects.get(action="partner.suspended")
    assert (entry.before, entry.after) == ({"status": "ACTIVE"}, {"status": "SUSPENDED", "scope": "ALL"})
    assert services.activate_partner(partner=partner, actor=staff("ann")).status == PartnerStatus.ACTIVE


@pytest.mark.django_db
def test_a_second_reason_to_suspend_stays_readable_beside_the_first() -> None:
    partner = PartnerFactory.create()
    services.suspend_partner(partner=partner, actor=staff("ann"), reason="a drill")
    services.suspend_partner(partner=partner, actor="system:reconcile", reason="outstanding is 5, adds up to 4")
    row = services.suspend_partner(partner=partner, actor="system:reconcile", reason="outstanding is 5, adds up to 4")
    assert (row.status_reason, row.status_changes) == ("a drill | outstanding is 5, adds up to 4", 2)
    entries = AuditEntry.objects.filter(action="partner.suspended").order_by("timestamp")
    assert [entry.after for entry in entries] == [
        {"status": "SUSPENDED", "scope": "ALL", "reason": "a drill"},
        {"status": "SUSPENDED", "scope": "ALL", "reason": "a drill | outstanding is 5, adds up to 4"},
    ]


@pytest.mark.django_db
def test_one_who_saw_it_before_it_was_suspended_anew_does_not_activate_it() -> None:
    """For the very same reason: what is compared is a count, not a text."""
    partner = PartnerFactory.create()
    seen = services.suspend_partner(partner=partner, actor=staff("ann"), reason="a drill")
    services.activate_partner(partner=partner, actor=staff("bob"), seen=seen.status_changes)
    services.suspend_partner(partner=partner, actor=staff("ann"), reason="a drill")
    with pytest.raises(BadRequest, match="It changed since it was shown: it is SUSPENDED, because a drill"):
        services.activate_partner(partner=seen, actor=staff("bob"), seen=seen.status_changes)
    assert Partner.objects.get().status == PartnerStatus.SUSPENDED


@pytest.mark.django_db
def test_a_rotation_kills_the_old_key_at_once() -> None:
    old = ApiKeyFactory.create()
    new = services.rotate_api_key(partner=old.partner, actor=staff("ann"))
    old.refresh_from_db()
    assert old.revoked_at is not None
    assert ApiKey.objects.get(revoked_at=None).key_hash == keys.hash_key(new)


@pytest.mark.django_db
def test_with_grace_the_old_key_lives_on_and_a_third_one_never_does() -> None:
    first = ApiKeyFactory.create(created_at=clock.now() - dt.timedelta(days=2))
    partner = first.partner
    services.rotate_api_key(partner=partner, actor=staff("ann"), grace_hours=24)
    first.refresh_from_db()
    assert first.revoked_at is None
    assert dt.timedelta(hours=23) < first.expires_at - clock.now() <= dt.timedelta(hours=24)
    assert live_keys(partner) == 2
    ApiKey.objects.filter(expires_at=None).update(created_at=clock.now() - dt.timedelta(days=1))
    services.rotate_api_key(partner=partner, actor=staff("ann"), grace_hours=168)
    first.refresh_from_db()
    assert first.revoked_at is not None
    assert live_keys(partner) == 2
    services.rotate_api_key(partner=partner, actor=staff("ann"))
    assert live_keys(partner) == 1


@pytest.mark.django_db(transaction=True)
def test_eight_rotations_with_grace_at_once_leave_two_live_keys() -> None:
    partner = ApiKeyFactory.create().partner

    def rotate(_: int) -> str:
        try:
            return services.rotate_api_key(partner=partner, actor=staff("ann"), grace_hours=24)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(rotate, range(8)))) == 8
    assert live_keys(partner) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("hours", [-1, 169, 0.5, "24", True, None])
def test_a_grace_that_cannot_be_changes_nothing(hours: Any) -> None:
    old = ApiKeyFactory.create()
    with pytest.raises(BadRequest) as refused:
        services.rotate_api_key(partner=old.partner, actor=staff("ann"), grace_hours=hours)
    assert list(refused.value.details) == ["gracePeriodHours"]
    assert live_keys(old.partner) == 1
