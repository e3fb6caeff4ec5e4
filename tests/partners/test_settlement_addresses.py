"""A settlement address is one partner's, for ever: however it is written, whoever asks, whoever was faster."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.db import IntegrityError, connection
from django.test import Client
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from partner_platform.core.database.transactions import atomic
from partner_platform.core.errors import BadRequest, ErrorCode
from partners import config_file, services, settlement_addresses
from partners.models import ApiKey, Partner, SettlementAddress
from tests.factories import PartnerFactory
from tests.partners.test_admin import FORM, change_form
from tests.partners.test_commands import CREATE, SHIPPED, run
from tests.partners.test_services import TERMS
from tests.support.acting import staff
from tests.support.commands import type_command
from tests.support.console import send

FIRST = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"
SECOND = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
THIRD = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"
WRITTEN = [FIRST, FIRST.lower(), "0x" + FIRST[2:].upper()]


def make_partner(address: str = FIRST, **terms: Any) -> Partner:
    return services.create_partner(actor=staff("ann"), **{**TERMS, "settlement_address": address, **terms})[0]


def owners() -> dict[str, str]:
    return dict(SettlementAddress.objects.values_list("address", "partner__partner_id"))


def refusal(owner: Partner) -> dict[str, list[str]]:
    return {"settlementAddress": [f"Belongs to {owner.partner_id}, now or formerly."]}


@pytest.mark.django_db
class TestTheServices:
    def test_a_new_partner_claims_its_address(self) -> None:
        partner = make_partner()
        assert owners() == {FIRST: partner.partner_id}
        assert settlement_addresses.addresses_of(partner) == [FIRST]
        assert settlement_addresses.owners() == {FIRST: partner.pk}

    @pytest.mark.parametrize("written", WRITTEN)
    def test_no_second_partner_gets_it_however_it_is_written(self, written: str) -> None:
        first = make_partner()
        with pytest.raises(BadRequest) as refused:
            make_partner(written)
        assert (refused.value.code, refused.value.details) == (ErrorCode.INVALID_REQUEST, refusal(first))
        assert Partner.objects.get() == first
        assert ApiKey.objects.count() == 1

    @pytest.mark.parametrize("written", WRITTEN)
    def test_nor_by_a_change_of_its_terms(self, written: str) -> None:
        first, second = make_partner(), make_partner(SECOND)
        told = AuditEntry.objects.count()
        with pytest.raises(BadRequest) as refused:
            services.update_partner(partner=second, actor=staff("ann"), settlement_address=written, tier="PREMIUM")
        assert refused.value.details == refusal(first)
        second.refresh_from_db()
        assert (second.settlement_address, second.tier) == (SECOND, "BASIC")
        assert owners() == {FIRST: first.partner_id, SECOND: second.partner_id}
        assert AuditEntry.objects.count() == told

    def test_nor_one_that_the_other_has_left(self) -> None:
        first = make_partner()
        services.update_partner(partner=first, actor=staff("ann"), settlement_address=SECOND)
        for address in (FIRST, SECOND):
            with pytest.raises(BadRequest) as refused:
                make_partner(address)
            assert refused.value.details == refusal(first)
        assert settlement_addresses.addresses_of(Partner.objects.get()) == [SECOND, FIRST]

    def test_a_partner_returns_to_an_address_of_its_own(self) -> None:
        partner = make_partner()
        for address in (SECOND, FIRST, FIRST):
            services.update_partner(partner=partner, actor=staff("ann"), settlement_address=address)
        assert Partner.objects.get().settlement_address == FIRST
        assert owners() == {FIRST: partner.partner_id, SECOND: partner.partner_id}
        changes = [entry.after for entry in AuditEntry.objects.filter(action="partner.updated").order_by("timestamp")]
        assert changes == [{"settlementAddress": SECOND}, {"settlementAddress": FIRST}]

    def test_the_systems_own_contracts_are_nobodys_settlement_address(self, settings: Settings) -> None:
        settings.PLATFORM_EXECUTOR_ADDRESS, settings.USDC_ADDRESS = FIRST.lower(), SECOND
        partner = make_partner(THIRD)
        for address in (FIRST, SECOND):
            with pytest.raises(BadRequest) as refused:
                make_partner(address)
            assert refused.value.details == {"settlementAddress": ["Is a contract of the platform."]}
            with pytest.raises(BadRequest):
                services.update_partner(partner=partner, actor=staff("ann"), settlement_address=address)
        assert owners() == {THIRD: partner.partner_id}

    def test_a_callers_transaction_is_told_so_before_anything_is_written(self) -> None:
        """An error of the database would leave it nothing to go on with."""
        first = make_partner()
        with pytest.raises(BadRequest) as refused, atomic():
            make_partner()
        assert refused.value.details == refusal(first)

    def test_the_database_holds_it_too(self) -> None:
        make_partner()
        with pytest.raises(IntegrityError):
            PartnerFactory.create(settlement_address=FIRST)


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    def _race(self, act: Any, times: int = 8) -> list[str]:
        def answer(number: int) -> str:
            try:
                act(number)
            except BadRequest as error:
                return str(next(iter(error.details)))
            finally:
                connection.close()
            return "done"

        with ThreadPoolExecutor(times) as pool:
            return sorted(pool.map(answer, range(times)))

    def test_of_new_partners_one_gets_the_address(self) -> None:
        assert self._race(lambda _: make_partner()) == ["done"] + ["settlementAddress"] * 7
        assert owners() == {FIRST: Partner.objects.get().partner_id}
        assert ApiKey.objects.count() == 1

    def test_of_changes_one_gets_it(self) -> None:
        partners = [make_partner(f"0x{number + 1:040x}") for number in range(8)]

        def change(number: int) -> None:
            services.update_partner(partner=partners[number], actor=staff("ann"), settlement_address=FIRST)

        assert self._race(change) == ["done"] + ["settlementAddress"] * 7
        holder = Partner.objects.get(settlement_address=FIRST)
        assert SettlementAddress.objects.get(address=FIRST).partner == holder
        assert AuditEntry.objects.filter(action="partner.updated").count() == 1

    @pytest.mark.parametrize("act", ["change", "note"])
    def test_who_was_slower_by_the_database_is_told_whose_it_is(
        self, monkeypatch: pytest.MonkeyPatch, act: str
    ) -> None:
        """Both looked before either claimed: the unique constraint lets one through."""
        first, second = make_partner(), make_partner(SECOND)

        def claim_too_late(*_: Any, **__: Any) -> None:
            raise IntegrityError("partners_settlementaddress_address_key")

        monkeypatch.setattr(settlement_addresses, "claim_address", claim_too_late)
        with pytest.raises(BadRequest) as refused:
            if act == "change":
                services.update_partner(partner=second, actor=staff("ann"), settlement_address=FIRST)
            else:
                settlement_addresses.note_former(partner=second, address=FIRST, actor=staff("ann"))
        assert refused.value.details == refusal(first)
        with pytest.raises(IntegrityError):  # of something else
            services.update_partner(partner=second, actor=staff("ann"), settlement_address=THIRD)


@pytest.mark.django_db
class TestTheImportFile:
    def write(self, tmp_path: Path, content: Any) -> str:
        path = tmp_path / "partners.json"
        path.write_text(json.dumps(content))
        return str(path)

    def test_two_entries_with_one_address_are_both_named(self, tmp_path: Path) -> None:
        content = copy.deepcopy(SHIPPED)
        first, second = content["partners"]
        second["settlementAddress"] = first["settlementAddress"].lower()
        with pytest.raises(CommandError) as refused:
            run("import_partners", self.write(tmp_path, content), "--yes")
        assert str(refused.value).splitlines() == [
            "Nothing was imported:",
            *(f"{entry['partnerId']}: settlementAddress: Appears more than once." for entry in (first, second)),
        ]
        assert not Partner.objects.exists()

    def test_one_that_is_anothers_is_named_and_nothing_is_imported(self, tmp_path: Path) -> None:
        owner = make_partner(SHIPPED["partners"][1]["settlementAddress"])
        with pytest.raises(CommandError) as refused:
            run("import_partners", self.write(tmp_path, SHIPPED), "--yes")
        assert str(refused.value).splitlines() == [
            "Nothing was imported:",
            f"{SHIPPED['partners'][1]['partnerId']}: settlementAddress: {refusal(owner)['settlementAddress'][0]}",
        ]
        assert Partner.objects.get() == owner

    def test_known_partners_cannot_swap_theirs(self, tmp_path: Path) -> None:
        """What one leaves stays its own, in the same file too."""
        run("import_partners", self.write(tmp_path, SHIPPED), "--yes")
        swapped = copy.deepcopy(SHIPPED)
        one, two = swapped["partners"]
        one["settlementAddress"], two["settlementAddress"] = two["settlementAddress"], one["settlementAddress"]
        with pytest.raises(CommandError, match="Nothing was imported"):
            run("import_partners", self.write(tmp_path, swapped), "--yes")
        for entry in SHIPPED["partners"]:
            partner = Partner.objects.get(partner_id=entry["partnerId"])
            assert partner.settlement_address.lower() == entry["settlementAddress"].lower()

    @pytest.mark.django_db(transaction=True)
    def test_one_that_was_claimed_since_the_look_is_named_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another takes it between the look and the commit; other errors of the database stay what they are."""
        entries = copy.deepcopy(SHIPPED["partners"])
        owner = make_partner(entries[0]["settlementAddress"])
        look, looks = config_file._taken_addresses, iter([True])

        def look_too_early(given: Any) -> list[str]:
            return [] if next(looks, False) else look(given)

        def refuse(**_: Any) -> Any:
            raise IntegrityError("partner_settlement_address_once")

        monkeypatch.setattr(config_file, "_taken_addresses", look_too_early)
        monkeypatch.setattr(services, "create_partner", refuse)
        with pytest.raises(config_file.BadConfigFile) as refused:
            config_file.import_entries(entries, actor="test")
        assert refused.value.problems == [
            f"{entries[0]['partnerId']}: settlementAddress: {refusal(owner)['settlementAddress'][0]}"
        ]
        with pytest.raises(IntegrityError):
            config_file.import_entries(entries[1:], actor="test")


@pytest.mark.django_db
class TestTheCommands:
    def test_create_partner_names_its_option(self) -> None:
        owner = make_partner(CREATE["--settlement-address"])
        with pytest.raises(CommandError) as refused:
            run("create_partner", *(f"{name}={value}" for name, value in CREATE.items()))
        assert str(refused.value) == f"--settlement-address: {refusal(owner)['settlementAddress'][0]}"

    def test_an_address_is_set_and_the_old_one_kept(self) -> None:
        partner = make_partner()
        said = run("set_settlement_address", partner.partner_id, SECOND.lower())
        assert partner.partner_id in said
        partner.refresh_from_db()
        assert settlement_addresses.addresses_of(partner) == [SECOND, FIRST]

    def test_a_former_one_is_noted_once_and_the_present_one_stays(self) -> None:
        partner = make_partner()
        for _ in range(2):
            run("set_settlement_address", partner.partner_id, SECOND, "--former")
        partner.refresh_from_db()
        assert settlement_addresses.addresses_of(partner) == [FIRST, SECOND]
        entry = AuditEntry.objects.get(action="partner.settlement_address_noted")
        assert (entry.target, entry.after) == (f"partner:{partner.partner_id}", {"settlementAddress": SECOND})

    @pytest.mark.parametrize("former", [(), ("--former",)])
    def test_anothers_is_refused(self, former: tuple[str, ...]) -> None:
        owner, other = make_partner(), make_partner(SECOND)
        with pytest.raises(CommandError) as refused:
            run("set_settlement_address", other.partner_id, FIRST.lower(), *former)
        assert str(refused.value) == f"address: {refusal(owner)['settlementAddress'][0]}"
        assert owners() == {FIRST: owner.partner_id, SECOND: other.partner_id}

    def test_no_address_is_refused(self) -> None:
        partner = make_partner()
        with pytest.raises(CommandError, match=r"^address: Must be an address"):
            type_command("set_settlement_address", partner.partner_id, "0x12", "--former", stdout=StringIO())


@pytest.mark.django_db
class TestTheConsole:
    @pytest.fixture
    def console(self, client: Client) -> Client:
        client.force_login(User.objects.create_superuser("ann", "ann@platform.example", "a long password indeed"))
        return client

    def test_the_form_names_the_field(self, console: Client) -> None:
        owner = make_partner(partner_name="Another")
        page = send(console, "/console/partners/partner/add/", FORM)
        assert page.status_code == 200
        assert page.context["adminform"].form.errors == {"settlement_address": refusal(owner)["settlementAddress"]}
        assert Partner.objects.get() == owner

    def test_a_change_to_anothers_former_one_is_refused_and_to_an_own_one_is_not(self, console: Client) -> None:
        owner, other = make_partner(), make_partner(SECOND)
        services.update_partner(partner=owner, actor=staff("ann"), settlement_address=THIRD)
        path = f"/console/partners/partner/{other.pk}/change/"
        page = console.post(path, change_form(other, settlement_address=FIRST.lower()))
        assert page.context["adminform"].form.errors == {"settlement_address": refusal(owner)["settlementAddress"]}

        path = f"/console/partners/partner/{owner.pk}/change/"
        owner.refresh_from_db()
        assert console.post(path, change_form(owner, settlement_address=FIRST)).status_code == 302
        assert Partner.objects.get(pk=owner.pk).settlement_address == FIRST
        assert THIRD in console.get(path).content.decode()  # among the former ones

    @pytest.mark.django_db(transaction=True)
    def test_one_that_is_claimed_after_the_form_was_checked_is_told_on_the_page(
        self, console: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner = make_partner(partner_name="Another")
        monkeypatch.setattr("partners.console.forms.PartnerForm._check_settlement_address", lambda *_: None)
        monkeypatch.setattr(Partner, "validate_constraints", lambda *_, **__: None)
        page = send(console, "/console/partners/partner/add/", FORM)
        assert page.status_code == 200
        assert [str(message) for message in page.context["messages"]] == [
            f"settlementAddress: {refusal(owner)['settlementAddress'][0]}"
        ]
        assert Partner.objects.count() == 1
