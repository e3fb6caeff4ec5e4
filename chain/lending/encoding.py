"""Calls, uids and topics as they are stored and sent. Pure functions.

Bytes are 0x-hex strings in lower case throughout, as JSON-RPC has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from eth_abi.grammar import TupleType, parse
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.crypto import keccak

from chain.lending import fast_codec
from chain.lending.fast_codec import event


@dataclass(frozen=True)
class Call:
    """One call of an operation: `value` in wei, `data` 0x-hex."""

    to: str
    value: int
    data: str

    def as_json(self) -> dict[str, object]:
        """The form that is stored with an operation."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Call":
        """The reverse of `as_json`."""
        return cls(to=stored["to"], value=int(stored["value"]), data=stored["data"])


def encode_call(signature: str, args: Sequence[object] = ()) -> str:
    """Calldata of a function that is known by its signature: `encode_call("transfer(address,uint256)", [to, amount])`.

    For contracts of others; a function of ours is named by its contract (`fast_codec.function`).
    """
    selector, types = _parsed(signature)
    return selector + fast_codec.encode(types, args)


@cache
def _parsed(signature: str) -> tuple[str, tuple[str, ...]]:
    """The selector and the types of the arguments."""
    selector = "0x" + function_signature_to_4byte_selector(signature).hex()
    types = signature[signature.index("(") :]
    arguments = parse(types) if types != "()" else None  # eth-abi parses no empty tuple
    found = arguments.components if isinstance(arguments, TupleType) else ()
    return selector, tuple(each.to_type_str() for each in found)


def uid_of(key: str) -> str:
    """The uid of an operation: keccak256 of its idempotency key."""
    return "0x" + keccak(text=key).hex()


def to_bytes(value: str) -> bytes:
    """The bytes of a 0x-hex string."""
    return bytes.fromhex(value[2:])


def address_topic(address: str) -> str:
    """An address as an indexed argument."""
    return "0x" + address[2:].lower().rjust(64, "0")


def uint_topic(value: int) -> str:
    """A number as an indexed argument, and as the whole data of an event with one number."""
    return f"0x{value:064x}"


def topic_of(contract: str, name: str) -> str:
    """The first topic of an event of a contract of ours."""
    return event(contract, name).topic


OPERATION_EXECUTED_TOPIC = topic_of("PlatformExecutor", "OperationExecuted")
OPERATION_FAILED_TOPIC = topic_of("PlatformExecutor", "OperationFailed")
OPERATION_SKIPPED_TOPIC = topic_of("PlatformExecutor", "OperationSkipped")
REPAID_TOPIC = topic_of("PlatformExecutor", "Repaid")
LOAN_REPAID_TOPIC = topic_of("SolvencyVault", "LoanRepaid")
DEBT_UPDATED_TOPIC = topic_of("SeniorPool", "DebtUpdated")
TRANSFER_TOPIC = topic_of("MockUSDC", "Transfer")
