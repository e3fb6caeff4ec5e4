"""Revert data: the custom errors of our contracts, and what to show a person of them. Pure functions."""

from functools import cache
from typing import Any

from eth_utils.abi import filter_abi_by_name, filter_abi_by_type, function_abi_to_4byte_selector, get_abi_input_types

from chain.lending.contracts import ABI_DIRECTORY, artifact
from chain.lending.fast_codec import Undecodable, bytes_of, decode_bytes, readable
from partner_platform.core.text.printable import printable

REASON_LENGTH = 300  # characters of a reason that are shown and stored

# Solidity's own.
_ERROR = {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]}
_PANIC = {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]}


def error_selector(contract: str, error: str) -> str:
    """What the revert data of a custom error of a contract of ours begins with."""
    abi: Any = artifact(contract).abi
    [found] = filter_abi_by_name(error, filter_abi_by_type("error", abi))
    return "0x" + function_abi_to_4byte_selector(found).hex()


def describe_revert(data: str) -> str:
    """Revert data for a person: `InsufficientCredit(tokenId=1, available=5, requested=6)`; unknown data stays hex.

    At most `REASON_LENGTH` printable characters, never none, whatever the data: a contract's reason is bytes of its own
    choosing, and bytes they stay until here.
    """
    return printable(_described(data), REASON_LENGTH)


@cache
def _errors() -> dict[bytes, dict[str, Any]]:
    """Every custom error of our contracts, and Solidity's own two, by selector."""
    names = sorted(path.stem for path in ABI_DIRECTORY.glob("*.json"))
    known = [item for name in names for item in artifact(name).abi if item["type"] == "error"]
    found: list[Any] = [*known, _ERROR, _PANIC]
    return {function_abi_to_4byte_selector(item): item for item in found}


def _described(data: str) -> str:
    try:
        raw = bytes_of(data)
    except Undecodable:
        return f"reverted with {data}"
    item: Any = _errors().get(raw[:4])
    if item is None:
        return f"reverted with {data}" if raw else "reverted without a reason"
    types = [abi_type.replace("string", "bytes") for abi_type in get_abi_input_types(item)]
    try:
        values = decode_bytes(types, raw[4:])
    except Undecodable:
        return f"{item['name']} ({data})"
    if item["name"] == "Error":
        return printable(values[0], REASON_LENGTH) or "reverted with an empty reason"
    pairs = zip(item["inputs"], values, strict=True)
    named = [f"{parameter['name']}={_shown(parameter['type'], value)}" for parameter, value in pairs]
    return f"{item['name']}({', '.join(named)})"


def _shown(abi_type: str, value: object) -> str:
    return printable(value if abi_type == "string" else readable(abi_type, value), REASON_LENGTH)
