"""Which contracts are watched, and how a log of one becomes a `ChainEvent`."""

import logging
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from django.conf import settings

from chain import selectors
from chain.lending.bundles import OutcomeStatus, has_uid, is_mark, split_by_operation
from chain.lending.dialects import dialect
from chain.lending.encoding import TRANSFER_TOPIC, address_topic
from chain.lending.fast_codec import ContractEvent, Log, Undecodable, events_of
from chain.models import ChainEvent
from chain.rpc.blooms import Filter

logger = logging.getLogger(__name__)

EXECUTOR = "PlatformExecutor"


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
    contracts = _contracts(executor)
    executors = {address for address, name in contracts if name == EXECUTOR}
    kinds = _kinds(contracts)
    ours = [log for log in logs if log["topics"] and (log["address"].lower(), log["topics"][0]) in kinds]
    uids = {
        _place(log): operation.uid
        for operation in split_by_operation(ours, executors)
        if operation.outcome.status == OutcomeStatus.EXECUTED
        for log in operation.logs
    }
    found = []
    for log in ours:
        if is_mark(log, executors):
            if not has_uid(log):
                _log_unreadable(log, EXECUTOR, "no uid")
            continue
        kind = kinds[log["address"].lower(), log["topics"][0]]
        row = _readable_row(log, kind, block_times, uids.get(_place(log), ""))
        if row is not None and not _is_known_from_operations(row):
            found.append(row)
    return found


def _place(log: Log) -> tuple[str, str]:
    return log["blockHash"], log["logIndex"]


def _readable_row(log: Log, kind: ContractEvent, block_times: Mapping[str, int], uid: str) -> ChainEvent | None:
    try:
        return _row(log, kind, block_times, uid)
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
        *((address.lower(), EXECUTOR) for address in sorted(executors)),
    )


@cache
def _kinds(contracts: tuple[tuple[str, str], ...]) -> dict[tuple[str, str], ContractEvent]:
    """The events of these contracts by address and first topic."""
    return {(address, kind.topic): kind for address, contract in contracts for kind in events_of(contract)}


def _row(log: Log, kind: ContractEvent, block_times: Mapping[str, int], uid: str) -> ChainEvent:
    args = {name: _stored(value) for name, value in kind.decode(log).items()}
    position = args.get("positionId")
    return ChainEvent(
        block_number=int(log["blockNumber"], 16),
        log_index=int(log["logIndex"], 16),
        block_hash=log["blockHash"],
        block_time=block_times[log["blockHash"]],
        tx_hash=log["transactionHash"],
        name=kind.name,
        position_id=None if position is None else int(position),
        operation_uid=uid,
        args=args,
    )


def _stored(value: object) -> Any:
    """Numbers as text: they are larger than what every database's JSON holds."""
    return value if isinstance(value, bool | str) else str(value)
