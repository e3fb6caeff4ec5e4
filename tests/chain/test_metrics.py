"""What is told of settlement: counted where it happens, read from the database where it stands."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chain import metrics, selectors
from chain.models import (
    ChainTransaction,
    Operation,
    OperationState,
    PlatformWallet,
    TransactionState,
    WalletStatus,
)
from partner_platform.core import clock
from partner_platform.core import metrics as core
from tests.factories import OperationFactory
from tests.support.planner import assert_uses_index

pytestmark = pytest.mark.django_db


def operation(state: OperationState, **fields: Any) -> Operation:
    return OperationFactory.create(state=state, **fields)


def wallet(number: int, status: WalletStatus) -> None:
    PlatformWallet.objects.create(address=f"0x{number:040x}", chain_id=5003, fee_cap_wei=1, status=status)


def figures() -> dict[str, float]:
    lines = [line.rpartition(" ") for line in core.build().decode().splitlines() if line.startswith("settlement_")]
    return {name: float(value) for name, _, value in lines}


def test_open_operations_are_told_by_state_and_settled_ones_are_not() -> None:
    for state in OperationState:
        operation(state)
    operation(OperationState.QUEUED)

    assert selectors.open_operations_by_state() == {"QUEUED": 2, "BUNDLED": 1, "EXECUTED": 1, "NEEDS_REVIEW": 1}
    assert {name: value for name, value in figures().items() if name.startswith("settlement_operations")} == {
        'settlement_operations{state="QUEUED"}': 2,
        'settlement_operations{state="BUNDLED"}': 1,
        'settlement_operations{state="EXECUTED"}': 1,
        'settlement_operations{state="NEEDS_REVIEW"}': 1,
    }


def test_a_state_that_no_operation_is_in_is_told_as_zero() -> None:
    assert figures()['settlement_operations{state="NEEDS_REVIEW"}'] == 0


def test_what_is_overdue_counts_by_its_state_until_its_owner_acted_on_it() -> None:
    operation(OperationState.QUEUED)
    operation(OperationState.BUNDLED, overdue_told=True)
    operation(OperationState.CONFIRMED, overdue_told=True)
    operation(OperationState.CONFIRMED, overdue_told=True, acknowledged=True)
    operation(OperationState.NEEDS_REVIEW, overdue_told=True)  # has a figure of its own
    wallet(1, WalletStatus.ACTIVE)
    rows = ((TransactionState.BROADCAST, True), (TransactionState.BROADCAST, False), (TransactionState.CONFIRMED, True))
    for nonce, (state, told) in enumerate(rows):
        ChainTransaction.objects.create(
            wallet=PlatformWallet.objects.get(), nonce=nonce, gas_limit=1, state=state, overdue_told=told
        )

    told_of = {name: value for name, value in figures().items() if name.startswith("settlement_overdue")}
    assert told_of == {
        'settlement_overdue{what="QUEUED"}': 0,
        'settlement_overdue{what="BUNDLED"}': 1,
        'settlement_overdue{what="EXECUTED"}': 0,
        'settlement_overdue{what="CONFIRMED"}': 1,
        'settlement_overdue{what="REFUSED"}': 0,
        'settlement_overdue{what="FAILED"}': 0,
        'settlement_overdue{what="TRANSACTION"}': 1,
    }


def test_what_was_put_off_counts_until_its_owner_acted_on_it() -> None:
    later = clock.now()
    operation(OperationState.CONFIRMED)
    operation(OperationState.CONFIRMED, settle_after=later)
    operation(OperationState.FAILED, settle_after=later)
    operation(OperationState.CONFIRMED, settle_after=later, acknowledged=True)

    assert figures()["settlement_put_off"] == 2


def test_frozen_wallets_are_counted() -> None:
    wallet(1, WalletStatus.ACTIVE)
    wallet(2, WalletStatus.PAUSED)
    assert figures()["settlement_wallet_frozen"] == 0
    wallet(3, WalletStatus.FROZEN)
    assert figures()["settlement_wallet_frozen"] == 1


def test_the_open_ones_are_found_by_an_index_in_one_query_however_many_are_settled() -> None:
    assert_uses_index(selectors.open_operations_query())
    with CaptureQueriesContext(connection) as asked:
        selectors.open_operations_by_state()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("https://rpc.example.com/v2/secret-key", "rpc.example.com"),
        ("https://user:secret@rpc.example.com:8545/?key=secret", "rpc.example.com:8545"),
        ("http://[::1]:8545", "::1:8545"),
        ("no url with a secret", "unknown"),
    ],
)
def test_an_endpoint_is_named_by_its_host_and_never_by_its_key(url: str, label: str) -> None:
    assert metrics.endpoint_label(url) == label
    assert "secret" not in metrics.endpoint_label(url)


def test_reorgs_are_told_before_the_first_and_refusals_by_what_they_mean() -> None:
    before = figures()["settlement_reorgs_total"]
    metrics.reorgs.inc()
    metrics.send_refusals.labels(meaning="UNKNOWN").inc(2)
    metrics.endpoint_lagging.labels(endpoint="rpc.example.com").set(1)

    page = core.build().decode()
    assert figures()["settlement_reorgs_total"] == before + 1
    assert 'chain_send_refusals_total{meaning="UNKNOWN"}' in page
    assert 'chain_endpoint_lagging{endpoint="rpc.example.com"} 1.0' in page
