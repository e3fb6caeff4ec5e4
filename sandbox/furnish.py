"""What a fresh sandbox chain is furnished with: contracts, the platform account, users with credit, funded partners.

The sandbox and the tests furnish theirs with the same function. The chain is an anvil that mines by itself meanwhile.
"""

from collections.abc import Iterable

from chain.encoding import encode_call

from chain import deployment
from chain.clients import get_client
from partner_platform.core.money import BASE_UNITS_PER_DOLLAR
from sandbox.keys import key_pair
from sandbox.servers import anvil
from sandbox.world import SandboxUser, Settlement, World

GAS_MONEY_WEI = 10_000 * 10**18
SETTLEMENT_USDC = 250_000 * BASE_UNITS_PER_DOLLAR
CREDIT_LINES = ((10_000, "RWA"), (50_000, "RWA"), (100_000, "PRIVATE_ASSET"))  # dollars, kind of collateral
UNLIMITED = 2**256 - 1


def build_world(*, port: int, partners: Iterable[str]) -> World:
    """Deploy and furnish everything on the anvil at `port`, to which the settings' client also talks."""
    actors = {name: key_pair(name) for name in ("deployer", "operator", "treasury")}
    for name in ("deployer", "operator"):
        _give_gas(port, actors[name].address)
    client = get_client()
    system = deployment.deploy_system(client, actors["deployer"].private_key)
    executor = deployment.deploy_executor(
        client, actors["deployer"].private_key, actors["operator"].address, system["usdc"], actors["treasury"].address
    )
    addresses = {**system, "executor": executor} | {name: pair.address for name, pair in actors.items()}
    return World(
        addresses=addresses,
        users=[_open_user(port, number, addresses) for number in range(1, len(CREDIT_LINES) + 1)],
        settlements=[_fund_settlement(port, partner_id, addresses) for partner_id in partners],
    )


def _open_user(port: int, number: int, addresses: dict[str, str]) -> SandboxUser:
    dollars, token_type = CREDIT_LINES[number - 1]
    pair = key_pair(f"user-{number}")
    _give_gas(port, pair.address)
    token_id, position_id = deployment.open_sandbox_position(
        get_client(), addresses, pair.private_key, dollars * BASE_UNITS_PER_DOLLAR, token_type, addresses["executor"]
    )
    return SandboxUser(pair.address, pair.private_key, token_id, position_id, dollars * BASE_UNITS_PER_DOLLAR)


def _fund_settlement(port: int, partner_id: str, addresses: dict[str, str]) -> Settlement:
    pair = key_pair(f"settlement:{partner_id}")
    _give_gas(port, pair.address)
    mint = encode_call("mint(address,uint256)", [pair.address, SETTLEMENT_USDC])
    approve = encode_call("approve(address,uint256)", [addresses["executor"], UNLIMITED])
    _send_as(port, addresses["deployer"], addresses["usdc"], mint)
    _send_as(port, pair.address, addresses["usdc"], approve)
    return Settlement(partner_id, pair.address, pair.private_key)


def _give_gas(port: int, address: str) -> None:
    anvil.rpc(port, "anvil_setBalance", address, hex(GAS_MONEY_WEI))


def _send_as(port: int, sender: str, to: str, data: str) -> None:
    """A transaction that anvil accepts without a signature: furnishing, not a flow of the platform."""
    anvil.rpc(port, "anvil_impersonateAccount", sender)
    tx_hash = anvil.rpc(port, "eth_sendTransaction", {"from": sender, "to": to, "data": data})
    receipt = anvil.rpc(port, "eth_getTransactionReceipt", tx_hash)
    anvil.rpc(port, "anvil_stopImpersonatingAccount", sender)
    if receipt is None or int(receipt["status"], 16) != 1:
        raise anvil.NodeRefused(f"furnishing the sandbox chain failed: {tx_hash} from {sender} to {to}")
