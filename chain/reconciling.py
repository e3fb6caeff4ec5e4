"""What the chain says at one block, for a reconciliation: debts, collateral, nonces, balances, transfers.

The block is pinned by its number; everything is read in batches. Amounts are USDC base units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from eth_abi.abi import decode

from chain import abis
from chain.clients import ChainUnavailable, RpcError, get_client
from chain.dialects import DIALECTS, dialect
from chain.encoding import encode_call, to_bytes
from chain.models import ChainEvent, ChainTransaction, FundingTransfer, PlatformWallet
from chain.states import LIVE_TRANSACTION_STATES
from partner_platform.core.ethereum import ZERO_ADDRESS, parse_address
from partner_platform.core.money import MAX_BASE_UNITS

CALLS_PER_POST = 200
VAULTS = tuple(dict.fromkeys(each.vault for each in DIALECTS.values()))


@dataclass(frozen=True)
class Snapshot:
    """A block, and the platform account's USDC in it; `timestamp` in seconds since the epoch."""

    block_number: int
    timestamp: int
    account: str
    usdc_balance: int


@dataclass(frozen=True)
class ChainPosition:
    """A position as the vault has it."""

    user: str
    collateral_amount: int
    collateral_value_usd: int
    debt: int
    active: bool


def take_snapshot(block_number: int) -> Snapshot:
    """The block of this number. Raises `ChainUnavailable`."""
    account = settings.PLATFORM_EXECUTOR_ADDRESS
    balance = {"to": settings.USDC_ADDRESS, "data": encode_call("balanceOf(address)", [account])}
    block, held = get_client().batch(
        [("eth_getBlockByNumber", [hex(block_number), False]), ("eth_call", [balance, hex(block_number)])]
    )
    if block is None or isinstance(block, RpcError) or isinstance(held, RpcError):
        raise ChainUnavailable("The node does not show the block to compare with")
    return Snapshot(block_number, int(block["timestamp"], 16), account, int(held, 16))


def read_positions(position_ids: Sequence[int], snapshot: Snapshot) -> dict[int, ChainPosition]:
    """The positions there are among these, at the snapshot's block."""
    entry = abis.entry(dialect().vault, "function", "positions")
    types, names = abis.types_of(entry["outputs"]), [item["name"] for item in entry["outputs"]]
    found = {}
    for start in range(0, len(position_ids), CALLS_PER_POST):
        chosen = position_ids[start : start + CALLS_PER_POST]
        for position_id, answer in zip(chosen, _views(chosen, snapshot), strict=True):
            values = dict(zip(names, decode(types, to_bytes(answer)), strict=True))
            if values["user"] != ZERO_ADDRESS:
                found[position_id] = ChainPosition(
                    user=parse_address(values["user"]),
                    collateral_amount=values["collateralAmount"],
                    collateral_value_usd=values["collateralValueUSD"],
                    debt=values["usdcBorrowed"],
                    active=values["active"],
                )
    return found


def _views(position_ids: Sequence[int], snapshot: Snapshot) -> list[str]:
    calls = [
        ("eth_call", [{"to": settings.SOLVENCY_VAULT_ADDRESS, "data": data}, hex(snapshot.block_number)])
        for data in (encode_call("positions(uint256)", [position_id]) for position_id in position_ids)
    ]
    answers = get_client().batch(calls)
    for answer in answers:
        if isinstance(answer, RpcError):
            raise ChainUnavailable(f"The chain refused a reading: {answer.message}") from answer
    return answers


def read_nonce(address: str, snapshot: Snapshot) -> int:
    """How many transactions of the account are mined up to the block."""
    return int(get_client().call("eth_getTransactionCount", [address, hex(snapshot.block_number)]), 16)


def has_live_transactions(wallet: PlatformWallet) -> bool:
    """True while some of the wallet's nonces may still be mined."""
    return ChainTransaction.objects.filter(wallet=wallet.pk, state__in=LIVE_TRANSACTION_STATES).exists()


def foreign_flow(account: str) -> int:
    """USDC that came to the account less what left it, outside operations of ours."""
    flow = 0
    for event in ChainEvent.objects.filter(name="MockUSDC.Transfer", operation_uid=""):
        value = int(event.args["value"])
        flow += value * (event.args["to"] == account) - value * (event.args["from"] == account)
    return flow


def transferred(transfer: FundingTransfer) -> int:
    """What the transaction really brought to the platform account, as a `FundingTransfer` keeps it."""
    events = ChainEvent.objects.filter(tx_hash=transfer.tx_hash, name="MockUSDC.Transfer", operation_uid="")
    mine = (transfer.sender, settings.PLATFORM_EXECUTOR_ADDRESS)
    value = sum(int(event.args["value"]) for event in events if (event.args["from"], event.args["to"]) == mine)
    return min(value, MAX_BASE_UNITS)
