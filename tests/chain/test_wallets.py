"""The platform's wallet row: made once, of the configured key on the configured chain."""

from typing import Any

import pytest
from django.db import IntegrityError
from pytest_django.fixtures import Settings

from chain.models import PlatformWallet
from chain.rpc.clients import ChainUnavailable, RpcError
from chain.tasks import DRIVE_SECONDS, drive_settlement
from chain.wallet import signer, wallets
from chain.wallet.signer import SignerUnavailable, get_signer
from chain.wallet.wallets import platform_wallet

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "0x" + "11" * 32
ADDRESS = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"


class Node:
    """Two endpoints, each with a count of nonces and its newest block; remembers what they were asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answers: list[list[Any]] = [["0x2a", "0x6"], ["0x29", "0x7"]]

    def everyone(self, calls: Any) -> list[list[Any]]:
        self.asked.append(calls)
        return self.answers


@pytest.fixture
def node(settings: Settings) -> Any:
    settings.CHAIN_ID, settings.PLATFORM_PRIVATE_KEY = 5003, KEY
    settings.CHAIN_MAX_IN_FLIGHT, settings.CHAIN_MAX_FEE_PER_GAS_WEI = 7, 123
    return Node()


def row(address: str = ADDRESS, chain_id: int = 5003, **fields: Any) -> PlatformWallet:
    return PlatformWallet.objects.create(address=address, chain_id=chain_id, fee_cap_wei=1, **fields)


def test_a_new_wallet_begins_at_the_chains_nonce(node: Any) -> None:
    row(chain_id=1)
    row(address="0x" + "a1" * 20)
    made = platform_wallet(node)
    assert (made.address, made.chain_id) == (ADDRESS, 5003)
    assert (made.next_nonce, made.nonces_from, made.max_in_flight, made.fee_cap_wei) == (42, 42, 7, 123)
    assert made.nonces_block == 7
    assert node.asked == [[("eth_getTransactionCount", [ADDRESS, "latest"]), ("eth_blockNumber", [])]]


@pytest.mark.parametrize("refused", [0, 1], ids=["count", "block"])
def test_no_wallet_is_made_where_an_endpoint_refuses_to_count(node: Any, refused: int) -> None:
    node.answers[1][refused] = RpcError(-32000, "busy")
    with pytest.raises(ChainUnavailable, match="A node does not count nonces"):
        platform_wallet(node)
    assert not PlatformWallet.objects.exists()


def test_a_known_wallet_is_as_it_was_left(node: Any) -> None:
    mine = row(next_nonce=3)
    assert platform_wallet(node).pk == mine.pk
    assert node.asked == []
    assert PlatformWallet.objects.get().next_nonce == 3


def test_of_two_workers_that_make_it_at_once_both_have_the_one(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    row(chain_id=1)
    other = row(address="0x" + "a1" * 20)
    mine = row()

    def too_late(**_: Any) -> PlatformWallet:
        raise IntegrityError

    monkeypatch.setattr(PlatformWallet.objects, "create", too_late)
    assert wallets._create(node, ADDRESS).pk == mine.pk != other.pk


def test_without_a_key_the_chains_only_wallet_is_followed(node: Any, settings: Settings) -> None:
    settings.PLATFORM_PRIVATE_KEY = ""
    signer._signer.cache_clear()
    with pytest.raises(SignerUnavailable):
        platform_wallet(node)
    row(chain_id=1)
    mine = row()
    assert platform_wallet(node).pk == mine.pk
    row(address="0x" + "a1" * 20)
    with pytest.raises(SignerUnavailable):
        platform_wallet(node)


def test_the_key_signs_for_the_configured_chain(node: Any) -> None:
    assert get_signer().address == ADDRESS


@pytest.mark.parametrize(
    ("live", "busy", "wakes"), [(True, False, 1), (True, True, 0), (False, False, 0), (False, True, 0)]
)
def test_the_task_drives_for_a_while_and_another_goes_on_where_work_is_left(
    monkeypatch: pytest.MonkeyPatch, live: bool, busy: bool, wakes: int
) -> None:
    from chain.settlement.driver import DriveReport

    driven: list[float] = []
    woken: list[int] = []

    def drive(*, max_seconds: float) -> DriveReport:
        driven.append(max_seconds)
        return DriveReport(live=live, busy=busy)

    monkeypatch.setattr("chain.tasks.drive_wallet", drive)
    monkeypatch.setattr("chain.tasks.wake_driver", lambda: woken.append(1))
    drive_settlement()
    assert (driven, len(woken)) == ([DRIVE_SECONDS], wakes)
