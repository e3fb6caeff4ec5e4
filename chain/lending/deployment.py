"""Putting the contracts on a chain: the sandbox's whole system, the platform's executor, and a user's position.

Transactions are signed here and sent in one batch, nonces in a row, then waited for together; so it is fast where every
transaction makes a block, and where blocks come every two seconds. `DeploymentFailed` says what did not go through.
"""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from rlp import encode as rlp_encode  # type: ignore[import-untyped]
from web3.logs import DISCARD

from chain.lending.contracts import contract_class
from chain.lending.dialects import dialect
from chain.lending.encoding import Call
from partner_platform.core.collateral import LOAN_TO_VALUE_BPS, TOKEN_TYPES
from partner_platform.core.money import BASIS_POINTS

# One limit for all: anvil drops a smaller transaction behind one that does not fit into the block.
GAS_LIMIT = 3_000_000
# What the executor gives to each operation: some 3 times what a first borrow or a pulled payoff takes.
OPERATION_GAS_FLOOR = 400_000
WAIT_SECONDS = 60.0
STUCK_SECONDS = 5.0
ETHER = 10**18
USDC = 10**6
# Addresses by name: usdc, collateralToken, oaid, seniorPool, solvencyVault.
System = dict[str, str]


class RpcClient(Protocol):
    """The part of `chain.rpc.clients.ChainClient` that is needed here."""

    def call(self, method: str, params: Sequence[object] = ()) -> Any: ...

    def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]: ...


class DeploymentFailed(Exception):
    """A transaction was refused, reverted, or not mined in time."""


def deploy_system(*, client: RpcClient, deployer_key: str, liquidity: int = 10_000_000 * USDC) -> System:
    """The sandbox's contracts, owned by the deployer and wired, with `liquidity` base units in the pool.

    Their interface is the one that `CHAIN_SYSTEM` names.
    """
    account = Account.from_key(deployer_key)
    ensure_gas_money(client=client, address=account.address)
    owner, first = account.address, _nonce(client, account.address)
    names = ("usdc", "collateralToken", "oaid", "seniorPool", "solvencyVault")
    usdc, collateral, oaid, pool, vault = (contract_address(owner, first + index) for index in range(len(names)))
    calls = [
        _creation("MockUSDC", owner),
        _creation("CollateralToken"),
        _creation(dialect().oaid, owner),
        _creation("SeniorPool", owner, usdc),
        _creation(dialect().vault, owner, usdc, oaid, pool),
        _call(dialect().oaid, oaid, "setVault", vault),
        _call("SeniorPool", pool, "setVault", vault),
        _call("MockUSDC", usdc, "mint", owner, liquidity),
        _call("MockUSDC", usdc, "approve", pool, liquidity),
        _call("SeniorPool", pool, "provideLiquidity", liquidity),
    ]
    send(client=client, key=deployer_key, calls=calls)
    return dict(zip(names, (usdc, collateral, oaid, pool, vault), strict=True))


def deploy_executor(
    *,
    client: RpcClient,
    owner_key: str,
    operator_address: str,
    treasury: str,
    usdc: str,
    operation_gas_floor: int = OPERATION_GAS_FLOOR,
) -> str:
    """A `PlatformExecutor` owned by `owner_key`, with one operator; returns its address."""
    owner = Account.from_key(owner_key).address
    creation = _creation("PlatformExecutor", owner, operator_address, usdc, treasury, operation_gas_floor)
    (receipt,) = send(client=client, key=owner_key, calls=[creation])
    return str(to_checksum_address(receipt["contractAddress"]))


def deploy_audit_anchor(*, client: RpcClient, key: str) -> str:
    """An `AuditAnchor`, which has no owner: each caller has a list of its own. Returns its address."""
    (receipt,) = send(client=client, key=key, calls=[_creation("AuditAnchor")])
    return str(to_checksum_address(receipt["contractAddress"]))


def open_sandbox_position(
    *, client: RpcClient, system: System, user_key: str, credit_limit: int, token_type: str, executor: str
) -> tuple[int, int]:
    """A position of this user with exactly this credit limit (base units), on which `executor` may borrow.

    Returns `(oaid_token_id, position_id)`.
    """
    user = Account.from_key(user_key).address
    ensure_gas_money(client=client, address=user)
    token, vault = system["collateralToken"], system["solvencyVault"]
    value = -(
        -credit_limit * BASIS_POINTS // LOAN_TO_VALUE_BPS[token_type]
    )  # rounded up: the vault rounds the limit down
    amount = value * 10**12  # a token of 18 decimals for each USDC of value
    receipts = send(
        client=client,
        key=user_key,
        calls=[
            _call("CollateralToken", token, "mint", user, amount),
            _call("CollateralToken", token, "approve", vault, amount),
            _call("SolvencyVault", vault, "openPosition", token, amount, value, TOKEN_TYPES.index(token_type)),
            _call("SolvencyVault", vault, "setOperator", executor, True),
        ],
    )
    events: Any = contract_class("SolvencyVault").events
    [opened] = events.PositionOpened().process_receipt(receipts[2], errors=DISCARD)
    return opened["args"]["oaidTokenId"], opened["args"]["positionId"]


def ensure_gas_money(*, client: RpcClient, address: str, wei: int = 100 * ETHER) -> None:
    """On a sandbox chain: give an address that has less than one ether `wei`."""
    if int(client.call("eth_getBalance", [address, "latest"]), 16) < ETHER:
        client.call("anvil_setBalance", [address, hex(wei)])


def contract_address(sender: str, nonce: int) -> str:
    """The address of a contract that `sender` creates with this nonce."""
    return str(to_checksum_address(keccak(rlp_encode([bytes.fromhex(sender[2:]), nonce]))[-20:]))


def send(*, client: RpcClient, key: str, calls: Sequence[Call], gas: int = GAS_LIMIT) -> list[dict[str, Any]]:
    """Sign and send these calls in one batch (an empty `to` creates a contract); returns their receipts in order."""
    account = Account.from_key(key)
    nonce = _nonce(client, account.address)
    chain_id = int(client.call("eth_chainId", []), 16)
    fees = _fees(client)
    raws = [
        _sign(account, {"chainId": chain_id, "nonce": nonce + index, "gas": gas, **fees, **_fields(call)})
        for index, call in enumerate(calls)
    ]
    return send_signed(client=client, raws=raws)


def send_signed(*, client: RpcClient, raws: Sequence[str]) -> list[dict[str, Any]]:
    """Send signed transactions (0x-hex) in one batch and wait until all are mined; returns their receipts in order.

    A node that mines each transaction at once returns its hash before it is mined: read its effect after the receipt.
    """
    hashes = client.batch([("eth_sendRawTransaction", [raw]) for raw in raws])
    for answer in hashes:
        if isinstance(answer, Exception):
            raise DeploymentFailed(f"refused: {answer}") from answer
    return _wait(client, hashes, raws)


def _wait(client: RpcClient, hashes: Sequence[str], raws: Sequence[str]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + WAIT_SECONDS
    ask_again_at = time.monotonic() + STUCK_SECONDS
    while True:
        receipts = client.batch([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes])
        missing = [raw for raw, receipt in zip(raws, receipts, strict=True) if not isinstance(receipt, dict)]
        if not missing:
            break
        if time.monotonic() > deadline:
            raise DeploymentFailed(f"{len(missing)} of {len(hashes)} transactions are not mined after {WAIT_SECONDS} s")
        if time.monotonic() > ask_again_at:
            # anvil, mining at once, was seen to leave the last one of a batch in its pool, and to lose one from the
            # middle. Other nodes refuse to be told to mine; a transaction that a node knows, it refuses to take again.
            client.batch([*(("eth_sendRawTransaction", [raw]) for raw in missing), ("anvil_mine", [])])
            ask_again_at = time.monotonic() + STUCK_SECONDS
        time.sleep(0.05)
    for index, receipt in enumerate(receipts):
        if int(receipt["status"], 16) != 1:
            raise DeploymentFailed(f"transaction {index + 1} of {len(hashes)} reverted: {receipt['transactionHash']}")
    return receipts


def _creation(name: str, *args: object) -> Call:
    """The creation of a contract: a call without a recipient."""
    return Call("", 0, str(contract_class(name).constructor(*args).data_in_transaction))


def _call(name: str, to: str, function: str, *args: object) -> Call:
    """A call of the contract `name` at `to`."""
    return Call(to, 0, str(contract_class(name).encode_abi(function, args)))


def _fields(call: Call) -> dict[str, object]:
    return {"to": call.to, "value": call.value, "data": call.data}


def _sign(account: LocalAccount, transaction: dict[str, Any]) -> str:
    return "0x" + account.sign_transaction(transaction).raw_transaction.hex()


def _nonce(client: RpcClient, address: str) -> int:
    return int(client.call("eth_getTransactionCount", [address, "pending"]), 16)


def _fees(client: RpcClient) -> dict[str, int]:
    base_fee = int(client.call("eth_getBlockByNumber", ["latest", False])["baseFeePerGas"], 16)
    tip = int(client.call("eth_maxPriorityFeePerGas", []), 16)
    return {"maxFeePerGas": 2 * base_fee + tip, "maxPriorityFeePerGas": tip}
