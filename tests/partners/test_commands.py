"""What operators type, and the file they import."""

import copy
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError

from audit.models import AuditEntry
from partners import keys
from partners.models import ApiKey, Partner, PartnerStatus
from tests.factories import ApiKeyFactory, PartnerFactory
from tests.support.commands import type_command

pytestmark = pytest.mark.django_db

SHIPPED = json.loads((settings.BASE_DIR / "configs" / "partner_platforms.json").read_text())
KEY = re.compile(r"pk_[a-z0-9]+_sandbox_[a-z0-9]{32}")


def run(*command: str) -> str:
    out = StringIO()
    type_command(*command, stdout=out)
    return out.getvalue()


@pytest.fixture
def import_file(tmp_path: Path) -> Any:
    def write_and_import(content: Any) -> str:
        path = tmp_path / "partners.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return run("import_partners", str(path), "--yes")

    return write_and_import


def test_the_shipped_file_opens_the_plans_two_partners_and_shows_each_key_once() -> None:
    printed = KEY.findall(run("import_partners", "--yes"))
    assert len(printed) == 2
    assert {row.key_hash for row in ApiKey.objects.all()} == {keys.hash_key(key) for key in printed}
    xyz = Partner.objects.get(partner_id="partner_xyz_lending_001")
    assert (xyz.partner_name, xyz.key_label, xyz.tier, xyz.platform_fee_percentage) == (
        "XYZ Lending",
        "xyz",
        "PREMIUM",
        50,
    )
    assert (xyz.daily_borrow_limit, xyz.total_borrow_limit) == (100_000_000_000, 500_000_000_000)


def test_a_second_import_brings_new_terms_and_no_key_and_lifts_no_suspension(import_file: Any) -> None:
    import_file(SHIPPED)
    Partner.objects.filter(partner_id="partner_abc_finance_002").update(status=PartnerStatus.SUSPENDED)
    changed = copy.deepcopy(SHIPPED)
    changed["partners"][1]["dailyBorrowLimit"] = "60000000000"
    printed = import_file(changed)
    assert printed.splitlines() == [
        "partner_abc_finance_002: to be changed",
        "  dailyBorrowLimit: 50000000000 -> 60000000000",
        "partner_xyz_lending_001: unchanged",
        "partner_abc_finance_002: terms updated",
    ]
    abc = Partner.objects.get(partner_id="partner_abc_finance_002")
    assert (abc.daily_borrow_limit, abc.status) == (60_000_000_000, PartnerStatus.SUSPENDED)
    assert ApiKey.objects.count() == 2
    assert AuditEntry.objects.filter(action="partner.updated").count() == 1


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("settlementAddress", "0xPartnerSettlementWallet1234567890123456", "Must be an address: 0x and 40 hex digits."),
        ("settlementAddress", "0xA2327Af5377E8F54DB5F46301b2676fa1b11473a", "Has a wrong EIP-55 checksum."),
        ("dailyBorrowLimit", 100000000000, "Must be a string of USDC base units, 1 to 19 digits."),
        ("platformFeePercentage", 10000, "Must be a whole number of basis points, 0 to 9999."),
        ("status", "GONE", "Must be one of ACTIVE, SUSPENDED, INACTIVE."),
        ("apiKeyPrefix", "pk_x_live_", "Must be 2 to 12 lower-case letters and digits."),
        ("apiKey", "pk_xyz_live_" + "a" * 32, "Unknown field."),
        ("webhookUrl", "http://xyz-lending.com", "The URL must begin with https://."),
    ],
)
def test_a_bad_entry_is_named_by_partner_and_field_and_nothing_is_imported(
    import_file: Any, field: str, value: Any, problem: str
) -> None:
    content = copy.deepcopy(SHIPPED)
    content["partners"][1][field] = value
    with pytest.raises(CommandError) as refused:
        import_file(content)
    assert str(refused.value).startswith(f"Nothing was imported:\npartner_abc_finance_002: {field}: {problem}")
    assert not Partner.objects.exists()
    assert not ApiKey.objects.exists()


def test_every_problem_of_a_file_is_told_at_once(import_file: Any) -> None:
    content = copy.deepcopy(SHIPPED)
    del content["partners"][0]["contactEmail"]
    content["partners"][1]["tier"] = "GOLD"
    content["partners"] += [copy.deepcopy(SHIPPED["partners"][0]), "nonsense", {"partnerId": ["x"]}]
    with pytest.raises(CommandError) as refused:
        import_file(content)
    lines = str(refused.value).splitlines()
    assert "partner_xyz_lending_001: contactEmail: This field is required." in lines
    assert "partner_abc_finance_002: tier: Must be one of BASIC, PREMIUM, ENTERPRISE." in lines
    assert "partner_xyz_lending_001: partnerId: Appears more than once." in lines
    assert "partner number 4: Must be an object." in lines
    assert "['x']: partnerId: Must be 3 to 64 lower-case letters, digits, _ or -." in lines
    assert not Partner.objects.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"partners": []}', '{"partners": {}}', '{"partners": [], "x": 1}']
)
def test_what_is_no_config_file_is_refused(import_file: Any, content: str) -> None:
    with pytest.raises(CommandError, match="Nothing was imported"):
        import_file(content)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match=r"/nowhere/partners\.json: No such file or directory"):
        run("import_partners", "/nowhere/partners.json")


CREATE = {
    "--name": "New Lending Platform",
    "--label": "nlp",
    "--daily-limit": "50000000000",
    "--total-limit": "200000000000",
    "--settlement-address": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
    "--email": "api@newplatform.com",
}


def test_create_partner_shows_the_id_and_the_key() -> None:
    printed = run("create_partner", *(f"{name}={value}" for name, value in CREATE.items()))
    (key,) = KEY.findall(printed)
    assert "partner_nlp_001" in printed
    assert ApiKey.objects.get().key_hash == keys.hash_key(key)
    assert Partner.objects.get().kyc_verified is False


def test_create_partner_names_the_options_that_are_wrong() -> None:
    wrong = {**CREATE, "--label": "NLP", "--daily-limit": "-5"}
    with pytest.raises(CommandError) as refused:
        run("create_partner", *(f"{name}={value}" for name, value in wrong.items()))
    assert str(refused.value).splitlines() == [
        "--label: Must be 2 to 12 lower-case letters and digits.",
        "--daily-limit: Must be a string of USDC base units, 1 to 19 digits.",
    ]
    assert not Partner.objects.exists()


def test_rotate_api_key_shows_the_new_key_and_keeps_the_old_one_for_its_grace() -> None:
    old = ApiKeyFactory.create()
    printed = run("rotate_api_key", old.partner.partner_id, "--grace-hours=24")
    assert "The old key works for 24 more hours." in printed
    assert ApiKey.objects.exclude(pk=old.pk).get().key_hash == keys.hash_key(KEY.findall(printed)[0])


def test_rotate_api_key_names_its_option() -> None:
    partner = PartnerFactory.create()
    with pytest.raises(CommandError, match=r"^--grace-hours: Must be a whole number of hours, 0 to 168\.$"):
        run("rotate_api_key", partner.partner_id, "--grace-hours=500")


def test_suspend_and_activate_say_what_is() -> None:
    partner = PartnerFactory.create()
    assert run("suspend_partner", partner.partner_id) == f"{partner.partner_id} is suspended.\n"
    assert Partner.objects.get().status == PartnerStatus.SUSPENDED
    assert run("activate_partner", partner.partner_id) == f"{partner.partner_id} is active.\n"
    assert Partner.objects.get().status == PartnerStatus.ACTIVE


def test_a_partner_that_was_suspended_for_a_reason_is_not_activated_in_passing() -> None:
    partner = PartnerFactory.create()
    run("suspend_partner", partner.partner_id, "--reason=the contract ran out")
    with pytest.raises(CommandError, match=r"^It is SUSPENDED, because the contract ran out\. Say --yes"):
        run("activate_partner", partner.partner_id)
    assert Partner.objects.get().status == PartnerStatus.SUSPENDED
    assert run("activate_partner", partner.partner_id, "--yes") == f"{partner.partner_id} is active.\n"


@pytest.mark.parametrize("command", ["rotate_api_key", "suspend_partner", "activate_partner"])
def test_an_unknown_partner_is_answered_with_those_there_are(command: str) -> None:
    known = PartnerFactory.create()
    with pytest.raises(CommandError, match=f"There is no partner 'nobody'. Active partners: {known.partner_id}."):
        run(command, "nobody")


def test_the_key_of_a_new_partner_has_the_scopes_that_are_asked_for() -> None:
    terms = {"name": "Lender", "label": "len", "daily-limit": "1", "total-limit": "1", "email": "a@lender.example"}
    options = [f"--{name}={value}" for name, value in {**terms, "settlement-address": "0x" + "5e" * 20}.items()]
    run("create_partner", *options, "--scope=manage", "--scope=read")
    assert ApiKey.objects.get().scopes == ["read", "manage"]
    with pytest.raises(CommandError, match="invalid choice: 'all'"):
        run("create_partner", *options, "--scope=all")
