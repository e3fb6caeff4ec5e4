"""What the commands for partners and their keys print, for people and as JSON."""

import datetime as dt
import json

import pytest
from django.core.management import CommandError

from audit.models import AuditEntry
from authority.models import Approval
from partners.models import ApiKey, Partner, PartnerStatus
from tests.factories import ApiKeyFactory, PartnerFactory
from tests.support.commands import said_by

pytestmark = pytest.mark.django_db
OPENED = dt.datetime(2026, 1, 5, 10, 30, tzinfo=dt.UTC)
ADDRESS = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"


@pytest.fixture
def partner() -> Partner:
    row = PartnerFactory.create(
        partner_id="partner_xyz_lending_001",
        partner_name="XYZ Lending",
        key_label="xyz",
        settlement_address=ADDRESS,
        current_outstanding=49_000_500_000,
        active_loans=2,
    )
    Partner.objects.filter(pk=row.pk).update(created_at=OPENED)
    return Partner.objects.get(pk=row.pk)


SHOWN: dict[str, object] = {
    "partnerId": "partner_xyz_lending_001",
    "status": "ACTIVE",
    "statusReason": None,
    "partnerName": "XYZ Lending",
    "apiKeyPrefix": "xyz",
    "publicKey": "",
    "tier": "BASIC",
    "dailyBorrowLimit": "1000000000",
    "totalBorrowLimit": "5000000000",
    "platformFeePercentage": 50,
    "settlementAddress": ADDRESS,
    "repaymentFunding": "PROVEN",
    "apiVersion": "2026-01-01",
    "webhookUrl": "",
    "ipWhitelist": [],
    "contactEmail": "dev@test-lending.example",
    "contactWallet": "",
    "kycVerified": False,
    "contractSigned": False,
    "currentOutstanding": "49000500000",
    "totalBorrowed": "0",
    "totalRepaid": "0",
    "activeLoans": 2,
    "repaidLoans": 0,
    "signingRequired": False,
    "signatureV1Allowed": True,
    "createdBy": "system",
    "createdAt": "2026-01-05T10:30:00Z",
    "lastUsedAt": None,
}


def test_show_partner_as_json_has_the_names_of_the_contract(partner: Partner) -> None:
    shown = json.loads(said_by("show_partner", partner.partner_id, "--json"))
    assert shown == {**SHOWN, "apiVersion": partner.api_version}


def test_show_partner_shows_amounts_in_dollars_and_base_units(partner: Partner) -> None:
    lines = said_by("show_partner", partner.partner_id).splitlines()
    assert [line.partition(":")[0] for line in lines] == list(SHOWN)
    assert "dailyBorrowLimit: $1000 (1000000000)" in lines
    assert "currentOutstanding: $49000.5 (49000500000)" in lines
    assert "kycVerified: no" in lines
    assert "lastUsedAt:" in lines


def test_list_partners_is_a_table_of_those_that_are_asked_for(partner: Partner) -> None:
    PartnerFactory.create(partner_id="another", tier="PREMIUM", status=PartnerStatus.SUSPENDED)
    heading = (
        "partner                  status     tier     daily limit         total limit         "
        "outstanding              active loans"
    )
    xyz = (
        "partner_xyz_lending_001  ACTIVE     BASIC    $1000 (1000000000)  $5000 (5000000000)  $49000.5 (49000500000)  2"
    )
    assert said_by("list_partners").splitlines()[0].split() == heading.split()
    assert said_by("list_partners").splitlines()[2].split() == xyz.split()
    assert [row["partnerId"] for row in json.loads(said_by("list_partners", "--json"))["partners"]] == [
        "another",
        "partner_xyz_lending_001",
    ]
    assert len(said_by("list_partners", "--tier=PREMIUM", "--status=SUSPENDED").splitlines()) == 2
    assert json.loads(said_by("list_partners", "--tier=ENTERPRISE", "--json")) == {"partners": []}


def test_columns_are_as_wide_as_their_longest_text(partner: Partner) -> None:
    heading, row = said_by("list_partners").splitlines()
    assert heading.index("status") == row.index("ACTIVE")
    assert heading.index("outstanding") == row.index("$49000.5")


def test_update_partner_shows_each_change_and_makes_it(partner: Partner) -> None:
    options = ["--tier=PREMIUM", "--daily-limit=2000000000", "--kyc-verified=yes", "--name=XYZ Lending", "--yes"]
    assert said_by("update_partner", partner.partner_id, *options).splitlines() == [
        "tier: BASIC -> PREMIUM",
        "dailyBorrowLimit: $1000 (1000000000) -> $2000 (2000000000)",
        "kycVerified: False -> True",
        "partner_xyz_lending_001: terms updated",
    ]
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == ("staff:ann", "partner.updated")
    assert entry.after == {"tier": "PREMIUM", "dailyBorrowLimit": "2000000000", "kycVerified": True}


def test_update_partner_asks_and_nobody_there_is_no_yes(partner: Partner) -> None:
    with pytest.raises(CommandError, match=r"^Change this of partner_xyz_lending_001\? Say --yes\.$"):
        said_by("update_partner", partner.partner_id, "--tier=PREMIUM")
    with pytest.raises(CommandError, match="Say what to change"):
        said_by("update_partner", partner.partner_id, "--yes")
    with pytest.raises(CommandError, match=r"^--daily-limit: Must be a string of USDC base units, 1 to 19 digits\.$"):
        said_by("update_partner", partner.partner_id, "--daily-limit=-1", "--yes")
    assert Partner.objects.get().tier == "BASIC"
    assert not AuditEntry.objects.exists()


def test_update_partner_changes_nothing_where_nothing_differs(partner: Partner) -> None:
    said = said_by("update_partner", partner.partner_id, "--tier=BASIC")
    assert said == "partner_xyz_lending_001: unchanged\n"
    assert not AuditEntry.objects.exists()


def test_the_secret_of_a_first_webhook_url_is_shown(partner: Partner) -> None:
    options = ["--webhook-url=https://xyz-lending.com/hook", "--yes", "--json"]
    shown = json.loads(said_by("update_partner", partner.partner_id, *options))
    assert shown["webhookSecret"].startswith("whsec_")
    assert shown["webhookUrl"] == "https://xyz-lending.com/hook"


@pytest.mark.parametrize("as_json", [False, True])
def test_what_waits_for_a_second_person_is_said_and_not_done(partner: Partner, settings: object, as_json: bool) -> None:
    settings.APPROVALS = "required"  # type: ignore[attr-defined]
    options = ["--daily-limit=2000000000", "--reason=they grow", "--yes", *(["--json"] if as_json else [])]
    said = said_by("update_partner", partner.partner_id, *options)
    approval = Approval.objects.get()
    assert (approval.maker, approval.reason) == ("staff:ann", "they grow")
    if as_json:
        told = json.loads(said)
        assert (told["approvalId"], told["status"]) == (str(approval.pk), "WAITING")
    else:
        waits = f"Waits for a second person: approval {approval.pk}. Nothing is changed yet."
        assert said.splitlines()[-1] == waits
    assert Partner.objects.get().daily_borrow_limit == 1_000_000_000


def test_breaking_the_glass_does_without_the_second_person(partner: Partner, settings: object) -> None:
    settings.APPROVALS = "required"  # type: ignore[attr-defined]
    said_by("update_partner", partner.partner_id, "--daily-limit=2000000000", "--yes", "--break-glass=the bank closes")
    assert Partner.objects.get().daily_borrow_limit == 2_000_000_000
    assert AuditEntry.objects.get(action="break_glass.used").after["reason"] == "the bank closes"


def test_list_api_keys_shows_what_a_key_begins_with_and_its_state(partner: Partner) -> None:
    key = ApiKeyFactory.create(partner=partner, prefix="pk_xyz_sandbox_a", scopes=["read"], created_at=OPENED)
    revoked = ApiKeyFactory.create(partner=partner, created_at=OPENED - dt.timedelta(days=1), revoked_at=OPENED)
    heading, first, second = said_by("list_api_keys", partner.partner_id).splitlines()
    assert heading.split() == ["id", "begins", "with", "state", "scopes", "created", "expires"]
    assert first.split() == [str(key.pk), "pk_xyz_sandbox_a", "live", "read", "2026-01-05T10:30:00Z", "never"]
    assert second.split()[:3] == [str(revoked.pk), revoked.prefix, "revoked"]
    told = json.loads(said_by("list_api_keys", partner.partner_id, "--json"))["apiKeys"]
    assert told[0] == {
        "id": str(key.pk),
        "prefix": "pk_xyz_sandbox_a",
        "scopes": ["read"],
        "createdAt": "2026-01-05T10:30:00Z",
        "expiresAt": None,
        "revokedAt": None,
        "lastUsedAt": None,
    }
    assert key.key_hash not in json.dumps(told)


@pytest.mark.parametrize("by", ["pk", "prefix"])
def test_revoke_api_key_takes_the_id_or_what_it_begins_with(partner: Partner, by: str) -> None:
    key = ApiKeyFactory.create(partner=partner)
    said = said_by("revoke_api_key", partner.partner_id, str(getattr(key, by)), "--yes")
    assert said == f"{key.prefix}… of partner_xyz_lending_001 is revoked.\n"
    assert ApiKey.objects.get().revoked_at is not None
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == ("staff:ann", "partner.api_key_revoked")


def test_revoke_api_key_never_guesses_which_is_meant(partner: Partner) -> None:
    for key in ("pk_test_sandbox_a1", "pk_test_sandbox_a2"):
        ApiKeyFactory.create(partner=partner, key=key)
    others = ApiKeyFactory.create()
    with pytest.raises(CommandError, match="2 keys of partner_xyz_lending_001 begin with pk_test_sandbox_: name"):
        said_by("revoke_api_key", partner.partner_id, "pk_test_sandbox_", "--yes")
    with pytest.raises(CommandError, match="partner_xyz_lending_001 has no key"):
        said_by("revoke_api_key", partner.partner_id, str(others.pk), "--yes")
    with pytest.raises(CommandError, match=r"Calls with it are refused at once\. Say --yes\."):
        said_by("revoke_api_key", others.partner.partner_id, others.prefix)
    assert not ApiKey.objects.exclude(revoked_at=None).exists()
