"""System checks of the chain's settings; none of them asks the network."""

from django.conf import settings
from django.core.checks import CheckMessage, Error

from partner_platform.core.ethereum import ZERO_ADDRESS, parse_address

ADDRESS_SETTINGS = (
    "OAID_ADDRESS",
    "SOLVENCY_VAULT_ADDRESS",
    "SENIOR_POOL_ADDRESS",
    "USDC_ADDRESS",
    "PLATFORM_EXECUTOR_ADDRESS",
    "AUDIT_ANCHOR_ADDRESS",
)


def check_chain_settings(**_: object) -> list[CheckMessage]:
    """Each configured address must be one. Unset is allowed: some commands (deploy_executor) come before the
    addresses.
    """
    return [message for name in ADDRESS_SETTINGS if (message := _check_address(name)) is not None]


def _check_address(name: str) -> CheckMessage | None:
    value = getattr(settings, name)
    if not value:
        return None
    try:
        parsed = parse_address(value)
    except ValueError as error:
        return Error(f"{name}: {error}", id="chain.E001")
    return Error(f"{name} is the zero address.", id="chain.E002") if parsed == ZERO_ADDRESS else None
