"""The world that the API is tried in: the chain, a partner with hardly a limit, a settlement after each acceptance."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.fuzzing import World
from tests.loans.conftest import PartnerClient, make_client, settle

__all__ = ["make_client", "settle"]

DOLLAR = 10**6
NO_LIMIT = 10**9


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
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "ENTERPRISE": NO_LIMIT, "PUBLIC": NO_LIMIT}
    limits = {"daily_borrow_limit": str(10**6 * DOLLAR), "total_borrow_limit": str(10**6 * DOLLAR)}
    world = World(
        make_lender=lambda: make_client(tier="ENTERPRISE", **limits),
        users=chain.users,
        settle=settle,
        counts=api_counts,
    )
    world.begin()
    return world
