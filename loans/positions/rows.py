"""The mirror of collateral positions: a row of ours for each, made from a reading where no event made it."""

import logging
from collections.abc import Iterable
from contextlib import suppress

from django.db import IntegrityError

from chain.lending import readings
from chain.lending.readings import PositionReading, ReadingRefused
from chain.rpc.clients import ChainUnavailable
from loans.models import SolvencyPosition
from partner_platform.core.database.batches import batched

logger = logging.getLogger(__name__)


def ensure_mirrored(position_ids: set[int]) -> None:
    """Make a row for each position that has none, from the chain; to be called outside a transaction.

    One that cannot be read stays without a row, and does not keep the others from theirs.
    """
    known = set(rows_of(position_ids))
    for position_id in sorted(position_ids - known):
        try:
            reading = readings.read_position(position_id)
        except ReadingRefused as error:
            logger.warning("position %d cannot be read: %s", position_id, error)
        except ChainUnavailable:
            raise  # nothing is known of any of them
        except Exception:
            logger.exception("position %d cannot be read", position_id)
        else:
            if reading is not None:
                _create(reading)


def mirrored(position_ids: set[int]) -> dict[int, SolvencyPosition]:
    """The rows of these positions, made where there was none; without those that the chain does not show now."""
    rows = rows_of(position_ids)
    if missing := position_ids - set(rows):
        try:
            ensure_mirrored(missing)
        except ChainUnavailable as error:
            logger.warning("%d positions are mirrored later: %s", len(missing), error)
        rows |= rows_of(missing)
    return rows


def rows_of(position_ids: Iterable[int]) -> dict[int, SolvencyPosition]:
    """The rows that these positions have."""
    found: dict[int, SolvencyPosition] = {}
    for ids in batched(sorted(position_ids)):
        found |= {row.position_id: row for row in SolvencyPosition.objects.filter(position_id__in=ids)}
    return found


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
