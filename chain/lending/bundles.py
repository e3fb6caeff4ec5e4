"""A bundle of operations, one call of the executor: its calldata, what it returns, and what its logs say.

The executor ends each operation's logs with a mark: executed, failed or skipped. An operation's own logs are those
between the mark before and its own.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from chain.lending.encoding import (
    OPERATION_EXECUTED_TOPIC,
    OPERATION_FAILED_TOPIC,
    OPERATION_SKIPPED_TOPIC,
    Call,
    to_bytes,
)
from chain.lending.fast_codec import Log, Undecodable, event, function

_EXECUTE = function("PlatformExecutor", "execute")
_FAILED = event("PlatformExecutor", "OperationFailed")


class OutcomeStatus(IntEnum):
    """What became of an operation in a bundle (`PlatformExecutor.Status`)."""

    EXECUTED = 0
    FAILED = 1
    SKIPPED = 2


MARKS = {
    OPERATION_EXECUTED_TOPIC: OutcomeStatus.EXECUTED,
    OPERATION_FAILED_TOPIC: OutcomeStatus.FAILED,
    OPERATION_SKIPPED_TOPIC: OutcomeStatus.SKIPPED,
}


@dataclass(frozen=True)
class Outcome:
    """An operation's outcome; `reason` is its revert data where it FAILED, at most 512 bytes of it."""

    status: OutcomeStatus
    reason: str = "0x"


@dataclass(frozen=True)
class OperationLogs:
    """One operation in a transaction's logs: what its mark says, and the logs that belong to it."""

    uid: str
    outcome: Outcome
    logs: list[Log] = field(default_factory=list)


def encode_execute(operations: Iterable[tuple[str, Sequence[Call]]]) -> str:
    """Calldata of a bundle of `(uid, calls)`, run in this order."""
    return _EXECUTE.encode(
        [(to_bytes(uid), [(call.to, call.value, to_bytes(call.data)) for call in calls]) for uid, calls in operations]
    )


def decode_outcomes(data: str) -> list[Outcome]:
    """What `execute` returned to an `eth_call`: one outcome per operation, in order."""
    (rows,) = _EXECUTE.decode(data)
    try:
        return [Outcome(OutcomeStatus(status), "0x" + reason.hex()) for status, reason in rows]
    except ValueError as error:
        raise Undecodable("an outcome that there is none of") from error


def is_mark(log: Log, executors: Collection[str]) -> bool:
    """True where one of the executors (in lower case) ends an operation with this log."""
    return bool(log["topics"]) and log["topics"][0] in MARKS and log["address"].lower() in executors


def split_by_operation(logs: Iterable[Log], executors: Collection[str]) -> Iterator[OperationLogs]:
    """The operations that the executors (in lower case) marked in these logs, which may be of several transactions.

    A mark without a uid belongs to no operation, nor does what was logged before it.
    """
    own: list[Log] = []
    for log in logs:
        if own and own[-1].get("transactionHash") != log.get("transactionHash"):
            own = []
        if not is_mark(log, executors):
            own.append(log)
            continue
        if has_uid(log):
            yield OperationLogs(log["topics"][1].lower(), _outcome(log), own)
        own = []


def has_uid(mark: Log) -> bool:
    """True of every mark of a `PlatformExecutor`."""
    return len(mark["topics"]) == 2


def _outcome(mark: Log) -> Outcome:
    status = MARKS[mark["topics"][0]]
    return Outcome(status, _reason(mark)) if status == OutcomeStatus.FAILED else Outcome(status)


def _reason(mark: Log) -> str:
    try:
        return str(_FAILED.decode(mark)["reason"])
    except Undecodable:
        return str(mark["data"])  # it failed: that much is certain
