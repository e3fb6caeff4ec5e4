"""What there is on a sandbox chain: contracts, the platform account, users with credit, funded partners."""

from dataclasses import asdict, dataclass
from typing import Any

from sandbox.keys import key_pair


@dataclass(frozen=True)
class SandboxUser:
    """A holder of an OAID whose key we know. `credit_limit` in USDC base units."""

    wallet: str
    private_key: str
    oaid_token_id: int
    position_id: int
    credit_limit: int


@dataclass(frozen=True)
class Settlement:
    """A partner's settlement address, with USDC and an allowance for the platform account."""

    partner_id: str
    address: str
    private_key: str


@dataclass(frozen=True)
class World:
    """Everything on the chain that the platform and its tests need to know."""

    addresses: dict[str, str]  # oaid, vault, pool, usdc, collateral, executor, operator, treasury, deployer
    users: list[SandboxUser]
    settlements: list[Settlement]

    def environment(self) -> dict[str, str]:
        """The settings that point a process at this world."""
        return {
            "OAID_ADDRESS": self.addresses["oaid"],
            "SOLVENCY_VAULT_ADDRESS": self.addresses["vault"],
            "SENIOR_POOL_ADDRESS": self.addresses["pool"],
            "USDC_ADDRESS": self.addresses["usdc"],
            "PLATFORM_EXECUTOR_ADDRESS": self.addresses["executor"],
            "PLATFORM_PRIVATE_KEY": key_pair("operator").private_key,
        }

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "World":
        return cls(
            addresses=data["addresses"],
            users=[SandboxUser(**user) for user in data["users"]],
            settlements=[Settlement(**settlement) for settlement in data["settlements"]],
        )
