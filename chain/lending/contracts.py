"""The contracts that the platform speaks to, as web3's objects: from `chain/abi/{Name}.json`, which `make contracts`
builds from `chain/contracts/*.sol`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.providers.base import BaseProvider

OFFLINE = Web3(BaseProvider())  # without a provider web3 looks for a node on this machine
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
def contract_class(name: str) -> type[Contract]:
    """web3's class of the contract, bound to no chain: it encodes and decodes, and can ask no node."""
    built = artifact(name)
    return OFFLINE.eth.contract(abi=built.abi, bytecode=built.bytecode)


def contract_at(name: str, address: str, w3: Web3) -> Contract:
    """The contract at an address. Making it takes milliseconds, as each of its calls does; one post for each call."""
    return w3.eth.contract(address=to_checksum_address(address), abi=artifact(name).abi)


def call_together(w3: Web3, functions: Iterable[ContractFunction]) -> list[Any]:
    """What these view functions of contracts of `w3` return now, in one post.

    Raises what `chain.rpc.provider` raises, and web3's `BadFunctionCallOutput` where a contract returned something else
    than its ABI says.
    """
    with w3.batch_requests() as batch:
        for function in functions:
            batch.add(function)
        return list(batch.execute())
