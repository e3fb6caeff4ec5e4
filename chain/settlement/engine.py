"""The state that every step of a driver works on: the wallet under its lease, the client, the key, the newest block."""

import logging
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings

from chain import selectors
from chain.models import PlatformWallet, WalletStatus
from chain.rpc.clients import ChainClient, ChainUnavailable, RpcError
from chain.rpc.evidence import Checkpoint
from chain.wallet import freezing
from chain.wallet.fees import Market
from chain.wallet.lease import Lease
from chain.wallet.signer import Signer, get_signer

logger = logging.getLogger(__name__)

DEFAULT_TIP_WEI = 1_000_000_000  # where a node has no eth_maxPriorityFeePerGas


@dataclass(frozen=True)
class ChainHead:
    """The newest block: number, hash, time (seconds since the epoch), and the fees of the next one."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    market: Market


@dataclass(frozen=True)
class Deferral:
    """An operation stays QUEUED until this block, and why."""

    until_block: int
    why: str


@dataclass
class Engine:
    """The state of one driver. `wallet` is a copy of the row; the row is written through `lease` only.

    `verified` is the newest block whose chain everything settled was compared with, `final` the newest of these that
    every endpoint called final. Both are columns of the wallet too, written along with its next update.
    """

    wallet: PlatformWallet
    client: ChainClient
    lease: Lease
    head: ChainHead | None = None
    verified: Checkpoint | None = None
    final: Checkpoint | None = None
    final_asked_at: int | None = None  # the head when every endpoint was last asked for its final block
    suspended: str = ""  # why nothing new is sent although the wallet is ACTIVE; empty where it is
    known_executors: set[str] = field(default_factory=set)  # whose rows are there
    deferred: dict[UUID, Deferral] = field(default_factory=dict)  # queued operations that wait for a block
    settled_keys: list[str] = field(default_factory=list)  # made final by this driver, to be announced
    sent_count: int = 0
    last_bundle_at: float = 0.0
    bundle_not_before: float = 0.0  # no key, or the base fee above the cap: not tried at every poll

    def __post_init__(self) -> None:
        wallet = self.wallet
        if wallet.verified_block is not None:
            self.verified = Checkpoint(wallet.verified_block, wallet.verified_hash)
        if wallet.final_block is not None:
            self.final = Checkpoint(wallet.final_block, wallet.final_hash)

    @property
    def signer(self) -> Signer:
        """The wallet's key, read when something is signed; raises `SignerUnavailable`."""
        return get_signer(self.wallet.address)

    @property
    def is_active(self) -> bool:
        return self.wallet.status == WalletStatus.ACTIVE

    @property
    def is_current(self) -> bool:
        """True for the wallet of the configured key; any other wallet sends nothing new."""
        return not selectors.is_retired(self.wallet)

    def note_verified(self, verified: Checkpoint) -> None:
        """Everything settled was compared with the chain of this block; stored with the next write."""
        self.verified = verified
        self.lease.notes |= {"verified_block": verified.number, "verified_hash": verified.hash}

    def note_final(self, final: Checkpoint) -> None:
        """Everything settled up to this block is final; stored with the next write."""
        self.final = final
        self.lease.notes |= {"final_block": final.number, "final_hash": final.hash}

    def fetch(self, *calls: tuple[str, list[object]]) -> list[Any]:
        """The results of a batch; raises the `RpcError` of a call that was refused."""
        results = self.client.batch(calls)
        for result in results:
            if isinstance(result, RpcError):
                raise result
        return results

    def read_head(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        """Read the newest block and its fees; returns the results of `calls`, from the same node in the same post.

        Raises `ChainUnavailable` where that node lags behind a block that another one still shows (F41). Where the head
        of all has fallen (F39) the lower one becomes the head.
        """
        self.client.check_heads()
        block, tip, *results = self.client.batch(
            [("eth_getBlockByNumber", ["latest", False]), ("eth_maxPriorityFeePerGas", []), *calls]
        )
        if isinstance(block, RpcError) or block is None:
            raise ChainUnavailable("The node shows no newest block")
        head = head_of(block, DEFAULT_TIP_WEI if isinstance(tip, RpcError) else int(tip, 16))
        if self.head is not None and head.number < self.head.number and not self._head_fell():
            raise ChainUnavailable("The node lags behind")
        self.head = head
        return results

    def _head_fell(self) -> bool:
        numbers = self.client.everywhere("eth_blockNumber")
        return all(int(number, 16) < self.require_head().number for number in numbers)

    def require_head(self) -> ChainHead:
        """The newest block that this driver has seen; read where it has seen none."""
        if self.head is None:
            self.read_head()
        assert self.head is not None  # noqa: S101 - read_head() sets it or raises
        return self.head

    def set_status(self, status: WalletStatus, reason: str = "", *, from_states: tuple[WalletStatus, ...]) -> bool:
        """Change the wallet's status in a transaction of its own; False where it was in none of `from_states`."""

        def move() -> bool:
            mine = PlatformWallet.objects.filter(pk=self.wallet.pk, status__in=from_states)
            return mine.change_status(status=status, status_reason=reason[:300]) == 1

        moved = self.lease.write(move)
        if moved:
            self.wallet.status, self.wallet.status_reason = status, reason[:300]
            level = logging.INFO if status == WalletStatus.ACTIVE else logging.ERROR
            logger.log(level, "wallet %s is %s: %s", self.wallet.address, status, reason or "it works again")
        return moved

    def freeze(self, reason: str) -> None:
        """Send nothing new until a person has looked; what is in flight is still followed."""
        if self.lease.write(lambda: freezing.freeze_wallet(self.wallet.pk, reason)):
            self.wallet.refresh_from_db(fields=["status", "status_reason"])
            logger.error("wallet %s is %s: %s", self.wallet.address, self.wallet.status, self.wallet.status_reason)

    @property
    def operations_per_bundle(self) -> int:
        return int(settings.CHAIN_OPERATIONS_PER_BUNDLE)

    @property
    def confirmations(self) -> int:
        return int(settings.CHAIN_CONFIRMATIONS)


def head_of(block: dict[str, Any], tip: int) -> ChainHead:
    """A `Head` out of a JSON-RPC block."""
    return ChainHead(
        number=int(block["number"], 16),
        hash=block["hash"],
        parent_hash=block["parentHash"],
        timestamp=int(block["timestamp"], 16),
        market=Market(base_fee=int(block.get("baseFeePerGas") or "0x0", 16), tip=tip),
    )
