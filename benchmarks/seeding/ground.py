"""The chain as a history leaves it: the vault's own code answers for each seeded position, out of storage written here.

To open 50,000 positions and draw a million loans by transactions would take an hour; what a reconciliation asks
(`positions(id)`, a balance, a nonce) depends on storage alone. So the storage that those transactions would have left
is written into the deployed contracts: the contracts' own code reads it. If the layout were wrong, every reading of a
seeded position would be a finding.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from chain.rpc.clients import RpcError, get_client

if TYPE_CHECKING:
    from loans.models import SolvencyPosition

CALLS_PER_POST = 2_000
# Solidity's numbering of the contracts' variables; inherited ones (`Ownable._owner`) come first.
VAULT_POSITIONS, POOL_DEBTS, USDC_BALANCES = 2, 2, 0

Word = tuple[str, int, int]  # contract, slot, value


def write_storage(words: Iterable[Word]) -> int:
    """Write words of storage and mine a block; returns the block's number."""
    client = get_client()
    waiting: list[tuple[str, list[str]]] = []

    def send() -> None:
        for answer in client.batch(waiting):
            if isinstance(answer, RpcError):
                raise answer
        waiting.clear()

    for contract, slot, value in words:
        waiting.append(("anvil_setStorageAt", [contract, f"0x{slot:064x}", f"0x{value:064x}"]))
        if len(waiting) == CALLS_PER_POST:
            send()
    send()
    client.call("anvil_mine", ["0x1"])
    return client.block_number()


def position_words(contracts: dict[str, str], row: "SolvencyPosition") -> Iterator[Word]:
    """`VaultBase.Position` (the OAID has the position's number) and `SeniorPool.Debt`, without interest."""
    number, vault = row.position_id, contracts["solvencyVault"]
    start = _mapped(number, VAULT_POSITIONS)
    user, value = int(row.user_wallet, 16), row.collateral_value_usd
    yield vault, start, user | value << 160 | int(row.active) << 248  # the kind of token, RWA, is 0
    yield vault, start + 1, number | row.collateral_amount << 64
    yield vault, start + 2, int(contracts["collateralToken"], 16)
    if row.pool_principal:
        yield contracts["seniorPool"], _mapped(number, POOL_DEBTS), row.pool_principal | row.pool_since << 88


def balance_word(usdc: str, account: str, balance: int) -> Word:
    """`ERC20._balances` of an account."""
    return usdc, _mapped(int(account, 16), USDC_BALANCES), balance


def _mapped(key: int, slot: int) -> int:
    return int.from_bytes(keccak(key.to_bytes(32, "big") + slot.to_bytes(32, "big")), "big")
