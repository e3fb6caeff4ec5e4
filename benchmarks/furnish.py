"""Large positions and a partner whose limits do not limit, for benchmarks."""

from chain.lending import deployment
from chain.lending.encoding import Call, encode_call
from chain.rpc.clients import get_client
from partners.services import create_partner
from sandbox.furnish import build_world
from sandbox.keys import key_pair
from sandbox.world import SandboxUser, World

CREDIT = 1_000_000 * 10**6
UNLIMITED = str(10**15)


def furnish(*, users: int) -> World:
    """The sandbox's world with `users` positions of $1,000,000, also open to two accounts of the benchmark."""
    world = build_world(partners=["bench"])
    client = get_client()
    literal, ceiling = (key_pair(label).address for label in ("literal", "ceiling"))
    for address in (literal, ceiling, world.accounts["operator"]):
        client.call("anvil_setBalance", [address, hex(100_000 * deployment.ETHER)])  # gas limits are bid in full
    contracts = world.contracts
    allow = Call(contracts["platformExecutor"], 0, encode_call("setOperator(address,bool)", [ceiling, True]))
    deployment.send(client=client, key=key_pair("deployer").private_key, calls=[allow])
    borrowers = [_open_user(number, contracts, literal) for number in range(users)]
    return World(contracts=contracts, accounts=world.accounts, users=borrowers, partners=world.partners)


def _open_user(number: int, contracts: dict[str, str], literal: str) -> SandboxUser:
    pair = key_pair(f"bench-user-{number}")
    client = get_client()
    token_id, position_id = deployment.open_sandbox_position(
        client=client,
        system=contracts,
        user_key=pair.private_key,
        credit_limit=CREDIT,
        token_type="RWA",  # noqa: S106
        executor=contracts["platformExecutor"],
    )
    allow = Call(contracts["solvencyVault"], 0, encode_call("setOperator(address,bool)", [literal, True]))
    deployment.send(client=client, key=pair.private_key, calls=[allow])
    return SandboxUser(pair.address, pair.private_key, token_id, position_id, CREDIT)


def create_bench_partner(world: World) -> str:
    """The partner's API key."""
    key = create_partner(
        actor="system:bench",
        partner_name="Bench",
        key_label="bench",
        tier="ENTERPRISE",
        daily_borrow_limit=UNLIMITED,
        total_borrow_limit=UNLIMITED,
        platform_fee_percentage=50,
        settlement_address=world.partners[0].settlement_address,
        contact_email="bench@example.com",
    ).api_key
    assert key is not None, "the benchmark runs in a sandbox"
    return key


def send_dust(world: World) -> None:
    """One base unit of USDC to the platform account, from nobody who is known."""
    usdc, account = world.contracts["usdc"], world.contracts["platformExecutor"]
    mint = Call(usdc, 0, encode_call("mint(address,uint256)", [account, 1]))
    deployment.send(client=get_client(), key=key_pair("deployer").private_key, calls=[mint])
