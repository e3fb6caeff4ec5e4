"""Importing a config file: what would change is shown and agreed to first; a sandbox's demo partners stay whole."""

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
from authority.models import Approval
from partners import config_file, services
from partners.management.commands.import_partners import PLACEHOLDERS
from partners.management.support import SANDBOX_ACTOR
from partners.models import ApiKey, Partner, SettlementAddress
from sandbox.keys import key_pair
from tests.support.acting import staff
from tests.support.commands import type_command

pytestmark = pytest.mark.django_db

SHIPPED = json.loads((settings.BASE_DIR / "configs" / "partner_platforms.json").read_text())
XYZ, ABC = (entry["partnerId"] for entry in SHIPPED["partners"])


def run(*command: str) -> str:
    out = StringIO()
    type_command(*command, stdout=out)
    return out.getvalue()


@pytest.fixture
def changed(tmp_path: Path) -> str:
    """A file with one new term for a partner that was imported before."""
    config_file.import_entries(SHIPPED["partners"], actor="system")
    content = copy.deepcopy(SHIPPED)
    content["partners"][0]["settlementAddress"] = key_pair("elsewhere").address.lower()
    content["partners"][0]["dailyBorrowLimit"] = "7"
    path = tmp_path / "partners.json"
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture
def examples(tmp_path: Path) -> str:
    """The plan's example file as it stands there: words in place of addresses."""
    content = copy.deepcopy(SHIPPED)
    content["partners"][0]["settlementAddress"] = "0xPartnerSettlementWallet1234567890123456"
    content["partners"][1]["settlementAddress"] = "0xABCSettlementWallet1234567890123456789"
    path = tmp_path / "partners.json"
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture
def demo_partners() -> dict[str, str]:
    """The demo partners as the sandbox opens them; answers their settlement addresses."""
    addresses = {partner_id: key_pair(f"settlement:{partner_id}").address for partner_id in (XYZ, ABC)}
    entries = [{**entry, "settlementAddress": addresses[entry["partnerId"]]} for entry in SHIPPED["partners"]]
    config_file.import_entries(entries, actor=SANDBOX_ACTOR)
    return addresses


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Somebody is at the keyboard, and types this."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: text)


def rows() -> Any:
    return list(Partner.objects.order_by("pk").values()), ApiKey.objects.count(), AuditEntry.objects.count()


def test_what_would_change_is_shown_by_field(changed: str) -> None:
    before = SHIPPED["partners"][0]["settlementAddress"]
    assert run("import_partners", changed, "--dry-run").splitlines() == [
        f"{ABC}: unchanged",
        f"{XYZ}: to be changed",
        "  dailyBorrowLimit: 100000000000 -> 7",
        f"  settlementAddress: {before} -> {key_pair('elsewhere').address}",
        "    repayments are pulled from the new one: it must hold USDC, with an allowance for the platform's executor",
        "Nothing was imported: this was a dry run.",
    ]


def test_a_new_partner_is_shown_with_all_its_terms_and_no_key() -> None:
    shown = run("import_partners", "--dry-run")
    assert f"{XYZ}: new\n  partnerName: XYZ Lending\n" in shown
    assert "  totalBorrowLimit: 500000000000\n" in shown
    assert "pk_" not in shown
    assert rows() == ([], 0, 0)


def test_a_dry_run_and_a_no_and_nobody_to_ask_change_nothing(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows()
    run("import_partners", changed, "--dry-run", "--yes")
    assert rows() == before
    with pytest.raises(CommandError, match=r"^Nothing was imported:\nThere is nobody to ask: say --yes, or --dry-run"):
        run("import_partners", changed)
    for text in ("", "n", "maybe"):
        answer(monkeypatch, text)
        with pytest.raises(CommandError, match=r"^Nothing was imported\.$"):
            run("import_partners", changed)
    assert rows() == before


@pytest.mark.parametrize("option", ["--yes", "--noinput", "--no-input", None])
def test_it_is_imported_where_somebody_agrees(
    changed: str, option: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if option is None:
        answer(monkeypatch, "Y")
    assert run("import_partners", changed, *([option] if option else [])).endswith(f"{XYZ}: terms updated\n")
    assert Partner.objects.get(partner_id=XYZ).daily_borrow_limit == 7


def test_where_nothing_would_change_nobody_is_asked() -> None:
    config_file.import_entries(SHIPPED["partners"], actor="system")
    before = rows()
    assert run("import_partners").splitlines() == [f"{ABC}: unchanged", f"{XYZ}: unchanged"]
    assert rows() == before


def test_what_changed_since_it_was_shown_is_not_imported(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def change_and_agree(question: str) -> str:
        services.update_partner(partner=Partner.objects.get(partner_id=XYZ), actor=staff("ann"), daily_borrow_limit="8")
        return "yes"

    answer(monkeypatch, "")
    monkeypatch.setattr("builtins.input", change_and_agree)
    with pytest.raises(CommandError, match=r"The partners changed since this was shown\. Run it again\."):
        run("import_partners", changed)
    assert Partner.objects.get(partner_id=XYZ).daily_borrow_limit == 8


@pytest.mark.parametrize("path", [[], [str(settings.BASE_DIR / "configs" / "partner_platforms.json")]])
def test_the_default_file_leaves_the_demo_partners_of_a_sandbox_alone(
    demo_partners: dict[str, str], path: list[str]
) -> None:
    before = rows()
    assert run("import_partners", *path, "--yes").splitlines() == [
        f"{XYZ}: a demo partner of this sandbox, left as it is",
        f"{ABC}: a demo partner of this sandbox, left as it is",
    ]
    assert rows() == before


def test_another_file_may_change_a_demo_partner(demo_partners: dict[str, str], tmp_path: Path) -> None:
    content = {"partners": [{**SHIPPED["partners"][0], "settlementAddress": demo_partners[XYZ], "tier": "BASIC"}]}
    path = tmp_path / "partners.json"
    path.write_text(json.dumps(content))
    run("import_partners", str(path), "--yes")
    row = Partner.objects.get(partner_id=XYZ)
    assert (row.tier, row.settlement_address) == ("BASIC", demo_partners[XYZ])


def test_outside_a_sandbox_the_default_file_names_whom_it_names(demo_partners: dict[str, str], settings: Any) -> None:
    settings.IS_SANDBOX = False
    assert f"{XYZ}: to be changed" in run("import_partners", "--dry-run")


def test_the_plans_example_is_refused_with_the_way_out(examples: str) -> None:
    with pytest.raises(CommandError) as refused:
        run("import_partners", examples, "--yes")
    assert str(refused.value).splitlines() == [
        "Nothing was imported:",
        f"{XYZ}: settlementAddress: Must be an address: 0x and 40 hex digits.",
        f"{ABC}: settlementAddress: Must be an address: 0x and 40 hex digits.",
        PLACEHOLDERS,
    ]
    assert rows() == ([], 0, 0)


def test_a_wrong_address_is_no_placeholder(tmp_path: Path) -> None:
    content = copy.deepcopy(SHIPPED)
    content["partners"][0]["settlementAddress"] = "0xA2327Af5377E8F54DB5F46301b2676fa1b11473a"
    path = tmp_path / "partners.json"
    path.write_text(json.dumps(content))
    with pytest.raises(CommandError) as refused:
        run("import_partners", str(path), "--placeholder-addresses", "--yes")
    assert str(refused.value).splitlines()[1:] == [f"{XYZ}: settlementAddress: Has a wrong EIP-55 checksum."]


def test_in_a_sandbox_placeholders_become_addresses_that_it_has_the_keys_of(examples: str) -> None:
    shown = run("import_partners", examples, "--placeholder-addresses", "--yes")
    assert len(re.findall(r"API key: pk_", shown)) == 2
    addresses = dict(Partner.objects.values_list("partner_id", "settlement_address"))
    assert addresses == {name: key_pair(f"settlement:{name}").address for name in (XYZ, ABC)}
    before = rows()
    assert "unchanged" in run("import_partners", examples, "--placeholder-addresses", "--yes")
    assert rows() == before


def test_a_known_partners_placeholder_is_the_address_it_has(examples: str) -> None:
    config_file.import_entries(SHIPPED["partners"], actor="system")
    before = rows()
    run("import_partners", examples, "--placeholder-addresses", "--yes")
    assert rows() == before
    assert SettlementAddress.objects.count() == 2


def test_placeholder_addresses_are_refused_outside_a_sandbox(examples: str, settings: Any) -> None:
    settings.IS_SANDBOX = False
    with pytest.raises(CommandError, match="--placeholder-addresses is for a sandbox"):
        run("import_partners", examples, "--placeholder-addresses", "--dry-run")
    assert rows() == ([], 0, 0)


@pytest.mark.parametrize("entry", ["nonsense", {}, {"partnerId": ["x"], "settlementAddress": "0xWord"}, None])
def test_what_is_no_entry_is_refused_with_placeholders_too(tmp_path: Path, entry: Any) -> None:
    path = tmp_path / "partners.json"
    path.write_text(json.dumps({"partners": [entry]}))
    with pytest.raises(CommandError, match="Nothing was imported"):
        run("import_partners", str(path), "--placeholder-addresses", "--yes")


def shipped(folder: Path) -> Path:
    """A copy of the shipped file, which holds no demo partners."""
    path = folder / "partners.json"
    path.write_text(json.dumps(SHIPPED))
    return path


def test_as_json_it_tells_each_change_and_the_new_keys(tmp_path: Path) -> None:
    path = str(shipped(tmp_path))
    told = json.loads(run("import_partners", path, "--yes", "--json"))
    assert told["imported"] is True
    assert [(row["partnerId"], row["new"]) for row in told["partners"]] == [(ABC, True), (XYZ, True)]
    assert all(row["apiKey"].startswith("pk_") for row in told["partners"])
    again = json.loads(run("import_partners", path, "--yes", "--json"))
    assert again == {
        "imported": False,
        "partners": [{"partnerId": name, "new": False, "changes": []} for name in (ABC, XYZ)],
    }


def test_where_a_second_person_is_needed_each_partner_waits_for_itself(tmp_path: Path, settings: Any) -> None:
    path = shipped(tmp_path)
    run("import_partners", str(path), "--yes")
    content = json.loads(path.read_text())
    for entry in content["partners"]:
        if entry["partnerId"] == XYZ:
            entry["dailyBorrowLimit"] = "900000000000"
        else:
            entry["contactEmail"] = "new@abc-finance.example"
    path.write_text(json.dumps(content))
    settings.APPROVALS = "required"
    said = run("import_partners", str(path), "--yes").splitlines()
    approval = Approval.objects.get()
    assert said[-2:] == [
        f"{XYZ}: Waits for a second person: approval {approval.pk}. Nothing is changed yet.",
        f"{ABC}: terms updated",
    ]
    assert Partner.objects.get(partner_id=XYZ).daily_borrow_limit == 100_000_000_000
    assert Partner.objects.get(partner_id=ABC).contact_email == "new@abc-finance.example"


def test_the_question_counts_the_addresses_and_limits_that_change(
    changed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, "no")
    with pytest.raises(CommandError, match=r"^Nothing was imported\.$"):
        run("import_partners", changed)
    asked = "Import this? It changes what money depends on (limits: 1 and settlement addresses: 1). [y/N] "
    assert capsys.readouterr().err == asked
