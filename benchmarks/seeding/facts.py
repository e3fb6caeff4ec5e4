"""Values that the seeded rows and the chain's storage share: users' wallets, block hashes, order and time."""

import datetime as dt
from functools import cache

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from benchmarks.seeding.history import ChainPlace
from loans.chain_order import order_of

OAID_LIMIT = 10**12  # of each seeded OAID, base units


@cache
def user_of(position: int) -> str:
    """The wallet of a seeded position's user."""
    return str(to_checksum_address(keccak(text=f"seeded user {position}")[-20:]))


def seeded_block_hash(number: int) -> str:
    """Of a block of the seeded past, which no chain has."""
    return f"0x5eed{number:060x}"


def order_at(place: ChainPlace) -> int:
    """The place as one number that grows along the chain."""
    return order_of(place.block, place.log)


def time_at(place: ChainPlace) -> dt.datetime:
    """The time of the block, in UTC."""
    return dt.datetime.fromtimestamp(place.moment, dt.UTC)
