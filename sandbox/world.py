"""What there is on a sandbox chain: contracts, the platform account, users with credit, funded partners."""

from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.keys import key_pair

ADMIN = "admin"
STAFF = ("maker", "checker")  # one asks for a change, the other approves it


@dataclass(frozen=True)
class SandboxUser:
    """A holder of an OAID whose key we know. `credit_limit` in USDC base units."""

    wallet: str
    private_key: str
    oaid_token_id: int
    position_id: int
    credit_limit: int


@dataclass(frozen=True)
class SandboxPartner:
    """A partner's settlement address: it holds USDC and gave the platform account an allowance."""

    partner_id: str
    settlement_address: str
    settlement_private_key: str


@dataclass(frozen=True)
class World:
    """Everything on the chain that the platform and its tests need to know."""

    contracts: dict[str, str]  # usdc, collateralToken, …, platformExecutor, auditAnchor
    accounts: dict[str, str]  # deployer (owns the contracts), operator (the platform's signing key), treasury
    users: list[SandboxUser]
    partners: list[SandboxPartner]

    def environment(self) -> dict[str, str]:
        """The settings that point a process at this world."""
        return {
            "OAID_ADDRESS": self.contracts["oaid"],
            "SOLVENCY_VAULT_ADDRESS": self.contracts["solvencyVault"],
            "SENIOR_POOL_ADDRESS": self.contracts["seniorPool"],
            "USDC_ADDRESS": self.contracts["usdc"],
            "PLATFORM_EXECUTOR_ADDRESS": self.contracts["platformExecutor"],
            "AUDIT_ANCHOR_ADDRESS": self.contracts.get("auditAnchor", ""),  # a world of an older sandbox has none
            "PLATFORM_PRIVATE_KEY": key_pair("operator").private_key,
        }

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "World":
        return cls(
            contracts=data["contracts"],
            accounts=data["accounts"],
            users=[SandboxUser(**user) for user in data["users"]],
            partners=[SandboxPartner(**partner) for partner in data["partners"]],
        )


@dataclass(frozen=True)
class Accounts:
    """Who can sign in: API keys by partner id, the staff user's password (empty: not known), the passwords of `STAFF`
    by user name (empty: there are none).
    """

    api_keys: dict[str, str]
    admin_password: str
    staff: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Accounts":
        """What a run's state.json knows; nothing where there was none."""
        return cls(
            api_keys={partner["partnerId"]: partner["apiKey"] for partner in state.get("partners", [])},
            admin_password=state.get("admin", {}).get("password", ""),
            staff={person["username"]: person["password"] for person in state.get("staff", [])},
        )
