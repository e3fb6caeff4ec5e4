"""The fast path of contract calls: what web3's contract objects encode and decode, 5 to 40 times sooner.

web3 looks up and checks a function anew for each call, and an event for each log. Here both are taken from its contract
object once, and what remains for each call is its ABI codec. A test compares the two for every function and event of
the committed ABIs; docs/decisions.md has the figures. Calls that nobody waits for use the contract objects themselves
(`chain.lending.contracts`).

Bytes are 0x-hex strings in lower case, as JSON-RPC has them. What comes from outside and does not hold what it should
raises `Undecodable`, and nothing else.
"""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from eth_abi.exceptions import DecodingError
from eth_typing import ABIEvent, ABIFunction
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
    get_abi_input_types,
    get_abi_output_types,
)
from eth_utils.address import to_checksum_address

from chain.lending.contracts import OFFLINE, contract_class

Log = Mapping[str, Any]
WORD = 32  # bytes
_CODEC = OFFLINE.codec


class Undecodable(ValueError):
    """Bytes from outside that are not what they should be."""


class Function:
    """A function of a contract: its calldata, and the values that it returns."""

    def __init__(self, abi: ABIFunction) -> None:
        self.selector = "0x" + function_abi_to_4byte_selector(abi).hex()
        self.outputs = get_abi_output_types(abi)
        self._inputs = get_abi_input_types(abi)

    def encode(self, *args: object) -> str:
        """Calldata."""
        return self.selector + encode(self._inputs, args)

    def decode(self, data: object) -> tuple[Any, ...]:
        """The values out of what a node returned; addresses in lower case."""
        return decode(self.outputs, data)


class ContractEvent:
    """An event of a contract: its first topic, and the arguments of its logs."""

    def __init__(self, contract: str, abi: ABIEvent) -> None:
        self.name = f"{contract}.{abi['name']}"
        self.topic = "0x" + event_abi_to_log_topic(abi).hex()
        self._names = [item["name"] for item in abi["inputs"]]
        indexed = [item for item in abi["inputs"] if item["indexed"]]
        plain = [item for item in abi["inputs"] if not item["indexed"]]
        self._order = [item["name"] for item in (*indexed, *plain)]
        self._topics = [collapse_if_tuple(item) for item in indexed]
        self._data = [collapse_if_tuple(item) for item in plain]

    def decode(self, log: Log) -> dict[str, Any]:
        """The arguments by name, in the order of the ABI; addresses checksummed, bytes as 0x-hex."""
        topics = log["topics"][1:]
        if len(topics) != len(self._topics):
            raise Undecodable(f"{len(topics)} indexed arguments where {self.name} has {len(self._topics)}")
        words = [bytes_of(topic) for topic in topics]
        if any(len(word) != WORD for word in words):
            raise Undecodable(f"a topic of {self.name} that is not {WORD} bytes")
        values = decode_bytes(self._topics, b"".join(words)) + decode(self._data, log["data"])
        types = (*self._topics, *self._data)
        found = {
            name: readable(abi_type, value) for name, abi_type, value in zip(self._order, types, values, strict=True)
        }
        return {name: found[name] for name in self._names}


@cache
def function(contract: str, name: str) -> Function:
    """The one function of that name; web3's `Web3ValueError` where the contract has none, or several."""
    return Function(contract_class(contract).get_function_by_name(name).abi)


@cache
def event(contract: str, name: str) -> ContractEvent:
    """The one event of that name, likewise."""
    return ContractEvent(contract, contract_class(contract).get_event_by_name(name).abi)


@cache
def events_of(contract: str) -> tuple[ContractEvent, ...]:
    """All events of the contract."""
    return tuple(ContractEvent(contract, item.abi) for item in contract_class(contract).all_events())


def encode(types: Sequence[str], values: Sequence[object]) -> str:
    """Values as hex digits, without 0x."""
    return _CODEC.encode(types, values).hex()


def decode(types: Sequence[str], data: object) -> tuple[Any, ...]:
    """Values out of 0x-hex data."""
    return decode_bytes(types, bytes_of(data))


def decode_uint(data: object) -> int:
    """The number that is all of the data: what follows a number is not passed over, as web3 does."""
    raw = bytes_of(data)
    if len(raw) != WORD:
        raise Undecodable(f"{len(raw)} bytes where a number of {WORD} is expected")
    return int.from_bytes(raw)


def decode_bytes(types: Sequence[str], raw: bytes) -> tuple[Any, ...]:
    """Values out of bytes."""
    try:
        return tuple(_CODEC.decode(types, raw))
    except (DecodingError, OverflowError, ValueError) as error:  # offsets beyond the data, lengths beyond memory
        raise Undecodable(f"{type(error).__name__} in {len(raw)} bytes") from error


def bytes_of(data: object) -> bytes:
    """The bytes of 0x-hex data from outside."""
    if not isinstance(data, str):
        raise Undecodable("no text")
    try:
        return bytes.fromhex(data[2:])
    except ValueError as error:
        raise Undecodable("not hexadecimal") from error


def readable(abi_type: str, value: object) -> object:
    """A decoded value as it is shown and stored: addresses checksummed, bytes as 0x-hex."""
    if abi_type == "address":
        return checksummed(value)
    return "0x" + value.hex() if isinstance(value, bytes) else value


@lru_cache(maxsize=4096)
def checksummed(address: str) -> str:
    """The EIP-55 form; remembered, for a chain's logs name few addresses often, and each costs a hash."""
    return str(to_checksum_address(address))
