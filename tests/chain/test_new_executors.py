"""What reached an executor before the platform was told of it, or while no operation was for it, is not lost."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain.events import decoding, new_executors, watcher
from chain.events.cursor import CursorMoved
from chain.lending import deployment
from chain.lending.encoding import encode_call
from chain.models import ChainEvent, ChainTransaction, Executor, Operation, OperationState, WatchedBlock
from chain.rpc import log_ranges
from chain.rpc.clients import get_client
from chain.settlement import driver
from sandbox.keys import key_pair
from tests.chain.book import Book
from tests.support.actors import fund_usdc, send_as
from tests.support.chain import Chain

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def second(chain: Chain) -> str:
    """Another executor's address, which the platform does not know."""
    with chain.automine():
        return deployment.deploy_executor(
            client=get_client(),
            owner_key=key_pair("deployer").private_key,
            operator_address=chain.addresses["operator"],
            treasury=chain.addresses["treasury"],
            usdc=chain.addresses["usdc"],
        )


def received(account: str) -> list[int]:
    """What it got, in the order of the chain."""
    transfers = ChainEvent.objects.filter(name="MockUSDC.Transfer").order_by("block_number", "log_index")
    return [int(event.args["value"]) for event in transfers if event.args["to"] == account]


def test_usdc_that_reached_it_before_it_was_configured_is_read_once(chain: Chain, settings: Settings, second: str):
    fund_usdc(chain, second, 7)
    watcher.read_new_blocks()
    assert received(second) == []

    settings.PLATFORM_EXECUTOR_ADDRESS = second
    fund_usdc(chain, second, 8)
    for _ in range(2):
        watcher.read_new_blocks()

    assert received(second) == [7, 8]
    newest = ChainEvent.objects.filter(name="MockUSDC.Transfer").latest("block_number")
    assert newest.block_time == chain.now()
    # The second reading, which compares with all that a node shows of every executor, agrees.
    chain.mine(64)
    assert watcher.recheck_blocks(0, chain.block_number()) is False
    assert received(second) == [7, 8]


def test_one_that_was_replaced_before_anything_was_promised_to_it_is_followed_still(
    chain: Chain, settings: Settings, second: str
):
    first = settings.PLATFORM_EXECUTOR_ADDRESS
    watcher.read_new_blocks()
    settings.PLATFORM_EXECUTOR_ADDRESS = second
    watcher.read_new_blocks()
    fund_usdc(chain, first, 9)
    watcher.read_new_blocks()

    assert received(first) == [9]
    assert set(Executor.objects.values_list("address", flat=True)) == {first, second}


def test_a_range_that_was_read_without_it_is_read_again(
    chain: Chain, settings: Settings, second: str, monkeypatch: pytest.MonkeyPatch
):
    """Another process, with the new settings, makes the executor known while this one reads."""
    watcher.read_new_blocks()
    fund_usdc(chain, second, 7)
    original = log_ranges.RangeReader.read
    done: list[int] = []

    def then_known(reader: Any, *args: Any, **options: Any) -> Any:
        found = original(reader, *args, **options)
        if not done:
            done.append(len(found.logs))
            new_executors.follow_executor(second)
        return found

    monkeypatch.setattr(log_ranges.RangeReader, "read", then_known)
    watcher.read_new_blocks()

    assert done == [0]
    assert received(second) == [7]


def test_after_a_reorg_its_past_is_read_once_the_watcher_took_the_old_blocks_back(
    chain: Chain, settings: Settings, second: str
):
    chain.mine(2)
    watcher.read_new_blocks()
    chain.rpc("anvil_reorg", 2, [])
    fund_usdc(chain, second, 7)
    watched = WatchedBlock.objects.count()

    with pytest.raises(CursorMoved, match="are not those that were read before"):
        new_executors.follow_executor(second)
    assert not Executor.objects.filter(address=second).exists()
    assert (received(second), WatchedBlock.objects.count()) == ([], watched)

    settings.PLATFORM_EXECUTOR_ADDRESS = second
    watcher.read_new_blocks()
    assert received(second) == [7]


def test_nothing_is_sent_to_one_that_cannot_be_followed_yet(book: Book, settings: Settings, second: str):
    """The settings named it while no watcher ran, and a reorg replaced what the watcher read last."""
    chain = book.chain
    allow = encode_call("setOperator(address,bool)", [second, True])
    send_as(chain, book.user.wallet, chain.addresses["solvencyVault"], allow)
    chain.mine(2)
    watcher.read_new_blocks()
    chain.rpc("anvil_reorg", 2, [])
    settings.PLATFORM_EXECUTOR_ADDRESS = second
    operation = book.borrow()

    driver.drive_once()
    assert Operation.objects.get(pk=operation.pk).state == OperationState.QUEUED
    assert not ChainTransaction.objects.exists()

    watcher.read_new_blocks()
    for _ in range(2):
        driver.drive_once()
        chain.mine()
    driver.drive_once()
    book.check_states(confirmed=[operation])


def test_one_that_is_followed_costs_no_post(chain: Chain, second: str, monkeypatch: pytest.MonkeyPatch):
    new_executors.follow_executor(second)
    monkeypatch.setattr(new_executors, "get_client", None)
    monkeypatch.setattr(decoding, "filters_of", None)

    new_executors.follow_executor(second)

    assert Executor.objects.filter(address=second).count() == 1


def test_one_that_is_followed_in_another_spelling_takes_the_new_one_and_nothing_is_read_twice(
    chain: Chain, settings: Settings
):
    """The settings were not checksummed formerly."""
    executor = settings.PLATFORM_EXECUTOR_ADDRESS
    fund_usdc(chain, executor, 9)
    watcher.read_new_blocks()
    Executor.objects.update(address=executor.lower())
    fund_usdc(chain, executor, 8)

    for _ in range(2):
        watcher.read_new_blocks()

    assert [row.address for row in Executor.objects.all()] == [executor]
    assert received(executor) == [9, 8]
