"""Bytes on the wire: calls, the executor's carriers and their outcomes, topics, logs, revert reasons. Pure functions.

Bytes are 0x-hex strings in lower case throughout, as JSON-RPC has them. What comes from outside and is not of the form
it should have raises `Undecodable`, and nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from functools import cache
from typing import Any

from eth_abi.abi import decode as decode_abi
from eth_abi.abi import encode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain.lending import abis
from partner_platform.core.text.printable import printable

Log = Mapping[str, Any]
REASON_LENGTH = 300  # characters of a reason that are shown and stored


class Undecodable(ValueError):
    """Bytes from outside that are not what they should be."""


@dataclass(frozen=True)
class Call:
    """One call of an operation: `value` in wei, `data` 0x-hex."""

    to: str
    value: int
    data: str

    def as_json(self) -> dict[str, Any]:
        """The form that is stored with an operation."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Call":
        """The reverse of `as_json`."""
        return cls(to=stored["to"], value=int(stored["value"]), data=stored["data"])


class OutcomeStatus(IntEnum):
    """What became of an operation in a carrier (`PlatformExecutor.Status`)."""

    EXECUTED = 0
    FAILED = 1
    SKIPPED = 2


@dataclass(frozen=True)
class Outcome:
    """An operation's outcome; `reason` is its revert data where it FAILED, at most 512 bytes of it."""

    status: OutcomeStatus
    reason: str = "0x"


@dataclass(frozen=True)
class OperationEvent:
    """What a mined carrier says of one operation."""

    uid: str
    outcome: Outcome
    log_index: int


@cache
def _signature_parts(signature: str) -> tuple[bytes, tuple[str, ...]]:
    _, _, inputs = signature.partition("(")
    return keccak(text=signature)[:4], tuple(_split(inputs.removesuffix(")")))


def _split(types: str) -> list[str]:
    """The top-level types of a comma-separated list: `address,(bytes,uint8)[]` has two."""
    parts, depth = [""], 0
    for character in types:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts if types else []


def encode_call(signature: str, args: Sequence[Any] = ()) -> str:
    """Calldata of a function: `encode_call("transfer(address,uint256)", [to, amount])`."""
    selector, types = _signature_parts(signature)
    return "0x" + (selector + encode(types, args)).hex()


def uid_of(key: str) -> str:
    """The uid of an operation: keccak256 of its idempotency key."""
    return "0x" + keccak(text=key).hex()


def to_bytes(value: str) -> bytes:
    """The bytes of a 0x-hex string."""
    return bytes.fromhex(value[2:])


def decode(types: Sequence[str], data: str) -> tuple[Any, ...]:
    """ABI values out of 0x-hex data; `Undecodable` where it does not hold them."""
    return _decode(types, _bytes_of(data))


def decode_uint(data: str) -> int:
    """The number that is all of the data."""
    raw = _bytes_of(data)
    if len(raw) != 32:
        raise Undecodable(f"{len(raw)} bytes where a number of 32 is expected")
    return int.from_bytes(raw)


def _decode(types: Sequence[str], raw: bytes) -> tuple[Any, ...]:
    try:
        return tuple(decode_abi(types, raw))
    except (DecodingError, OverflowError, ValueError) as error:  # offsets beyond the data, lengths beyond memory
        raise Undecodable(f"{type(error).__name__} in {len(raw)} bytes") from error


def _bytes_of(data: Any) -> bytes:
    try:
        return to_bytes(data)
    except (TypeError, ValueError) as error:
        raise Undecodable("not hexadecimal") from error


EXECUTE_SIGNATURE = abis.signature_of(abis.entry("PlatformExecutor", "function", "execute"))
_OUTCOMES = abis.types_of(abis.entry("PlatformExecutor", "function", "execute")["outputs"])


def encode_execute(operations: Iterable[tuple[str, Sequence[Call]]]) -> str:
    """Calldata of a carrier of `(uid, calls)`, run in this order."""
    rows = [
        (to_bytes(uid), [(call.to, call.value, to_bytes(call.data)) for call in calls]) for uid, calls in operations
    ]
    return encode_call(EXECUTE_SIGNATURE, [rows])


def decode_outcomes(data: str) -> list[Outcome]:
    """What `execute` answered to an `eth_call`: one outcome per operation, in order."""
    (rows,) = decode(_OUTCOMES, data)
    try:
        return [Outcome(OutcomeStatus(status), "0x" + reason.hex()) for status, reason in rows]
    except ValueError as error:
        raise Undecodable("an outcome that there is none of") from error


def _hash_of(contract: str, kind: str, member: str) -> bytes:
    return keccak(text=abis.signature_of(abis.entry(contract, kind, member)))


def topic_of(contract: str, event: str) -> str:
    """The first topic of an event of a contract of ours."""
    return "0x" + _hash_of(contract, "event", event).hex()


def error_selector(contract: str, error: str) -> str:
    """What the revert data of a custom error of a contract of ours begins with."""
    return "0x" + _hash_of(contract, "error", error)[:4].hex()


OPERATION_EXECUTED_TOPIC = topic_of("PlatformExecutor", "OperationExecuted")
OPERATION_FAILED_TOPIC = topic_of("PlatformExecutor", "OperationFailed")
OPERATION_SKIPPED_TOPIC = topic_of("PlatformExecutor", "OperationSkipped")
REPAID_TOPIC = topic_of("PlatformExecutor", "Repaid")
USDC_BORROWED_TOPIC = topic_of("SolvencyVault", "USDCBorrowed")
LOAN_REPAID_TOPIC = topic_of("SolvencyVault", "LoanRepaid")
DEBT_UPDATED_TOPIC = topic_of("SeniorPool", "DebtUpdated")
TRANSFER_TOPIC = topic_of("MockUSDC", "Transfer")

OPERATION_TOPICS = {
    OPERATION_EXECUTED_TOPIC: OutcomeStatus.EXECUTED,
    OPERATION_FAILED_TOPIC: OutcomeStatus.FAILED,
    OPERATION_SKIPPED_TOPIC: OutcomeStatus.SKIPPED,
}


def address_topic(address: str) -> str:
    """An address as an indexed argument."""
    return "0x" + address[2:].lower().rjust(64, "0")


def uint_topic(value: int) -> str:
    """A number as an indexed argument, and as the whole data of an event with one number."""
    return f"0x{value:064x}"


def operation_events(logs: Iterable[Log], executor: str) -> list[OperationEvent]:
    """What `executor` logged about operations, in the order of the logs."""
    return [
        OperationEvent(
            uid=str(log["topics"][1]),
            outcome=Outcome(OPERATION_TOPICS[log["topics"][0]], _reason_of(log)),
            log_index=int(log["logIndex"], 16),
        )
        for log in logs
        if log["address"].lower() == executor.lower()
        and len(log["topics"]) == 2
        and log["topics"][0] in OPERATION_TOPICS
    ]


def _is_mark(topics: Sequence[str]) -> bool:
    return len(topics) == 2 and topics[0] in OPERATION_TOPICS


def _reason_of(log: Log) -> str:
    if log["topics"][0] != OPERATION_FAILED_TOPIC:
        return "0x"
    try:
        (reason,) = decode(["bytes"], log["data"])
    except Undecodable:
        return str(log["data"])  # it failed, that much is said
    return "0x" + bytes(reason).hex()


def decode_event(contract: str, event: str, log: Log) -> dict[str, Any]:
    """The arguments of a log of this event, by name; addresses checksummed, bytes as 0x-hex."""
    inputs = abis.entry(contract, "event", event)["inputs"]
    indexed = [item for item in inputs if item["indexed"]]
    others = [item for item in inputs if not item["indexed"]]
    topics = log["topics"][1:]
    if len(topics) != len(indexed):
        raise Undecodable(f"{len(topics)} indexed arguments where {event} has {len(indexed)}")
    values = {
        item["name"]: decode(abis.types_of([item]), topic)[0] for item, topic in zip(indexed, topics, strict=True)
    }
    plain = decode(abis.types_of(others), log["data"])
    values |= {item["name"]: value for item, value in zip(others, plain, strict=True)}
    return {item["name"]: _readable(item["type"], values[item["name"]]) for item in inputs}


def _readable(abi_type: str, value: Any) -> Any:
    if abi_type == "address":
        return to_checksum_address(value)
    return "0x" + value.hex() if isinstance(value, bytes) else value


@cache
def _errors() -> dict[bytes, dict[str, Any]]:
    """Every custom error of our contracts, and Solidity's own two, by selector."""
    names = sorted(path.stem for path in abis.ABI_DIRECTORY.glob("*.json"))
    known = [item for name in names for item in abis.artifact(name).abi if item["type"] == "error"]
    known += [
        {"name": "Error", "inputs": [{"name": "message", "type": "string"}]},
        {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
    ]
    return {keccak(text=abis.signature_of(item))[:4]: item for item in known}


def describe_revert(data: str) -> str:
    """Revert data for a person: `InsufficientCredit(tokenId=1, available=5, requested=6)`; unknown data stays hex.

    At most `REASON_LENGTH` printable characters, never none, whatever the data: a contract's reason is bytes of its own
    choosing, and bytes they stay until here.
    """
    return printable(_described(data), REASON_LENGTH)


def _described(data: str) -> str:
    try:
        raw = _bytes_of(data)
    except Undecodable:
        return f"reverted with {data}"
    item = _errors().get(raw[:4])
    if item is None:
        return f"reverted with {data}" if raw else "reverted without a reason"
    types = [abi_type.replace("string", "bytes") for abi_type in abis.types_of(item["inputs"])]
    try:
        values = _decode(types, raw[4:])
    except Undecodable:
        return f"{item['name']} ({data})"
    if item["name"] == "Error":
        return printable(values[0], REASON_LENGTH) or "reverted with an empty reason"
    pairs = zip(item["inputs"], values, strict=True)
    named = [f"{parameter['name']}={_shown(parameter['type'], value)}" for parameter, value in pairs]
    return f"{item['name']}({', '.join(named)})"


def _shown(abi_type: str, value: Any) -> str:
    return printable(value if abi_type == "string" else _readable(abi_type, value), REASON_LENGTH)
