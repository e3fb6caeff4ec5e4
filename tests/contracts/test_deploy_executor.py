"""`manage.py deploy_executor`."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError
from pytest_django import Settings

from chain.lending import deployment
from chain.lending.encoding import Call
from chain.rpc.clients import get_client
from tests.contracts.lab import Lab
from tests.support.commands import type_command

pytestmark = pytest.mark.django_db


@pytest.fixture
def options(lab: Lab, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    settings.CHAIN_RPC_URLS, settings.USDC_ADDRESS = [lab.url], lab.usdc
    monkeypatch.setenv("EXECUTOR_OWNER_PRIVATE_KEY", lab.owner.private_key)
    get_client.cache_clear()
    yield {"operator": lab.operator.address, "treasury": lab.treasury}
    get_client.cache_clear()


def nonce(lab: Lab) -> int:
    return int(lab.client.call("eth_getTransactionCount", [lab.owner.address, "pending"]), 16)


def test_it_prints_the_address_of_an_executor_with_its_owner_operator_and_treasury(lab: Lab, options: dict) -> None:
    out = StringIO()
    type_command("deploy_executor", **options, stdout=out)
    executor = out.getvalue().strip()

    assert lab.read("PlatformExecutor", executor, "owner") == lab.owner.address
    assert lab.read("PlatformExecutor", executor, "treasury") == lab.treasury
    assert lab.read("PlatformExecutor", executor, "usdc") == lab.usdc
    assert lab.read("PlatformExecutor", executor, "isOperator", lab.operator.address) is True
    assert lab.read("PlatformExecutor", executor, "isOperator", lab.owner.address) is False


def test_it_signs_nothing_for_another_chain(lab: Lab, options: dict, settings: Settings) -> None:
    settings.CHAIN_ID = 5000
    before = nonce(lab)
    with pytest.raises(CommandError, match="No endpoint serves chain 5000"):
        type_command("deploy_executor", **options)
    assert nonce(lab) == before


def test_a_transaction_that_anvil_left_in_its_pool_is_mined(
    lab: Lab, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "STUCK_SECONDS", 0.1)
    lab.client.call("evm_setAutomine", [False])
    try:
        type_command("deploy_executor", **options, stdout=StringIO())
    finally:
        lab.client.call("evm_setAutomine", [True])


def test_transactions_that_anvil_lost_are_sent_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "STUCK_SECONDS", 0.1)
    batch = lab.client.batch
    lost: list[Any] = []

    def batch_and_lose(calls: Any) -> Any:
        answers = batch(calls)
        if calls[0][0] == "eth_sendRawTransaction" and not lost:
            lost.extend(calls)
            lab.client.call("anvil_dropAllTransactions")
        return answers

    monkeypatch.setattr(lab.client, "batch", batch_and_lose)
    calls = [Call(lab.stranger.address, wei, "0x") for wei in (1, 2)]
    lab.client.call("evm_setAutomine", [False])
    try:
        receipts = deployment.send(client=lab.client, key=lab.owner.private_key, calls=calls)
    finally:
        lab.client.call("evm_setAutomine", [True])
    assert [method for method, _ in lost] == ["eth_sendRawTransaction"] * 2
    assert [int(receipt["status"], 16) for receipt in receipts] == [1, 1]


@pytest.mark.parametrize("key", ["", "0x12", "not a key"])
def test_it_says_which_variable_holds_no_key(
    lab: Lab, options: dict, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("EXECUTOR_OWNER_PRIVATE_KEY", key)
    with pytest.raises(CommandError, match="EXECUTOR_OWNER_PRIVATE_KEY holds no private key"):
        type_command("deploy_executor", **options)


@pytest.mark.parametrize("name", ["operator", "treasury", "usdc"])
def test_it_refuses_what_is_no_address(lab: Lab, options: dict, name: str) -> None:
    with pytest.raises(CommandError, match=f"--{name}: Must be an address"):
        type_command("deploy_executor", **{**options, name: "0x12"})
