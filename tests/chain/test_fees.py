"""Bids: never below what a node takes as a replacement, never above the cap."""

from hypothesis import given
from hypothesis import strategies as st

from chain.wallet.fees import Fees, Market, bump_fees, quote_fees

GWEI = 10**9
wei = st.integers(min_value=0, max_value=10**15)


def test_the_first_bid_has_room_for_a_doubled_base_fee() -> None:
    assert quote_fees(Market(base_fee=10 * GWEI, tip=GWEI), cap=500 * GWEI) == Fees(max_fee=21 * GWEI, tip=GWEI)


def test_the_first_bid_stops_at_the_cap_and_waits_where_the_base_fee_is_above_it() -> None:
    assert quote_fees(Market(base_fee=10 * GWEI, tip=GWEI), cap=15 * GWEI) == Fees(max_fee=15 * GWEI, tip=GWEI)
    assert quote_fees(Market(base_fee=16 * GWEI, tip=GWEI), cap=15 * GWEI) is None


def test_a_bump_is_an_eighth_more_rounded_up() -> None:
    assert bump_fees(Fees(max_fee=1001, tip=9), Market(base_fee=0, tip=0), cap=10**6) == Fees(max_fee=1127, tip=11)


def test_a_bump_of_nothing_is_one_wei() -> None:
    assert bump_fees(Fees(max_fee=1, tip=0), Market(base_fee=0, tip=0), cap=10**6) == Fees(max_fee=2, tip=1)


def test_a_bump_follows_the_market_where_that_is_higher() -> None:
    assert bump_fees(Fees(max_fee=10, tip=1), Market(base_fee=100, tip=7), cap=10**6) == Fees(max_fee=207, tip=7)


def test_a_bump_above_the_cap_is_no_bump() -> None:
    assert bump_fees(Fees(max_fee=100, tip=1), Market(base_fee=0, tip=0), cap=112) is None
    assert bump_fees(Fees(max_fee=100, tip=1), Market(base_fee=0, tip=0), cap=113) == Fees(max_fee=113, tip=2)


@given(fee=wei, tip=wei, base=wei, market_tip=wei, cap=wei)
def test_any_bump_replaces_the_best_and_respects_the_cap(
    fee: int, tip: int, base: int, market_tip: int, cap: int
) -> None:
    best = Fees(max_fee=max(fee, tip), tip=tip)
    raised = bump_fees(best, Market(base_fee=base, tip=market_tip), cap=cap)
    if raised is None:
        return
    assert raised.tip <= raised.max_fee <= cap
    for new, old in ((raised.max_fee, best.max_fee), (raised.tip, best.tip)):
        assert new * 1000 >= old * 1125
        assert new > old


@given(base=wei, tip=wei, cap=wei)
def test_any_quote_pays_the_base_fee_and_respects_the_cap(base: int, tip: int, cap: int) -> None:
    fees = quote_fees(Market(base_fee=base, tip=tip), cap=cap)
    assert (fees is None) == (base > cap)
    if fees is not None:
        assert base <= fees.max_fee <= cap
        assert fees.tip <= fees.max_fee
