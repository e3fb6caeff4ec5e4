"""Putting the contracts on a chain: the sandbox's whole system, the platform's executor, and a user's position.

Transactions are signed here and sent in one batch, nonces in a row, then waited for together; so it is fast where every
transaction makes a block, and where blocks come every two seconds. `DeploymentFailed` says what did not go through.
"""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from rlp import encode as rlp_encode  # type: ignore[import-untyped]

from chain.lending import abis
from chain.lending.dialects import dialect
from chain.lending.encoding import Call, decode_event, encode_call, topic_of
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

    def call(self, method: str, params: Sequence[Any] = ()) -> Any: ...

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]: ...


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
        Call(oaid, 0, encode_call("setVault(address)", [vault])),
        Call(pool, 0, encode_call("setVault(address)", [vault])),
        Call(usdc, 0, encode_call("mint(address,uint256)", [owner, liquidity])),
        Call(usdc, 0, encode_call("approve(address,uint256)", [pool, liquidity])),
        Call(pool, 0, encode_call("provideLiquidity(uint256)", [liquidity])),
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
    """A `PlatformExecutor` owned by `owner_key`, with one operator; answers its address."""
    owner = Account.from_key(owner_key).address
    creation = _creation("PlatformExecutor", owner, operator_address, usdc, treasury, operation_gas_floor)
    (receipt,) = send(client=client, key=owner_key, calls=[creation])
    return str(to_checksum_address(receipt["contractAddress"]))


def deploy_audit_anchor(*, client: RpcClient, key: str) -> str:
    """An `AuditAnchor`, which belongs to nobody: each caller has a list of its own. Answers its address."""
    (receipt,) = send(client=client, key=key, calls=[_creation("AuditAnchor")])
    return str(to_checksum_address(receipt["contractAddress"]))


def open_sandbox_position(
    *, client: RpcClient, system: System, user_key: str, credit_limit: int, token_type: str, executor: str
) -> tuple[int, int]:
    """A position of this user with exactly this credit limit (base units), on which `executor` may borrow.

    Answers `(oaid_token_id, position_id)`.
    """
    user = Account.from_key(user_key).address
    ensure_gas_money(client=client, address=user)
    token, vault = system["collateralToken"], system["solvencyVault"]
    value = -(
        -credit_limit * BASIS_POINTS // LOAN_TO_VALUE_BPS[token_type]
    )  # rounded up: the vault rounds the limit down
    amount = value * 10**12  # a token of 18 decimals for each USDC of value
    opening = [token, amount, value, TOKEN_TYPES.index(token_type)]
    receipts = send(
        client=client,
        key=user_key,
        calls=[
            Call(token, 0, encode_call("mint(address,uint256)", [user, amount])),
            Call(token, 0, encode_call("approve(address,uint256)", [vault, amount])),
            Call(vault, 0, encode_call("openPosition(address,uint256,uint256,uint8)", opening)),
            Call(vault, 0, encode_call("setOperator(address,bool)", [executor, True])),
        ],
    )
    topic = topic_of("SolvencyVault", "PositionOpened")
    (log,) = (log for log in receipts[2]["logs"] if log["topics"][0] == topic)
    opened = decode_event("SolvencyVault", "PositionOpened", log)
    return opened["oaidTokenId"], opened["positionId"]


def ensure_gas_money(*, client: RpcClient, address: str, wei: int = 100 * ETHER) -> None:
    """On a sandbox chain: give an address that has less than one ether `wei`."""
    if int(client.call("eth_getBalance", [address, "latest"]), 16) < ETHER:
        client.call("anvil_setBalance", [address, hex(wei)])


def contract_address(sender: str, nonce: int) -> str:
    """Where a contract created by `sender` with this nonce lands."""
    return str(to_checksum_address(keccak(rlp_encode([bytes.fromhex(sender[2:]), nonce]))[-20:]))


def send(*, client: RpcClient, key: str, calls: Sequence[Call], gas: int = GAS_LIMIT) -> list[dict[str, Any]]:
    """Sign and send these calls in one batch (an empty `to` creates a contract); answers their receipts in order."""
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
    """Send signed transactions (0x-hex) in one batch and wait until all are mined; answers their receipts in order.

    A node that mines each transaction at once still answers before it has: what it did is read after its receipt.
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


def _creation(name: str, *args: Any) -> Call:
    """The creation of a contract, as a call to nobody."""
    contract = abis.artifact(name)
    inputs: list[dict[str, Any]] = next((item["inputs"] for item in contract.abi if item["type"] == "constructor"), [])
    return Call("", 0, contract.bytecode + encode(abis.types_of(inputs), args).hex())


def _fields(call: Call) -> dict[str, Any]:
    return {"to": call.to, "value": call.value, "data": call.data}


def _sign(account: LocalAccount, transaction: dict[str, Any]) -> str:
    return "0x" + account.sign_transaction(transaction).raw_transaction.hex()


def _nonce(client: RpcClient, address: str) -> int:
    return int(client.call("eth_getTransactionCount", [address, "pending"]), 16)


def _fees(client: RpcClient) -> dict[str, int]:
    base_fee = int(client.call("eth_getBlockByNumber", ["latest", False])["baseFeePerGas"], 16)
    tip = int(client.call("eth_maxPriorityFeePerGas", []), 16)
    return {"maxFeePerGas": 2 * base_fee + tip, "maxPriorityFeePerGas": tip}
