"""Sets up a fresh sandbox chain: contracts, the platform account, users with credit, funded partners.

The sandbox and the tests use the same function. The chain is an anvil that mines automatically meanwhile.
"""

from collections.abc import Iterable

from django.conf import settings

from chain.lending import deployment
from chain.lending.encoding import Call
from chain.lending.fast_codec import function
from chain.rpc.clients import get_client
from partner_platform.core.money import BASE_UNITS_PER_DOLLAR
from sandbox.keys import key_pair
from sandbox.world import SandboxPartner, SandboxUser, World

SETTLEMENT_USDC = 250_000 * BASE_UNITS_PER_DOLLAR
CREDIT_LINES = ((10_000, "RWA"), (50_000, "RWA"), (100_000, "PRIVATE_ASSET"))  # dollars, kind of collateral
OPERATOR_GAS_MONEY_WEI = 1_000 * deployment.ETHER
UNLIMITED = 2**256 - 1


def build_world(*, partners: Iterable[str]) -> World:
    """Deploy and set up everything on the chain of the settings; `partners` are their public ids."""
    client = get_client()
    actors = {name: key_pair(name) for name in ("deployer", "operator", "treasury")}
    deployment.ensure_gas_money(client=client, address=actors["operator"].address, wei=OPERATOR_GAS_MONEY_WEI)
    system = deployment.deploy_system(client=client, deployer_key=actors["deployer"].private_key)
    executor = deployment.deploy_executor(
        client=client,
        owner_key=actors["deployer"].private_key,
        operator_address=actors["operator"].address,
        treasury=actors["treasury"].address,
        usdc=system["usdc"],
    )
    anchor = deployment.deploy_audit_anchor(client=client, key=actors["deployer"].private_key)
    accounts = {name: pair.address for name, pair in actors.items()}
    return World(
        contracts={**system, "platformExecutor": executor, "auditAnchor": anchor},
        accounts=accounts,
        users=[_open_user(number, system, executor) for number in range(1, len(CREDIT_LINES) + 1)],
        partners=[fund_partner(partner_id, usdc=system["usdc"], executor=executor) for partner_id in partners],
    )


def _open_user(number: int, system: deployment.System, executor: str) -> SandboxUser:
    dollars, token_type = CREDIT_LINES[number - 1]
    pair = key_pair(f"user-{number}")
    token_id, position_id = deployment.open_sandbox_position(
        client=get_client(),
        system=system,
        user_key=pair.private_key,
        credit_limit=dollars * BASE_UNITS_PER_DOLLAR,
        token_type=token_type,
        executor=executor,
    )
    return SandboxUser(pair.address, pair.private_key, token_id, position_id, dollars * BASE_UNITS_PER_DOLLAR)


def fund_partner(partner_id: str, *, usdc: str = "", executor: str = "") -> SandboxPartner:
    """A settlement address with USDC that the executor may pull; both contracts are the settings' by default."""
    usdc, executor = usdc or settings.USDC_ADDRESS, executor or settings.PLATFORM_EXECUTOR_ADDRESS
    client, pair = get_client(), key_pair(f"settlement:{partner_id}")
    deployment.ensure_gas_money(client=client, address=pair.address)
    mint = Call(usdc, 0, function("MockUSDC", "mint").encode(pair.address, SETTLEMENT_USDC))
    approve = Call(usdc, 0, function("MockUSDC", "approve").encode(executor, UNLIMITED))
    deployment.send(client=client, key=key_pair("deployer").private_key, calls=[mint])
    deployment.send(client=client, key=pair.private_key, calls=[approve])
    return SandboxPartner(partner_id, pair.address, pair.private_key)
