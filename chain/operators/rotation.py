"""The platform's key and its executor, replaced while loans are under way.

Whatever was promised to an executor is done by that one, and whatever a wallet sent is followed to its end under that
wallet, also when the settings name others (`Operation.executor`, `ChainTransaction.wallet`). So a rotation is three
steps: the new one is allowed, the settings change, and the old one is retired once nothing of it is open. These
functions say what stands in the way of each, and make the calls that the executor's owner signs. Source:
docs/settlement.md, "Rotating the key, replacing the executor".
"""

from dataclasses import dataclass, field

from django.conf import settings

from audit.services import record_change
from chain import selectors
from chain.events.cursor import CursorMoved
from chain.events.new_executors import follow_executor
from chain.lending.encoding import Call, encode_call
from chain.models import ChainTransaction, Operation, PlatformWallet
from chain.rpc.clients import ChainClient, RpcError, get_client
from chain.rpc.reading import read
from chain.states import FINAL_OPERATION_STATES, LIVE_TRANSACTION_STATES
from chain.wallet.signer import signing_address
from partner_platform.core.database.transactions import run_in_transaction


class RotationRefused(Exception):
    """Something stands in the way; the message says what."""


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
    views = [
        (executor, "usdc()", []),
        (executor, "paused()", []),
        (settings.USDC_ADDRESS, "balanceOf(address)", [executor]),
        *[(executor, "isOperator(address)", [wallet]) for wallet in wallets],
    ]
    [code] = read(("eth_getCode", [executor, "latest"]))
    if len(code) <= len("0x"):
        raise RotationRefused(f"there is no contract at {executor}")
    calls = [("eth_call", [{"to": to, "data": encode_call(name, args)}, "latest"]) for to, name, args in views]
    answers = get_client().batch(calls)
    if any(isinstance(answer, RpcError) or len(answer) <= len("0x") for answer in answers):
        raise RotationRefused(f"the contract at {executor} is no PlatformExecutor")
    usdc, paused, balance, *allowed = answers
    return ExecutorView(
        address=executor,
        usdc="0x" + usdc[-40:],
        is_paused=bool(int(paused, 16)),
        usdc_balance=int(balance, 16),
        allows={wallet: bool(int(answer, 16)) for wallet, answer in zip(wallets, allowed, strict=True)},
    )


def executors_in_use() -> list[str]:
    """The configured executor, and those that operations which are not finished were promised to."""
    return [
        address for address in selectors.executor_addresses() if address == _configured() or open_operations(address)
    ]


def open_operations(executor: str) -> int:
    """How many operations that were promised to the executor are not finished, or not acted on by their owner."""
    mine = Operation.objects.filter(executor=executor, chain_id=settings.CHAIN_ID)
    unfinished = mine.exclude(state__in=FINAL_OPERATION_STATES).count()
    return unfinished + mine.filter(state__in=FINAL_OPERATION_STATES, acknowledged__in=[False]).count()


def set_operator_calls(wallet: str, *, allowed: bool, executors: list[str]) -> list[Call]:
    """What the owner signs so that a wallet may send bundles to these executors, or may not any more; only what changes
    something.
    """
    data = encode_call("setOperator(address,bool)", [wallet, allowed])
    return [Call(to, 0, data) for to in executors if inspect_executor(to, [wallet]).allows[wallet] != allowed]


def require_key_is_unused(address: str, *, is_compromised: bool) -> None:
    """Refuse to retire a key that new transactions are signed with, or whose transactions are under way.

    Where it is compromised the second is no reason: what is under way reverts as a whole, and is queued again for the
    new key.
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
    """Refuse an executor that could not do the platform's work."""
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
    """See to it that the events of these executors are followed, before and after the settings change."""
    for address in addresses:
        try:
            follow_executor(address)
        except CursorMoved as moved:
            raise RotationRefused(f"the events of {address} cannot be followed yet, try again: {moved}") from moved


def record_rotation(action: str, target: str, *, actor: str, **after: object) -> None:
    """The audit entry of a step."""
    run_in_transaction(lambda: record_change(actor=actor, action=action, target=target, after=dict(after)))


def gas_money(client: ChainClient, address: str) -> int:
    """What the address can pay gas with, in wei."""
    answer = client.call("eth_getBalance", [address, "latest"])
    return 0 if isinstance(answer, RpcError) else int(answer, 16)


def _configured() -> str:
    return str(settings.PLATFORM_EXECUTOR_ADDRESS)
