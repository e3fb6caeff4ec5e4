"""What reached an executor before the platform was told of it, or while no operation was for it, is not lost."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain import deployment, events, log_ranges, new_executors, watcher
from chain.clients import ChainUnavailable, get_client
from chain.models import ChainEvent, Executor, WatchedBlock
from sandbox.keys import key_pair
from tests.support.actors import fund_usdc
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
    watcher.catch_up()
    assert received(second) == []

    settings.PLATFORM_EXECUTOR_ADDRESS = second
    fund_usdc(chain, second, 8)
    for _ in range(2):
        watcher.catch_up()

    assert received(second) == [7, 8]
    newest = ChainEvent.objects.filter(name="MockUSDC.Transfer").latest("block_number")
    assert newest.block_time == chain.now()
    # The second reading, which compares with all that a node shows of every executor, agrees.
    chain.mine(64)
    assert watcher.read_again(0, chain.block_number()) is False
    assert received(second) == [7, 8]


def test_one_that_was_replaced_before_anything_was_promised_to_it_is_followed_still(
    chain: Chain, settings: Settings, second: str
):
    first = settings.PLATFORM_EXECUTOR_ADDRESS
    watcher.catch_up()
    settings.PLATFORM_EXECUTOR_ADDRESS = second
    watcher.catch_up()
    fund_usdc(chain, first, 9)
    watcher.catch_up()

    assert received(first) == [9]
    assert set(Executor.objects.values_list("address", flat=True)) == {first, second}


def test_a_range_that_was_read_without_it_is_read_again(
    chain: Chain, settings: Settings, second: str, monkeypatch: pytest.MonkeyPatch
):
    """Another process, with the new settings, makes the executor known while this one reads."""
    watcher.catch_up()
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
    watcher.catch_up()

    assert done == [0]
    assert received(second) == [7]


def test_its_past_is_not_taken_from_other_blocks_than_those_that_were_read(chain: Chain, second: str):
    fund_usdc(chain, second, 7)
    watcher.catch_up()
    WatchedBlock.objects.filter(number=chain.block_number()).update(hash="0x" + "ab" * 32)

    with pytest.raises(ChainUnavailable, match="could not be read"):
        new_executors.follow_executor(second)

    assert not Executor.objects.filter(address=second).exists()
    assert received(second) == []


def test_one_that_is_followed_costs_no_post(chain: Chain, second: str, monkeypatch: pytest.MonkeyPatch):
    new_executors.follow_executor(second)
    monkeypatch.setattr(new_executors, "get_client", None)
    monkeypatch.setattr(events, "filters_of", None)

    new_executors.follow_executor(second)

    assert Executor.objects.filter(address=second).count() == 1
