"""What the logs of a mined transaction say about each of its operations."""

from typing import Any

import pytest
from eth_abi.abi import encode

from chain.lending.bundles import OperationLogs, Outcome, OutcomeStatus
from chain.lending.encoding import OPERATION_EXECUTED_TOPIC, OPERATION_FAILED_TOPIC, OPERATION_SKIPPED_TOPIC
from chain.lending.revert_data import error_selector
from chain.models import Operation, OperationState
from chain.settlement.verdicts import judge_operation, match_effect, split_logs, stored_log

EXECUTOR, TOKEN = "0x" + "E1" * 20, "0x" + "7c" * 20
FIRST, SECOND, THIRD = ("0x" + f"{number:02X}" * 32 for number in (161, 162, 163))


def log(address: str, *topics: str, data: str = "0x", index: int = 0) -> Any:
    return {"address": address, "topics": list(topics), "data": data, "logIndex": hex(index), "blockHash": "0x01"}


def mark(topic: str, uid: str, reason: str = "") -> dict[str, Any]:
    data = "0x" + encode(["bytes"], [bytes.fromhex(reason[2:])]).hex() if topic == OPERATION_FAILED_TOPIC else "0x"
    return log(EXECUTOR.lower(), topic, uid, data=data)


def operation_logs(status: OutcomeStatus, logs: list[Any], reason: str = "0x", *, uid: str = FIRST) -> OperationLogs:
    return OperationLogs(uid.lower(), Outcome(status, reason), logs)


def test_an_operations_logs_are_those_between_the_mark_before_and_its_own() -> None:
    one, two, three, stray = (log(TOKEN, "0x0a", data=f"0x0{number}") for number in range(1, 5))
    foreign = log(TOKEN, OPERATION_EXECUTED_TOPIC, THIRD)
    silent = log(EXECUTOR)
    logs = [
        one,
        two,
        mark(OPERATION_EXECUTED_TOPIC, FIRST),
        mark(OPERATION_FAILED_TOPIC, SECOND, "0x1234"),
        foreign,
        silent,
        three,
        mark(OPERATION_SKIPPED_TOPIC, THIRD),
        stray,
    ]
    assert split_logs(logs, EXECUTOR) == {
        FIRST.lower(): operation_logs(OutcomeStatus.EXECUTED, [one, two], uid=FIRST),
        SECOND.lower(): operation_logs(OutcomeStatus.FAILED, [], "0x1234", uid=SECOND),
        THIRD.lower(): operation_logs(OutcomeStatus.SKIPPED, [foreign, silent, three], uid=THIRD),
    }


def test_of_two_marks_of_one_operation_the_first_counts() -> None:
    """The same uid twice in a transaction: it ran once, and was skipped after that."""
    logs = [log(TOKEN, "0x0a"), mark(OPERATION_EXECUTED_TOPIC, FIRST), mark(OPERATION_SKIPPED_TOPIC, FIRST)]
    found = split_logs(logs, EXECUTOR)
    assert [(entry.outcome.status, len(entry.logs)) for entry in found.values()] == [(OutcomeStatus.EXECUTED, 1)]


EFFECT: list[dict[str, Any]] = [
    {"address": TOKEN.upper().replace("0X", "0x"), "topics": ["0xAA", None], "data": "0x05"},
    {"address": TOKEN, "topics": ["0xbb"]},
]
PAYS = log(TOKEN, "0xaa", "0x01", data="0x05", index=3)
NOTES = log(TOKEN, "0xBB", "0x02", data="0x99", index=4)


def test_an_execution_with_each_expected_log_is_confirmed_and_keeps_them() -> None:
    other = log(TOKEN, "0xcc")
    verdict = judge_operation(Operation(effect=EFFECT), operation_logs(OutcomeStatus.EXECUTED, [other, NOTES, PAYS]))
    assert (verdict.state, verdict.reason) == (OperationState.CONFIRMED, "")
    assert verdict.logs == [stored_log(PAYS), stored_log(NOTES)]
    assert set(verdict.logs[0]) == {"address", "topics", "data", "logIndex"}


@pytest.mark.parametrize(
    "logs",
    [
        [],
        [PAYS],
        [NOTES],
        [{**PAYS, "data": "0x06"}, NOTES],
        [{**PAYS, "address": EXECUTOR}, NOTES],
        [{**PAYS, "topics": ["0xab", "0x01"]}, NOTES],
        [{**PAYS, "topics": ["0xaa"]}, NOTES],
    ],
    ids=["none", "one missing", "the other missing", "amount", "contract", "event", "too few topics"],
)
def test_an_execution_without_an_expected_log_is_for_a_person(logs: list[Any]) -> None:
    verdict = judge_operation(Operation(effect=EFFECT), operation_logs(OutcomeStatus.EXECUTED, logs))
    assert (verdict.state, verdict.reason) == (OperationState.NEEDS_REVIEW, "it was executed without the expected log")
    assert verdict.logs == []


def test_one_log_proves_one_expectation() -> None:
    twice = [EFFECT[0], EFFECT[0]]
    assert match_effect(twice, [PAYS]) is None
    assert match_effect(twice, [PAYS, {**PAYS, "logIndex": "0x9"}]) is not None
    assert match_effect([], [PAYS]) == []


def test_a_failure_is_told_with_its_reason_whatever_was_logged() -> None:
    data = error_selector("PlatformExecutor", "NothingOwed") + f"{7:064x}"
    verdict = judge_operation(Operation(effect=EFFECT), operation_logs(OutcomeStatus.FAILED, [PAYS, NOTES], data))
    assert (verdict.state, verdict.reason, verdict.logs) == (OperationState.FAILED, "NothingOwed(positionId=7)", [])


def test_an_operation_that_its_transaction_says_nothing_of_is_for_a_person() -> None:
    verdict = judge_operation(Operation(effect=[]), None)
    assert verdict.state == OperationState.NEEDS_REVIEW
    assert verdict.reason == "its transaction succeeded and left no event of it"
