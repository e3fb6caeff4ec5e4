"""The platform's key and its executor, replaced while loans are under way.

An operation is executed by the executor it was made for, and a transaction is followed under the wallet that sent it,
also when the settings name others (`Operation.executor`, `ChainTransaction.wallet`). So a rotation has three steps: the
new one is allowed, the settings change, and the old one is retired once nothing of it is open. These functions refuse a
step that is not possible yet, and make the calls that the executor's owner signs. Source: docs/settlement.md, "Rotating
the key, replacing the executor".
"""

from dataclasses import dataclass, field

from django.conf import settings
from web3.exceptions import BadFunctionCallOutput

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from chain import selectors
from chain.events.cursor import CursorMoved
from chain.events.new_executors import follow_executor
from chain.lending.contracts import call_together, contract_at
from chain.lending.encoding import Call
from chain.lending.fast_codec import function
from chain.models import ChainTransaction, Operation, PlatformWallet
from chain.rpc.clients import ChainClient, RpcError, get_client
from chain.rpc.provider import web3_over
from chain.rpc.reading import read_from_chain
from chain.states import FINAL_OPERATION_STATES, LIVE_TRANSACTION_STATES
from chain.wallet.signer import signing_address
from partner_platform.core.database.transactions import run_in_transaction


class RotationRefused(Exception):
    """The step is not possible yet; the message says why."""


@dataclass(frozen=True)
class ExecutorView:
    """An executor as the chain shows it now; amounts in base units."""

    address: str
    usdc: str
    is_paused: bool
    usdc_balance: int
    allows: dict[str, bool] = field(default_factory=dict)  # by wallet: may it send bundles?


def inspect_executor(executor: str, wallets: list[str]) -> ExecutorView:
    """Read an executor. Raises `RotationRefused` where none is at the address, `ChainUnavailable`."""
    [code] = read_from_chain(("eth_getCode", [executor, "latest"]))
    if len(code) <= len("0x"):
        raise RotationRefused(f"there is no contract at {executor}")
    w3 = web3_over(get_client())
    contract = contract_at("PlatformExecutor", executor, w3).functions
    usdc = contract_at("MockUSDC", settings.USDC_ADDRESS, w3).functions
    views = [contract.usdc(), contract.paused(), usdc.balanceOf(executor), *map(contract.isOperator, wallets)]
    try:
        pays, is_paused, balance, *allowed = call_together(w3, views)
    except (RpcError, BadFunctionCallOutput) as error:
        raise RotationRefused(f"the contract at {executor} is no PlatformExecutor") from error
    return ExecutorView(
        address=executor,
        usdc=pays,
        is_paused=is_paused,
        usdc_balance=balance,
        allows=dict(zip(wallets, allowed, strict=True)),
    )


def executors_in_use() -> list[str]:
    """The configured executor, and every other one that has open operations."""
    return [
        address for address in selectors.executor_addresses() if address == _configured() or open_operations(address)
    ]


def open_operations(executor: str) -> int:
    """How many operations of the executor are not final, or not acted on by their owner."""
    mine = Operation.objects.filter(executor=executor, chain_id=settings.CHAIN_ID)
    unfinished = mine.exclude(state__in=FINAL_OPERATION_STATES).count()
    return unfinished + mine.filter(state__in=FINAL_OPERATION_STATES, acknowledged__in=[False]).count()


def set_operator_calls(wallet: str, *, allowed: bool, executors: list[str]) -> list[Call]:
    """The calls that the owner signs so that a wallet may, or may no longer, send bundles to these executors; none for
    an executor where that is so already.
    """
    data = function("PlatformExecutor", "setOperator").encode(wallet, allowed)
    return [Call(to, 0, data) for to in executors if inspect_executor(to, [wallet]).allows[wallet] != allowed]


def require_key_is_unused(address: str, *, is_compromised: bool) -> None:
    """Refuse to retire a key that new transactions are signed with, or whose transactions are under way.

    The latter is allowed where the key is compromised: its transactions then revert as a whole, and their operations
    are queued again for the new key.
    """
    if signing_address() == address:
        raise RotationRefused(
            f"{address} signs still: set PLATFORM_PRIVATE_KEY to the new key, add the old one to"
            " PLATFORM_RETIRED_PRIVATE_KEYS, and restart the workers"
        )
    wallet = PlatformWallet.objects.filter(address=address, chain_id=settings.CHAIN_ID).first()
    if wallet is None or is_compromised:
        return
    live = ChainTransaction.objects.filter(wallet=wallet, state__in=LIVE_TRANSACTION_STATES).count()
    if live:
        raise RotationRefused(f"{live} transactions of {address} are under way: wait, or say --compromised")
    if any(retired.pk == wallet.pk for retired in selectors.retired_wallets()):
        raise RotationRefused(f"not all that {address} sent is final: wait, or say --compromised")


def require_can_replace(view: ExecutorView, wallet: str) -> None:
    """Refuse an executor that pays another token, is paused, or does not accept the wallet."""
    if view.usdc.lower() != settings.USDC_ADDRESS.lower():
        raise RotationRefused(f"it pays {view.usdc}, the platform {settings.USDC_ADDRESS}")
    if view.is_paused:
        raise RotationRefused("it is paused")
    if not view.allows[wallet]:
        raise RotationRefused(f"it does not take bundles of {wallet}: its owner must call setOperator")


def require_executor_is_unused(address: str) -> None:
    """Refuse to retire the configured executor, or one that operations are open on."""
    if address == _configured():
        raise RotationRefused("PLATFORM_EXECUTOR_ADDRESS names it still")
    if count := open_operations(address):
        raise RotationRefused(f"{count} operations that were promised to it are open")


def follow_executors(*addresses: str) -> None:
    """Follow the events of these executors, from before the settings change."""
    for address in addresses:
        try:
            follow_executor(address)
        except CursorMoved as moved:
            raise RotationRefused(f"the events of {address} cannot be followed yet, try again: {moved}") from moved


@needs(Right.ROTATE_PLATFORM_KEYS)
def record_rotation(action: str, target: str, *, actor: str, **after: object) -> None:
    """The audit entry of a step."""
    run_in_transaction(lambda: record_change(actor=actor, action=action, target=target, after=dict(after)))


def gas_money(client: ChainClient, address: str) -> int:
    """What the address can pay gas with, in wei."""
    answer = client.call("eth_getBalance", [address, "latest"])
    return 0 if isinstance(answer, RpcError) else int(answer, 16)


def _configured() -> str:
    return str(settings.PLATFORM_EXECUTOR_ADDRESS)
