"""What happened on the chain since a moment, read from its own logs: what each operation of ours moved, and what users
and partners did beside it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from chain.lending.bundles import MARKS
from chain.lending.encoding import (
    LOAN_REPAID_TOPIC,
    OPERATION_EXECUTED_TOPIC,
    TRANSFER_TOPIC,
    encode_call,
    topic_of,
)
from chain.lending.fast_codec import Log
from chain.models import ChainEvent, Operation, WatchedBlock
from chain.rpc.clients import ChainClient
from tests.support.chain import Chain

USDC_BORROWED_TOPIC = topic_of("SolvencyVault", "USDCBorrowed")


@dataclass(frozen=True)
class Moved:
    """What some logs moved: debts by position, USDC by (from, to)."""

    drawn: Counter[int] = field(default_factory=Counter)
    repaid: Counter[int] = field(default_factory=Counter)
    usdc: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, log: Log, addresses: Mapping[str, str]) -> None:
        """Take one log in, of whichever contract."""
        if not log["topics"]:
            return
        source, topic = log["address"].lower(), log["topics"][0]
        if source == addresses["usdc"] and topic == TRANSFER_TOPIC:
            self.usdc[_address(log["topics"][1]), _address(log["topics"][2])] += int(log["data"], 16)
        elif source == addresses["solvencyVault"] and topic == USDC_BORROWED_TOPIC:
            self.drawn[int(log["topics"][1], 16)] += int(log["data"], 16)
        elif source == addresses["solvencyVault"] and topic == LOAN_REPAID_TOPIC:
            self.repaid[int(log["topics"][1], 16)] += int(log["data"], 16)


@dataclass
class Seen:
    """The chain at one moment."""

    moment: int  # seconds since the epoch
    is_followed: bool  # the watcher has read it all, and its consumers have acted on it
    executed: dict[str, Moved]
    twice: list[str]
    outside: Moved
    debts: dict[int, int]
    canonical: set[str]


class ChainReader:
    """Reads what happened after the block in which it was made."""

    def __init__(self, chain: Chain, *executors: str) -> None:
        self._client = ChainClient(urls=[chain.url], chain_id=settings.CHAIN_ID, timeout=30.0)
        self.executors = frozenset(address.lower() for address in (chain.addresses["executor"], *executors))
        self._addresses = {name: address.lower() for name, address in chain.addresses.items()}
        self._positions = [user.position_id for user in chain.users]
        self._from = chain.block_number() + 1
        self.debts_before = self._debts()

    def see(self) -> Seen:
        """Everything up to now."""
        watched = [self._addresses["usdc"], self._addresses["solvencyVault"], *sorted(self.executors)]
        query = {"fromBlock": hex(self._from), "address": watched}
        head, logs = self._client.batch([("eth_getBlockByNumber", ["latest", False]), ("eth_getLogs", [query])])
        executed, twice, outside = self._sort(logs)
        hashes = sorted(set(Operation.objects.exclude(block_hash="").values_list("block_hash", flat=True)))
        blocks = self._client.batch([("eth_getBlockByHash", [block_hash, False]) for block_hash in hashes])
        return Seen(
            moment=int(head["timestamp"], 16),
            is_followed=_is_followed(head),
            executed=executed,
            twice=twice,
            outside=outside,
            debts=self._debts(),
            canonical={block["hash"] for block in blocks if block},
        )

    def _sort(self, logs: Sequence[Log]) -> tuple[dict[str, Moved], list[str], Moved]:
        """Logs by the operation they belong to; an operation's stand before its own event, in its transaction."""
        executed: dict[str, Moved] = {}
        twice: list[str] = []
        outside, transaction = Moved(), ""
        current: list[Log] = []
        for log in logs:
            if log["transactionHash"] != transaction:
                self._take(current, outside)
                current, transaction = [], log["transactionHash"]
            if log["address"].lower() in self.executors and log["topics"][0] in MARKS:
                if log["topics"][0] == OPERATION_EXECUTED_TOPIC:
                    uid = log["topics"][1]
                    twice += [uid] if uid in executed else []
                    executed[uid] = self._take(current, Moved())
                    current = []
            else:
                current.append(log)
        self._take(current, outside)
        return executed, twice, outside

    def _take(self, logs: Iterable[Log], moved: Moved) -> Moved:
        for log in logs:
            moved.add(log, self._addresses)
        return moved

    def _debts(self) -> dict[int, int]:
        calls = [
            ("eth_call", [{"to": self._addresses["solvencyVault"], "data": encode_call("debtOf(uint256)", [position])}])
            for position in self._positions
        ]
        return dict(zip(self._positions, (int(debt, 16) for debt in self._client.batch(calls)), strict=True))


def _is_followed(head: dict[str, Any]) -> bool:
    """Whether the books have taken in everything up to this block, and none of it was replaced since."""
    newest = WatchedBlock.objects.order_by("-number").first()
    is_read = newest is not None and (newest.number, newest.hash) == (int(head["number"], 16), head["hash"])
    return is_read and not ChainEvent.objects.filter(applied__in=[False]).exists()


def _address(topic: str) -> str:
    return "0x" + topic[-40:]
