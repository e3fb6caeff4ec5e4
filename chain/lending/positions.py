"""A collateral position as the vault returns it."""

from dataclasses import dataclass

from django.conf import settings

from chain.lending.fast_codec import WORD, Undecodable, checksummed, function
from chain.lending.views import View
from partner_platform.core.collateral import TOKEN_TYPES
from partner_platform.core.ethereum import ZERO_ADDRESS

_POSITIONS = function("SolvencyVault", "positions")


@dataclass(frozen=True)
class VaultPosition:
    """What the vault keeps of a position; `usdc_borrowed` is its debt in base units, interest included."""

    user: str
    oaid_token_id: int
    collateral_token: str
    collateral_amount: int
    collateral_value_usd: int
    usdc_borrowed: int
    active: bool
    token_type: str


def position_view(position_id: int) -> View:
    """The call that reads a position."""
    return View(settings.SOLVENCY_VAULT_ADDRESS, _POSITIONS, (position_id,))


def decode_position(returned: str) -> VaultPosition | None:
    """The position, None where there is none; `Undecodable` where another contract returned this."""
    if len(returned) != len("0x") + 2 * WORD * len(_POSITIONS.outputs):  # each value is one word
        raise Undecodable("what the vault returned is no position")
    user, token, amount, value, debt, oaid_token_id, token_type, active = _POSITIONS.decode(returned)
    if user == ZERO_ADDRESS:
        return None
    if token_type >= len(TOKEN_TYPES):
        raise Undecodable(f"a position of an unknown kind of collateral, {token_type}")
    return VaultPosition(
        user=checksummed(user),
        oaid_token_id=oaid_token_id,
        collateral_token=checksummed(token),
        collateral_amount=amount,
        collateral_value_usd=value,
        usdc_borrowed=debt,
        active=active,
        token_type=TOKEN_TYPES[token_type],
    )
