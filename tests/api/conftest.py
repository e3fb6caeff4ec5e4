"""The world that the API is tried in: the chain, a partner with hardly a limit, a settlement after each acceptance."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from eth_utils.address import to_checksum_address

from partners.models import ApiKey, Scope
from tests.api.fuzzing import World
from tests.factories import DOLLAR
from tests.loans.conftest import PartnerClient, make_client, settle
from tests.support.actors import approve_usdc, fund_usdc

__all__ = ["make_client", "settle"]

NO_LIMIT = 10**9
GAS_MONEY_WEI = 10**18
FIRST_ADDRESS = 0xA11CE << 128


@pytest.fixture
def world(
    chain: Any,
    make_client: Callable[..., PartnerClient],
    settle: Callable[[], None],
    settings: Any,
    api_counts: Counter[str],
) -> World:
    """Nothing waits for a settlement, nobody is over a rate limit, and three users have their credit lines."""
    settings.SETTLEMENT_WAIT_SECONDS = 0
    settings.RATELIMIT_ENABLE = False  # of wrong sign-ins: all that are tried here are wrong
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "ENTERPRISE": NO_LIMIT, "PUBLIC": NO_LIMIT}
    limits = {"daily_borrow_limit": str(10**6 * DOLLAR), "total_borrow_limit": str(10**6 * DOLLAR)}
    numbers = itertools.count()

    def make_lender() -> PartnerClient:
        """At an address of its own, for that is one partner's for ever; repayments can be pulled from it."""
        address = to_checksum_address(f"0x{FIRST_ADDRESS + next(numbers):040x}")
        chain.rpc("anvil_setBalance", address, hex(GAS_MONEY_WEI))
        fund_usdc(chain, address, 1_000_000 * DOLLAR)
        approve_usdc(chain, address, 2**256 - 1)
        client = make_client(tier="ENTERPRISE", settlement_address=address, **limits)
        ApiKey.objects.filter(partner=client.partner).update(scopes=list(Scope.values))
        return client

    world = World(
        make_lender=make_lender,
        users=chain.users,
        settle=settle,
        counts=api_counts,
    )
    world.begin()
    return world
