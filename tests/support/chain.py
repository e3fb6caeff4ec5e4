"""The chain as a test holds it: a real anvil with everything deployed, mined block by block by the test."""

import contextlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache

from sandbox.servers import anvil as anvil_server
from sandbox.world import SandboxUser, World

ERC20_BALANCE_OF = "0x70a08231"
NEWEST_BLOCK = "lending:head"  # of chain.lending.readings, remembered for half a second
DEBT_OF = "0xbd7be5a4"
SLOTS_IN_EPOCH = 4
# anvil writes older states to disk without the contracts' code, and a reorg to such a block finds none: all in memory.
STATES_IN_MEMORY = ("--prune-history", "1000")
BLOCKS_TO_FINALITY = 2 * SLOTS_IN_EPOCH
FINAL_AFTER_BLOCKS = BLOCKS_TO_FINALITY + 1  # what is mined now is final once so many more blocks are
_histories = itertools.count(1)


@dataclass(frozen=True)
class Chain:
    """Nothing is mined until `mine` is called, or within `mining` / `automine`."""

    port: int
    world: World

    @property
    def addresses(self) -> dict[str, str]:
        """`usdc, collateralToken, oaid, seniorPool, solvencyVault, executor` and `deployer, operator, treasury`."""
        return {**self.world.contracts, "executor": self.world.contracts["platformExecutor"], **self.world.accounts}

    @property
    def users(self) -> list[SandboxUser]:
        """Three users with open positions of $10,000 (RWA), $50,000 (RWA), $100,000 (PRIVATE_ASSET)."""
        return self.world.users

    @property
    def url(self) -> str:
        return anvil_server.rpc_url(self.port)

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call; `NodeRefused` where the node says no."""
        return anvil_server.rpc(self.port, method, *params)

    def mine(self, blocks: int = 1) -> int:
        """Mine; the first block takes what is pending. Returns the new head's number."""
        self.rpc("anvil_mine", hex(blocks))
        return self.block_number()

    def begin_history(self) -> int:
        """Mine blocks that no other history has, the finalized among them; answers the newest one's number.

        anvil keeps states by their block's hash and forgets the oldest entry. Where a history goes on from blocks that
        others shared, their states go with the oldest entry of that hash, and a reading or a reorg there is "Required
        data unavailable".
        """
        self.rpc("anvil_setCoinbase", f"0x{next(_histories):040x}")
        return self.mine(BLOCKS_TO_FINALITY + 1)

    def now(self) -> int:
        """The newest block's time, in seconds since the epoch."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def pass_time(self, seconds: int) -> int:
        """A block `seconds` after the newest, which the platform looks at next; answers its time."""
        self.rpc("evm_setNextBlockTimestamp", hex(self.now() + seconds))
        self.mine()
        cache.delete(NEWEST_BLOCK)
        return self.now()

    def debt(self, position_id: int) -> int:
        """What the position owes the pool in the newest block, interest included, in base units."""
        data = DEBT_OF + f"{position_id:064x}"
        return int(self.rpc("eth_call", {"to": self.world.contracts["solvencyVault"], "data": data}, "latest"), 16)

    def block_number(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def usdc_balance(self, address: str) -> int:
        """In base units."""
        data = ERC20_BALANCE_OF + address[2:].lower().rjust(64, "0")
        return int(self.rpc("eth_call", {"to": self.world.contracts["usdc"], "data": data}, "latest"), 16)

    @contextlib.contextmanager
    def automine(self) -> Iterator[None]:
        """Within: a block per transaction, at once."""
        self.rpc("evm_setAutomine", True)
        try:
            yield
        finally:
            self.rpc("evm_setAutomine", False)

    @contextlib.contextmanager
    def mining(self, every: float = 0.1) -> Iterator[None]:
        """Within: a block every `every` seconds, for tests whose engine runs in threads or processes."""
        done = threading.Event()

        def mine_until_done() -> None:
            while not done.wait(every):
                self.rpc("evm_mine")

        miner = threading.Thread(target=mine_until_done, name="miner", daemon=True)
        miner.start()
        try:
            yield
        finally:
            done.set()
            miner.join(timeout=10)
