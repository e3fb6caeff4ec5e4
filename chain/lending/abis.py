"""The compiled contracts: `chain/abi/{Name}.json`, built from `chain/contracts/*.sol` by `make contracts`."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_utils.abi import collapse_if_tuple

ABI_DIRECTORY = Path(__file__).resolve().parent.parent / "abi"


@dataclass(frozen=True)
class Artifact:
    """A contract as the compiler left it; `bytecode` is its creation code, 0x-hex."""

    name: str
    compiler: str
    abi: list[dict[str, Any]]
    bytecode: str


@cache
def artifact(name: str) -> Artifact:
    """The contract `name`; `FileNotFoundError` where there is none."""
    return Artifact(**json.loads((ABI_DIRECTORY / f"{name}.json").read_text()))


@cache
def entry(name: str, kind: str, member: str) -> dict[str, Any]:
    """The ABI entry of a contract's one `function`, `event` or `error` of that name; `LookupError` otherwise."""
    found = [item for item in artifact(name).abi if item["type"] == kind and item.get("name") == member]
    if len(found) != 1:
        raise LookupError(f"{name} has {len(found)} entries for {kind} {member}")
    return found[0]


def types_of(parameters: list[dict[str, Any]]) -> list[str]:
    """ABI type strings, tuples spelled out: `(bytes32,(address,uint256,bytes)[])[]`."""
    return [collapse_if_tuple(parameter) for parameter in parameters]


def signature_of(item: dict[str, Any]) -> str:
    """The canonical signature that selectors and topics are made from."""
    return f"{item['name']}({','.join(types_of(item['inputs']))})"
