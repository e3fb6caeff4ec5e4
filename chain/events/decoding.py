"""Which contracts are watched, and how a log of one becomes a `ChainEvent`."""

import logging
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from django.conf import settings
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain import selectors
from chain.lending import abis
from chain.lending.dialects import dialect
from chain.lending.encoding import (
    OPERATION_EXECUTED_TOPIC,
    OPERATION_TOPICS,
    TRANSFER_TOPIC,
    Log,
    Undecodable,
    address_topic,
    decode,
)
from chain.models import ChainEvent
from chain.rpc.log_ranges import Filter

logger = logging.getLogger(__name__)


def filters() -> list[Filter]:
    """The filters of `eth_getLogs`: the system's contracts, and USDC transfers to or from the platform account.

    The platform account is every executor that operations were made for: one that was replaced may still hold USDC.
    """
    contracts = [address for address, _ in _contracts() if address != settings.USDC_ADDRESS.lower()]
    return [{"address": contracts}, *_transfers(selectors.executor_addresses())]


def filters_of(executor: str) -> list[Filter]:
    """The filters for the events of this executor alone."""
    return [{"address": [executor.lower()]}, *_transfers([executor])]


def _transfers(accounts: Iterable[str]) -> list[Filter]:
    topics, usdc = [address_topic(account) for account in accounts], settings.USDC_ADDRESS
    return [
        {"address": usdc, "topics": [TRANSFER_TOPIC, topics]},
        {"address": usdc, "topics": [TRANSFER_TOPIC, None, topics]},
    ]


def rows(logs: Iterable[Log], block_times: Mapping[str, int], *, executor: str = "") -> list[ChainEvent]:
    """The events of these logs, in their order; `block_times` by block hash, in seconds since the epoch.

    `executor` is one that is not known yet; its events are included. The executor's own `Operation…` events tell which
    operation the events before them belong to, and become no rows. A log that does not decode (the contract was
    upgraded) is left out and logged at ERROR; the others are returned.
    """
    found: list[ChainEvent] = []
    unnamed: list[ChainEvent] = []  # events of this transaction whose operation is not known yet
    kinds = _kinds(_contracts(executor))
    for log in logs:
        kind = kinds.get((log["address"].lower(), log["topics"][0] if log["topics"] else ""))
        if kind is None:
            continue
        if unnamed and unnamed[-1].tx_hash != log["transactionHash"]:
            unnamed = []
        if log["topics"][0] in OPERATION_TOPICS:
            _name_operation(unnamed, log)
            unnamed = []
        elif (event := _readable_row(log, kind, block_times)) is not None:
            unnamed.append(event)
            found.append(event)
    return [event for event in found if not _is_known_from_operations(event)]


def _name_operation(events: Iterable[ChainEvent], end: Log) -> None:
    """The executor's event ends an operation: the events before it belong to that one, where it was executed."""
    if len(end["topics"]) != 2:
        _log_unreadable(end, "PlatformExecutor", "no uid")
    elif end["topics"][0] == OPERATION_EXECUTED_TOPIC:
        for event in events:
            event.operation_uid = end["topics"][1]


def _readable_row(log: Log, kind: "_Kind", block_times: Mapping[str, int]) -> ChainEvent | None:
    try:
        return _row(log, kind, block_times)
    except Undecodable as error:
        _log_unreadable(log, kind.name, error)
        return None


def _log_unreadable(log: Log, name: str, why: object) -> None:
    place = f"log {log['logIndex']} of {log['transactionHash']}"
    logger.error("%s at %s: %s does not decode (%s) and is left out", name, log["address"], place, why)


def _is_known_from_operations(event: ChainEvent) -> bool:
    """True for what is known from the operation itself: how it moved USDC, and what it paid."""
    return bool(event.operation_uid) and event.name in ("MockUSDC.Transfer", "PlatformExecutor.Repaid")


def _contracts(executor: str = "") -> tuple[tuple[str, str], ...]:
    """`(address, artifact)` of each watched contract and of this executor."""
    names, executors = dialect(), {*selectors.executor_addresses(), executor} - {""}
    return (
        (settings.SOLVENCY_VAULT_ADDRESS.lower(), names.vault),
        (settings.SENIOR_POOL_ADDRESS.lower(), "SeniorPool"),
        (settings.OAID_ADDRESS.lower(), names.oaid),
        (settings.USDC_ADDRESS.lower(), "MockUSDC"),
        *((address.lower(), "PlatformExecutor") for address in sorted(executors)),
    )


class _Kind:
    """An event's name and how its arguments are decoded, worked out once."""

    def __init__(self, contract: str, item: dict[str, Any]) -> None:
        self.name = f"{contract}.{item['name']}"
        self.indexed = [(entry["name"], entry["type"]) for entry in item["inputs"] if entry["indexed"]]
        plain = [entry for entry in item["inputs"] if not entry["indexed"]]
        self.plain = [(entry["name"], entry["type"]) for entry in plain]
        self.plain_types = abis.types_of(plain)

    def args(self, log: Log) -> dict[str, Any]:
        """By name; raises `Undecodable`."""
        topics = log["topics"][1:]
        if len(topics) != len(self.indexed):
            raise Undecodable(f"{len(topics)} indexed arguments instead of {len(self.indexed)}")
        values = {name: _indexed(kind, topic) for (name, kind), topic in zip(self.indexed, topics, strict=True)}
        plain = decode(self.plain_types, log["data"])
        return values | {name: _readable(kind, value) for (name, kind), value in zip(self.plain, plain, strict=True)}


@cache
def _kinds(contracts: tuple[tuple[str, str], ...]) -> dict[tuple[str, str], _Kind]:
    return {
        (address, "0x" + keccak(text=abis.signature_of(item)).hex()): _Kind(contract, item)
        for address, contract in contracts
        for item in abis.artifact(contract).abi
        if item["type"] == "event"
    }


def _row(log: Log, kind: _Kind, block_times: Mapping[str, int]) -> ChainEvent:
    args = kind.args(log)
    position = args.get("positionId")
    return ChainEvent(
        block_number=int(log["blockNumber"], 16),
        log_index=int(log["logIndex"], 16),
        block_hash=log["blockHash"],
        block_time=block_times[log["blockHash"]],
        tx_hash=log["transactionHash"],
        name=kind.name,
        position_id=None if position is None else int(position),
        args=args,
    )


def _indexed(kind: str, topic: str) -> Any:
    """By hand: there are millions of them."""
    try:
        if kind == "address":
            return str(to_checksum_address("0x" + topic[-40:]))
        return str(int(topic, 16)) if kind.startswith("uint") else topic
    except ValueError as error:
        raise Undecodable(f"no {kind}") from error


def _readable(kind: str, value: Any) -> Any:
    if kind == "address":
        return str(to_checksum_address(value))
    if isinstance(value, bool):
        return value
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
