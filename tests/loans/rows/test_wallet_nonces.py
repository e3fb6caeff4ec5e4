"""A wallet's nonces against the chain's: read again where they do not fit, and a finding where they never do."""

import pytest
from eth_account import Account
from pytest_django.fixtures import Settings

from chain import reconciling
from chain.models import PlatformWallet
from chain.reconciling import ReferenceBlock
from loans.reconciliation import holdings
from loans.reconciliation.holdings import READINGS

MOMENT = ReferenceBlock(100, "0xhead", 0)
KEY = "0x" + "11" * 32


@pytest.fixture
def wallet(db: None, settings: Settings) -> PlatformWallet:
    """The signing wallet, whose books expect nine transactions, all of them mined."""
    settings.PLATFORM_PRIVATE_KEY = KEY
    address = Account.from_key(KEY).address
    return PlatformWallet.objects.create(address=address, chain_id=settings.CHAIN_ID, fee_cap_wei=1, next_nonce=9)


def checked(monkeypatch: pytest.MonkeyPatch, *counts: int) -> tuple[list[str], int]:
    """What is told where the chain counts these, one after the other; and how often it was asked."""
    answers = list(counts)
    asked: list[list[str]] = []

    def read(addresses: list[str], _: ReferenceBlock) -> dict[str, int]:
        asked.append(addresses)
        return dict.fromkeys(addresses, answers[min(len(asked), len(answers)) - 1])

    monkeypatch.setattr(reconciling, "read_nonces", read)
    monkeypatch.setattr(reconciling, "final_nonce", lambda *_: 99)
    found, motions, count = holdings.check_wallets(MOMENT)
    assert (motions, count) == ({}, 1)
    return [f"{finding.what} is {finding.booked}, adds up to {finding.actual}" for finding in found], len(asked)


@pytest.mark.parametrize(
    ("counts", "found", "asked"),
    [
        ([9], [], 1),
        ([8, 9], [], 2),
        ([10, 9], [], 2),
        ([8], ["next_nonce is 9, adds up to 8"], READINGS),
        ([10], ["next_nonce is 9, adds up to 10"], READINGS),
    ],
)
def test_nonces_that_do_not_fit_are_read_again_before_they_are_a_finding(
    wallet: PlatformWallet, monkeypatch: pytest.MonkeyPatch, counts: list[int], found: list[str], asked: int
) -> None:
    assert checked(monkeypatch, *counts) == (found, asked)
