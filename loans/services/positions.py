"""The mirror of collateral positions, and what partners lent against each."""

from contextlib import suppress

from django.db import IntegrityError

from chain import system
from chain.system import PositionReading
from loans.models import SolvencyPosition


def ensure_mirrored(position_ids: set[int]) -> None:
    """Make a row for each position that has none, from the chain; to be called outside a transaction."""
    known = set(
        SolvencyPosition.objects.filter(position_id__in=sorted(position_ids)).values_list("position_id", flat=True)
    )
    for position_id in sorted(position_ids - known):
        reading = system.read_position(position_id)
        if reading is not None:
            _create(reading)


def _create(reading: PositionReading) -> None:
    with suppress(IntegrityError):  # another worker mirrored it at the same moment
        SolvencyPosition.objects.create(
            position_id=reading.position_id,
            oaid_token_id=reading.oaid_token_id,
            user_wallet=reading.user,
            collateral_token=reading.collateral_token,
            collateral_amount=reading.collateral_amount,
            collateral_value_usd=reading.collateral_value_usd,
            usdc_borrowed=reading.usdc_borrowed,
            token_type=reading.token_type,
            active=reading.active,
            synced_block=reading.block_number,
        )
