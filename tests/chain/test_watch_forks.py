"""What the watcher takes back: all from the fork on, nothing below it; and what it costs to see that all stands."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from chain.events import reorgs, watcher
from chain.events.cursor import CursorMoved
from chain.events.reorgs import Fork
from chain.models import SYSTEM_CURSOR, ChainEvent, WatchCursor, WatchedBlock
from chain.rpc.clients import get_client
from chain.signals import rollback_begins
from partner_platform.core import metrics
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy
from tests.support.signals import heard_by

FORK, NEXT = 7, 10


def read_up_to(next_block: int, *, verified: int = 0) -> None:
    """Blocks 5 and up were read; each has an event, and its hash is kept."""
    WatchCursor.objects.update_or_create(
        name=SYSTEM_CURSOR, defaults={"next_block": next_block, "verified_block": verified}
    )
    for number in range(5, next_block):
        WatchedBlock.objects.create(number=number, hash=f"0x{number:064x}")
        ChainEvent.objects.create(
            name="SeniorPool.DebtUpdated",
            block_number=number,
            log_index=0,
            block_hash=f"0x{number:064x}",
            block_time=1,
            tx_hash="0x02",
            args={},
        )


def kept() -> tuple[list[int], list[int]]:
    """The blocks whose hashes are kept, and those of the events."""
    hashes = WatchedBlock.objects.order_by("number").values_list("number", flat=True)
    return list(hashes), list(ChainEvent.objects.order_by("block_number").values_list("block_number", flat=True))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """From which block the consumers were told to take back, and how many events were stored then."""
    heard: list[tuple[int, int]] = []
    heard_by(monkeypatch, rollback_begins, lambda block, **_: heard.append((block, ChainEvent.objects.count())))
    return heard


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fork", "verified", "verified_after", "left"),
    [(FORK, 9, 6, [5, 6]), (FORK, 7, 6, [5, 6]), (FORK, 6, 6, [5, 6]), (FORK, 3, 3, [5, 6]), (0, 9, 0, [])],
)
def test_all_from_the_fork_on_is_forgotten_after_the_consumers_took_it_back(
    told: list[tuple[int, int]], fork: int, verified: int, verified_after: int, left: list[int]
) -> None:
    read_up_to(NEXT, verified=verified)
    assert reorgs.roll_back_events(fork, NEXT) == Fork(fork, NEXT - fork)
    assert told == [(fork, 5)]
    assert kept() == (left, left)
    cursor = WatchCursor.objects.get(name=SYSTEM_CURSOR)
    assert (cursor.next_block, cursor.verified_block) == (fork, verified_after)


@pytest.mark.django_db
def test_what_another_watcher_took_back_already_is_left_alone(told: list[tuple[int, int]]) -> None:
    read_up_to(NEXT)
    with pytest.raises(CursorMoved):
        reorgs.roll_back_events(FORK, NEXT + 1)
    assert kept() == ([5, 6, 7, 8, 9], [5, 6, 7, 8, 9])


@pytest.fixture
def node(chain: Chain, settings: Settings) -> Iterator[RpcProxy]:
    """The proxy behind which the watcher sees the chain."""
    with RpcProxy(chain.url) as proxy:
        settings.CHAIN_RPC_URLS = [proxy.url]
        get_client.cache_clear()
        yield proxy
    get_client.cache_clear()


def blocks_behind() -> float:
    [line] = [line for line in metrics.build().decode().splitlines() if line.startswith("watcher_blocks_behind")]
    return float(line.rpartition(" ")[2])


@pytest.mark.django_db(transaction=True)
def test_where_the_newest_block_stands_no_other_is_asked_for(chain: Chain, node: RpcProxy) -> None:
    watcher.read_new_blocks()
    assert WatchedBlock.objects.count() > 1
    before = node.received["eth_getBlockByNumber"]
    assert reorgs.roll_back_replaced(get_client(), 5) == Fork(5)
    assert node.received["eth_getBlockByNumber"] == before + 1


@pytest.mark.django_db(transaction=True)
def test_how_far_the_watcher_is_behind_is_measured(chain: Chain, node: RpcProxy) -> None:
    watcher.read_new_blocks(to_block=chain.block_number() - 3)
    assert blocks_behind() == 3
    before = ChainEvent.objects.count()
    report = watcher.read_new_blocks()
    assert blocks_behind() == 0
    assert (report.next_block, report.events) == (chain.block_number() + 1, ChainEvent.objects.count() - before)
    chain.mine(2)
    assert watcher.read_new_blocks(to_block=0).ranges == 0
    assert blocks_behind() == 2
