"""What a transaction bids for its place in a block. Pure; every amount is in wei per gas."""

from dataclasses import dataclass

# Nodes take a replacement from +10 % on; an eighth leaves room for those that ask for 12.5 % (blob pools, some forks).
BUMP_NUMERATOR = 9
BUMP_DENOMINATOR = 8
BASE_FEE_HEADROOM = 2  # the base fee can double within six full blocks


@dataclass(frozen=True)
class Fees:
    """An EIP-1559 bid."""

    max_fee: int
    tip: int


@dataclass(frozen=True)
class Market:
    """The fees of the next block: base fee, and the tip that the node suggests."""

    base_fee: int
    tip: int

    @property
    def bid(self) -> Fees:
        """A bid that stays valid for several full blocks."""
        return Fees(max_fee=BASE_FEE_HEADROOM * self.base_fee + self.tip, tip=self.tip)


def quote_fees(market: Market, *, cap: int) -> Fees | None:
    """The first bid of a transaction, at most `cap`; None where the base fee alone is above it."""
    if market.base_fee > cap:
        return None
    max_fee = min(market.bid.max_fee, cap)
    return Fees(max_fee=max_fee, tip=min(market.bid.tip, max_fee))


def bump_fees(best: Fees, market: Market, *, cap: int) -> Fees | None:
    """The next bid for the same nonce: max(market, ceil(1.125 * best), best + 1 wei), fee and tip alike; None above
    `cap`.
    """
    max_fee = max(market.bid.max_fee, _raised(best.max_fee))
    tip = max(market.bid.tip, _raised(best.tip))
    max_fee = max(max_fee, tip)
    if max_fee > cap:
        # The headroom is optional, the raise is not: bid the cap where that is still a valid replacement.
        max_fee = cap
        tip = min(tip, cap)
        if max_fee < _raised(best.max_fee) or tip < _raised(best.tip):
            return None
    return Fees(max_fee=max_fee, tip=tip)


def _raised(amount: int) -> int:
    return max(-(-amount * BUMP_NUMERATOR // BUMP_DENOMINATOR), amount + 1)
