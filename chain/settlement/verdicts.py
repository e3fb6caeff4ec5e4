"""What the logs of a mined transaction say about each operation. Pure.

The logs of an operation are those between the previous `Operation*` event of the executor and its own. It is done only
where its own event says so and every expected log is among them; an execution without them needs review (F31).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chain.lending.bundles import OperationLogs, OutcomeStatus, split_by_operation
from chain.lending.fast_codec import Log
from chain.lending.revert_data import describe_revert
from chain.models import Operation, OperationState

KEPT_LOG_FIELDS = ("address", "topics", "data", "logIndex")


@dataclass(frozen=True)
class OperationVerdict:
    """The final state an operation has once its block is deep enough, with the logs that prove it."""

    state: OperationState
    reason: str = ""
    logs: list[dict[str, Any]] = field(default_factory=list)


def split_logs(logs: Sequence[Log], executor: str) -> dict[str, OperationLogs]:
    """The operations of a transaction, by uid, out of its receipt's logs; of two events of one operation the first."""
    found: dict[str, OperationLogs] = {}
    for operation in split_by_operation(logs, {executor.lower()}):
        found.setdefault(operation.uid, operation)
    return found


def judge_operation(operation: Operation, found: OperationLogs | None) -> OperationVerdict:
    """CONFIRMED, FAILED or NEEDS_REVIEW. Not for SKIPPED: another transaction executed that operation."""
    if found is None:
        return OperationVerdict(OperationState.NEEDS_REVIEW, "its transaction succeeded and left no event of it")
    if found.outcome.status == OutcomeStatus.FAILED:
        return OperationVerdict(OperationState.FAILED, describe_revert(found.outcome.reason))
    matched = match_effect(operation.effect, found.logs)
    if matched is None:
        return OperationVerdict(OperationState.NEEDS_REVIEW, "it was executed without the expected log")
    return OperationVerdict(OperationState.CONFIRMED, logs=[stored_log(log) for log in matched])


def match_effect(effect: Sequence[dict[str, object]], logs: Sequence[Log]) -> list[Log] | None:
    """The logs that prove the effect, one for each expected log; None where one is missing."""
    left = list(logs)
    matched = []
    for expected in effect:
        log = next((log for log in left if _matches(expected, log)), None)
        if log is None:
            return None
        left.remove(log)
        matched.append(log)
    return matched


def _matches(expected: dict[str, Any], log: Log) -> bool:
    """Null or missing `data`, or a null topic, matches anything."""
    if expected["address"].lower() != log["address"].lower() or len(expected["topics"]) > len(log["topics"]):
        return False
    for wanted, topic in zip(expected["topics"], log["topics"], strict=False):
        if wanted is not None and wanted.lower() != topic.lower():
            return False
    data = expected.get("data")
    return data is None or data.lower() == log["data"].lower()


def stored_log(log: Log) -> dict[str, Any]:
    """A log as it is stored with its operation."""
    return {name: log[name] for name in KEPT_LOG_FIELDS}
