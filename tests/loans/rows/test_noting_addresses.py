"""Settlement addresses are looked at once, for the account that the platform pays with."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain import selectors
from loans.funding import deposits, early_deposits
from loans.models import NotedAddress, PartnerSpending
from partners import settlement_addresses
from partners.models import Partner, SettlementAddress
from tests.loans.rows.conftest import EXECUTOR
from tests.support.books_rows import BooksRows


@pytest.fixture
def sent(world: BooksRows, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What each address had sent to the account before."""
    sums: dict[str, int] = {}

    def received(account: str, _: int, addresses: Any) -> dict[str, int]:
        assert account == EXECUTOR
        return {address: sums.get(address, 0) for address in addresses}

    monkeypatch.setattr(selectors, "watched_until", lambda: 9)
    monkeypatch.setattr(deposits, "received", received)
    return sums


def with_an_address(world: BooksRows) -> Partner:
    partner = world.partner()
    SettlementAddress.objects.create(address=partner.settlement_address, partner=partner)
    return partner


def test_each_is_noted_once_and_whoever_had_sent_before_is_judged_from_now_on(
    world: BooksRows, sent: dict[str, int]
) -> None:
    early, _ = with_an_address(world), with_an_address(world)
    sent[early.settlement_address] = 5
    assert early_deposits.note_new() == 2
    assert NotedAddress.objects.filter(account=EXECUTOR).count() == 2
    trusted = PartnerSpending.objects.filter(on_trust__in=[True]).values_list("partner_id", flat=True)
    assert set(trusted) == {early.pk}
    assert early_deposits.note_new() == 0
    with_an_address(world)
    assert early_deposits.note_new() == 1


def test_where_all_are_noted_their_owners_are_not_read(
    world: BooksRows, sent: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_an_address(world)
    assert early_deposits.note_new() == 1
    monkeypatch.setattr(settlement_addresses, "owners", lambda: pytest.fail("they are read"))
    assert early_deposits.note_new() == 0


def test_without_an_account_none_is_noted(world: BooksRows, sent: dict[str, int], settings: Settings) -> None:
    with_an_address(world)
    settings.PLATFORM_EXECUTOR_ADDRESS = ""
    assert early_deposits.note_new() == 0
    assert not NotedAddress.objects.exists()


def test_what_was_noted_for_another_account_is_noted_for_this_one_too(world: BooksRows, sent: dict[str, int]) -> None:
    partner = with_an_address(world)
    NotedAddress.objects.create(account="0x" + "e2" * 20, address=partner.settlement_address)
    assert early_deposits.note_new() == 1
    assert NotedAddress.objects.filter(account=EXECUTOR, address=partner.settlement_address).exists()
