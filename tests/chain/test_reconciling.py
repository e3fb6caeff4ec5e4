"""The block that books and chain are compared at is one that every endpoint shows."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from chain import reconciling
from chain.models import SYSTEM_CURSOR, ChainTransaction, PlatformWallet, WatchCursor, WatchedBlock
from chain.reconciling import BlockGone
from chain.rpc.clients import ChainUnavailable, get_client
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

BLOCK = "eth_getBlockByNumber"


@pytest.fixture
def second(chain: Chain, settings: Settings) -> Iterator[RpcProxy]:
    with RpcProxy(chain.url) as first, RpcProxy(chain.url) as second:
        settings.CHAIN_RPC_URLS = [first.url, second.url]
        get_client.cache_clear()
        yield second
    get_client.cache_clear()


def test_before_anything_was_followed_there_is_no_block_to_compare_at(chain: Chain) -> None:
    WatchCursor.objects.all().delete()
    assert reconciling.last_watched_block() == (-1, "", {})
    with pytest.raises(ChainUnavailable, match="was not followed yet"):
        reconciling.reference_block(-1, "", {})


def test_the_last_block_that_was_read_has_the_hash_that_was_kept(chain: Chain) -> None:
    WatchCursor.objects.update_or_create(name=SYSTEM_CURSOR, defaults={"next_block": 8})
    WatchedBlock.objects.create(number=7, hash="0x07")
    assert reconciling.last_watched_block() == (7, "0x07", {7: "0x07"})


def test_the_block_as_both_endpoints_show_it(chain: Chain, second: RpcProxy) -> None:
    number = chain.block_number()
    block = chain.rpc(BLOCK, hex(number), False)
    moment = reconciling.reference_block(number, "", {})
    assert (moment.block_number, moment.block_hash) == (number, block["hash"])
    assert moment.timestamp == int(block["timestamp"], 16)


def test_a_block_about_which_the_endpoints_disagree_is_not_compared_at(chain: Chain, second: RpcProxy) -> None:
    second.rewrite(BLOCK, lambda block: block and {**block, "hash": "0x" + "ab" * 32}, times=None)
    with pytest.raises(BlockGone, match="The endpoints disagree about block"):
        reconciling.reference_block(chain.block_number(), "", {})


def test_a_block_that_no_endpoint_has_is_not_waited_for(chain: Chain, second: RpcProxy) -> None:
    with pytest.raises(BlockGone, match="is not on every endpoint's chain"):
        reconciling.reference_block(chain.block_number() + 5, "", {})


@pytest.mark.parametrize(
    ("watched", "final"), [({}, 9), ({9: "0x09"}, 8), ({5: "0x05", 4: "0x04", 9: "0x09"}, 3), ({0: "0x00"}, -1)]
)
def test_final_is_what_is_below_all_blocks_whose_hashes_are_kept(watched: dict[int, str], final: int) -> None:
    assert reconciling.ReferenceBlock(9, "0x09", 0, watched).final_block == final


def test_of_a_chain_that_has_no_final_block_yet_no_nonce_is_final() -> None:
    moment = reconciling.ReferenceBlock(0, "0x00", 0, {0: "0x00"})
    assert reconciling.final_nonce("0x" + "a1" * 20, moment) == 0


def test_final_nonces_are_the_fewest_that_an_endpoint_counts_at_the_final_block(chain: Chain, second: RpcProxy) -> None:
    sender = chain.rpc("eth_getBlockByNumber", "0x1", True)["transactions"][0]["from"]
    number = chain.block_number()
    moment = reconciling.ReferenceBlock(number, "0x01", 0, {})
    counted = int(chain.rpc("eth_getTransactionCount", sender, hex(number)), 16)
    assert reconciling.final_nonce(sender, moment) == counted > 0
    second.rewrite("eth_getTransactionCount", lambda _: "0x0")
    assert reconciling.final_nonce(sender, moment) == 0
    second.refuse("eth_getTransactionCount", "missing trie node")
    assert reconciling.final_nonce(sender, moment) == 0


def test_transactions_are_read_from_the_newest_on_a_page_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "ROWS_AT_ONCE", 3)
    mine, other = (
        PlatformWallet.objects.create(address="0x" + digit * 40, chain_id=5003, fee_cap_wei=1) for digit in "12"
    )
    for wallet, nonce in [*((mine, nonce) for nonce in (3, 0, 6, 1, 5, 2, 4)), (other, 9)]:
        ChainTransaction.objects.create(wallet=wallet, nonce=nonce, gas_limit=1)
    assert [row.nonce for row in reconciling._newest_first(mine)] == [6, 5, 4, 3, 2, 1, 0]
    ChainTransaction.objects.filter(nonce=6).delete()
    assert [row.nonce for row in reconciling._newest_first(mine)] == [5, 4, 3, 2, 1, 0]
