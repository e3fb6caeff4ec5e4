"""Logs that do not hold what their event should: those after them are read on, and somebody is told."""

import logging
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain.events import decoding, watcher
from chain.lending.bundles import OutcomeStatus, split_by_operation
from chain.lending.encoding import (
    DEBT_UPDATED_TOPIC,
    OPERATION_EXECUTED_TOPIC,
    OPERATION_FAILED_TOPIC,
    TRANSFER_TOPIC,
    address_topic,
    topic_of,
    uint_topic,
)
from chain.lending.fast_codec import Undecodable, event
from chain.models import ChainEvent
from chain.settlement.verdicts import split_logs
from tests.support.actors import send_as, transfer_usdc
from tests.support.chain import Chain

pytestmark = pytest.mark.django_db(transaction=True)

POOL, USDC, EXECUTOR, STRANGER = (f"0x{number:040x}" for number in (1, 2, 3, 4))
UID = "0x" + "ab" * 32


@pytest.fixture
def _system(settings: Settings) -> None:
    settings.SENIOR_POOL_ADDRESS, settings.USDC_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS = POOL, USDC, EXECUTOR
    settings.SOLVENCY_VAULT_ADDRESS, settings.OAID_ADDRESS = f"0x{5:040x}", f"0x{6:040x}"
    settings.CHAIN_SYSTEM = "plan"


def log_of(address: str, topics: list[str], data: str, *, index: int = 0, tx: str = "0x" + "cd" * 32) -> dict[str, Any]:
    return {
        "address": address,
        "topics": topics,
        "data": data,
        "blockNumber": "0x7",
        "blockHash": "0x" + "ef" * 32,
        "transactionHash": tx,
        "logIndex": hex(index),
    }


def transfer(value: int, *, index: int, tx: str = "0x" + "cd" * 32) -> dict[str, Any]:
    topics = [TRANSFER_TOPIC, address_topic(STRANGER), address_topic(EXECUTOR)]
    return log_of(USDC, topics, uint_topic(value), index=index, tx=tx)


def rows(*logs: dict[str, Any]) -> list[ChainEvent]:
    return decoding.rows(logs, {"0x" + "ef" * 32: 1_700_000_000})


STRANGE = {
    "no data": log_of(POOL, [DEBT_UPDATED_TOPIC, uint_topic(1)], "0x"),
    "half of its data": log_of(POOL, [DEBT_UPDATED_TOPIC, uint_topic(1)], uint_topic(5)),
    "an argument too few": log_of(POOL, [DEBT_UPDATED_TOPIC], uint_topic(5) + uint_topic(6)[2:] * 2),
    "an argument too many": log_of(POOL, [DEBT_UPDATED_TOPIC, UID, UID], uint_topic(5) + uint_topic(6)[2:] * 2),
    "a topic that is no number": log_of(POOL, [DEBT_UPDATED_TOPIC, "0xzz"], uint_topic(5) + uint_topic(6)[2:] * 2),
    "data that is no hexadecimal": log_of(POOL, [DEBT_UPDATED_TOPIC, uint_topic(1)], "0xzz"),
    "an address that is none": log_of(USDC, [TRANSFER_TOPIC, "0x", "0x"], uint_topic(5)),
}


@pytest.mark.usefixtures("_system")
@pytest.mark.parametrize("name", STRANGE)
def test_a_log_that_does_not_decode_is_left_out_and_told_and_the_next_is_read(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "chain.events.decoding"):
        found = rows(transfer(1, index=1), {**STRANGE[name], "logIndex": "0x2"}, transfer(3, index=3))

    assert [event.args["value"] for event in found] == ["1", "3"]
    (told,) = caplog.records
    assert (told.levelno, "log 0x2 of 0xcdcd" in told.getMessage()) == (logging.ERROR, True)


@pytest.mark.usefixtures("_system")
def test_logs_of_others_are_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "chain.events.decoding"):
        found = rows(log_of(STRANGER, [DEBT_UPDATED_TOPIC], "0x"), log_of(POOL, [UID], "0x12"), log_of(POOL, [], "0x"))
    assert (found, caplog.records) == ([], [])


@pytest.mark.usefixtures("_system")
def test_an_operation_is_named_whatever_its_marks_data_are(caplog: pytest.LogCaptureFixture) -> None:
    """What failed in between belongs to no operation; a mark without a uid names none, and is told."""
    with caplog.at_level(logging.ERROR, "chain.events.decoding"):
        found = rows(
            {**transfer(1, index=1), "topics": [TRANSFER_TOPIC, address_topic(EXECUTOR), address_topic(STRANGER)]},
            log_of(EXECUTOR, [OPERATION_FAILED_TOPIC, UID], "0x12", index=2),
            log_of(POOL, [DEBT_UPDATED_TOPIC, uint_topic(1)], uint_topic(5) + uint_topic(6)[2:] * 2, index=3),
            log_of(EXECUTOR, [OPERATION_EXECUTED_TOPIC, UID], "0x", index=4),
            log_of(POOL, [DEBT_UPDATED_TOPIC, uint_topic(2)], uint_topic(5) + uint_topic(6)[2:] * 2, index=5),
            log_of(EXECUTOR, [OPERATION_EXECUTED_TOPIC], "0x", index=6),
        )

    assert [(event.log_index, event.operation_uid) for event in found] == [(1, ""), (3, UID), (5, "")]
    assert len(caplog.records) == 1


def test_a_failed_operation_whose_reason_does_not_decode_has_failed() -> None:
    logs = [
        log_of(EXECUTOR, [OPERATION_FAILED_TOPIC, UID], "0x" + "ff" * 40),
        log_of(EXECUTOR, [OPERATION_EXECUTED_TOPIC], "0x"),
    ]
    (found,) = split_by_operation(logs, {EXECUTOR})
    assert (found.uid, found.outcome.status, found.outcome.reason) == (UID, OutcomeStatus.FAILED, "0x" + "ff" * 40)
    assert set(split_logs(logs, EXECUTOR)) == {UID}


@pytest.mark.parametrize("name", [name for name in STRANGE if "address" not in name])
def test_decoding_one_event_raises_one_error(name: str) -> None:
    with pytest.raises(Undecodable):
        event("SeniorPool", "DebtUpdated").decode(STRANGE[name])


def test_the_watcher_passes_a_strange_log_of_a_contract_of_the_system(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    """The OAID contract is upgraded for a moment: its event comes without any of its arguments."""
    watcher.read_new_blocks()
    oaid, sender = chain.addresses["oaid"], chain.world.partners[0].settlement_address
    code = chain.rpc("eth_getCode", oaid, "latest")
    topic = topic_of("OAID", "CreditLineUpdated")[2:]
    chain.rpc("anvil_setCode", oaid, f"0x7f{topic}60006000a1")  # LOG1(0, 0, topic)
    strange = send_as(chain, sender, oaid, "0x")
    chain.rpc("anvil_setCode", oaid, code)
    sent = transfer_usdc(chain, sender, chain.addresses["executor"], 5)

    with caplog.at_level(logging.ERROR, "chain.events.decoding"):
        watcher.read_new_blocks()

    assert list(ChainEvent.objects.filter(tx_hash__in=[strange, sent]).values_list("tx_hash", flat=True)) == [sent]
    assert [strange in record.getMessage() for record in caplog.records] == [True]
