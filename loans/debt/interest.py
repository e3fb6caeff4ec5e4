"""What each loan of a position owes. Pure: the pool's own arithmetic, split over the loans so that M5 holds.

To the pool a position is one debt: principal P and exact interest A (base units * basis points * seconds), of which it
rounds up once, when it is read or paid: `debt = P + ceil(A / SCALE)`. A payment covers interest first; paying all of it
clears A, its rounded-up fraction included (`chain/contracts/SeniorPool.sol`). Here the debt is split into parts: one
for each loan in the order they were drawn, and one, the last, for what the user drew without a partner:

1. Parts grow exactly: a part's accrued interest is its principal * rate * seconds. Their exact sums are the pool's.
2. Rounding is cumulative: `interest_i = ceil(a_1 + … + a_i) - ceil(a_1 + … + a_(i-1))`, so the parts add up to
   the pool's figure to the base unit, and a lone loan owes exactly the pool's.
3. A payment reduces the debt of the loan it is for by its amount, and of no other. Where the pool took principal money
   for the interest of the others (it covers all of a position's interest first), the others' interest becomes principal
   that bears interest: they owe the same as before, and the pool charges for it from then on.
4. Fractions of a base unit that a payment leaves over go to the first part that has room, in order.

Source: docs/loans.md, Interest; M5.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

SCALE = 10_000 * 365 * 86_400  # SeniorPool.INTEREST_SCALE
OWN = "own"  # the part that no partner lent


@dataclass(frozen=True)
class Part:
    """A share of a position's debt: `principal` in base units bears interest, `accrued_scaled` is exact interest."""

    principal: int
    accrued_scaled: int = 0  # base units * basis points * seconds, as the pool counts: `SCALE` of it is a base unit

    def grown(self, rate_bps: int, seconds: int) -> "Part":
        """The same share with the interest of so many seconds more; a negative number of them changes nothing."""
        return Part(self.principal, self.accrued_scaled + self.principal * rate_bps * max(seconds, 0))


NOTHING = Part(0, 0)


@dataclass(frozen=True)
class PositionSums:
    """A position's debt at `since`, without its division: all that the pool counts, and the loans' part of that."""

    pool: Part
    loans: Part
    rate_bps: int
    since: int  # seconds since the epoch

    @property
    def pool_debt(self) -> int:
        """What the pool says the position owes at `since`, in base units."""
        return self.pool.principal + to_base_units(self.pool.accrued_scaled)

    def at(self, timestamp: int) -> "PositionSums":
        """The same debt grown until `timestamp`; an earlier one changes nothing."""
        seconds = timestamp - self.since
        pool, loans = self.pool.grown(self.rate_bps, seconds), self.loans.grown(self.rate_bps, seconds)
        return PositionSums(pool, loans, self.rate_bps, max(timestamp, self.since))


@dataclass(frozen=True)
class PositionDebt:
    """A position's debt at `since` by part, in the order of the draws."""

    parts: Mapping[str, Part]
    rate_bps: int
    since: int  # seconds since the epoch

    @property
    def principal(self) -> int:
        """The pool's principal."""
        return sum(part.principal for part in self.parts.values())

    @property
    def accrued_scaled(self) -> int:
        """The pool's exact interest."""
        return sum(part.accrued_scaled for part in self.parts.values())

    @property
    def total(self) -> int:
        """What the pool says the position owes at `since`, in base units."""
        return self.principal + to_base_units(self.accrued_scaled)

    def interests(self) -> dict[str, int]:
        """Interest of each part at `since` in base units; they add up to the pool's."""
        sums = accumulate((part.accrued_scaled for part in self.parts.values()), initial=0)
        return {
            key: to_base_units(upper) - to_base_units(lower)
            for key, (lower, upper) in zip(self.parts, pairwise(sums), strict=True)
        }

    def owed(self) -> dict[str, int]:
        """Debt of each part at `since` in base units; they add up to `total`."""
        return {key: self.parts[key].principal + interest for key, interest in self.interests().items()}


def to_base_units(accrued_scaled: int) -> int:
    """Exact interest in base units, rounded up for the pool."""
    return -(-accrued_scaled // SCALE)


def loan_debt(part: Part, prior: Part, rate_bps: int, seconds: int) -> int:
    """What a loan owes `seconds` after its figures were written; `prior` sums the parts drawn before it."""
    own, below = part.grown(rate_bps, seconds), prior.grown(rate_bps, seconds)
    upper = to_base_units(below.accrued_scaled + own.accrued_scaled)
    return own.principal + upper - to_base_units(below.accrued_scaled)


def after_draw(before: PositionSums, amount: int, *, by_loan: bool, pool_rate_bps: int) -> PositionSums:
    """The sums after a partner's loan, or the user alone, drew `amount`.

    The position keeps its rate until it owes nothing; the pool's of now holds where nothing was owed before.
    """
    loans = Part(before.loans.principal + amount, before.loans.accrued_scaled) if by_loan else before.loans
    return PositionSums(
        pool=Part(before.pool.principal + amount, before.pool.accrued_scaled),
        loans=loans,
        rate_bps=before.rate_bps if before.pool != NOTHING else pool_rate_bps,
        since=before.since,
    )


def sums_after_payment(sums: PositionSums, before: PositionDebt, after: PositionDebt) -> PositionSums:
    """The sums after a payment that brought the debt from `before` to `after`.

    Only the parts that the payment concerned need be in these: the loans' sums change by what those changed.
    """
    loans = [key for key in before.parts if key != OWN]
    old, new = [before.parts[key] for key in loans], [after.parts.get(key, NOTHING) for key in loans]
    return PositionSums(
        pool=Part(after.principal, after.accrued_scaled),
        loans=Part(
            sums.loans.principal + sum(part.principal for part in new) - sum(part.principal for part in old),
            sums.loans.accrued_scaled
            + sum(part.accrued_scaled for part in new)
            - sum(part.accrued_scaled for part in old),
        ),
        rate_bps=after.rate_bps,
        since=after.since,
    )


def allocate(owed: Mapping[str, int], order: Iterable[str], amount: int) -> dict[str, int]:
    """`amount` over the parts in this order, to each no more than it owes. What is above all of them is left out."""
    paid = {}
    for key in order:
        share = min(owed.get(key, 0), amount)
        if share:
            paid[key] = share
            amount -= share
    return paid


def after_payment(before: PositionDebt, payments: Mapping[str, int]) -> PositionDebt:
    """The debt after one payment to the pool of the sum of `payments`, each for its part and at most what that owes.

    A part that paid all it owed is gone.
    """
    interests, owed = before.interests(), before.owed()
    _require_within(payments, owed)
    amount = sum(payments.values())
    own_interest = {key: min(paid, interests[key]) for key, paid in payments.items()}
    principals = {
        key: part.principal - (payments.get(key, 0) - own_interest.get(key, 0)) for key, part in before.parts.items()
    }
    unpaid = {key: interest - own_interest.get(key, 0) for key, interest in interests.items()}
    covered = allocate(unpaid, before.parts, min(amount, sum(interests.values())) - sum(own_interest.values()))
    clears = amount >= sum(interests.values())
    left = {
        key: Part(
            principals[key] + covered.get(key, 0),
            0 if clears else part.accrued_scaled - (own_interest.get(key, 0) + covered.get(key, 0)) * SCALE,
        )
        for key, part in before.parts.items()
    }
    closed = [key for key, paid in payments.items() if paid == owed[key]]
    return PositionDebt(_tidied(left, closed), before.rate_bps, before.since)


def after_payoff(before: PositionDebt, key: str, amount: int) -> tuple[PositionDebt, dict[str, int]]:
    """The debt after `key` was paid off with `amount`, and who was credited with how much.

    `amount` was computed by the executor from the figures at acceptance. Where the user or another partner paid in
    between, it may be a few base units off: what is too much goes to the others in order, what is missing is theirs.
    """
    payments = allocate(before.owed(), [key, *(other for other in before.parts if other != key)], amount)
    after = after_payment(before, payments)
    rest = {other: part for other, part in after.parts.items() if other != key}
    if key in after.parts and rest:
        return PositionDebt(_tidied(dict(after.parts), [key]), after.rate_bps, after.since), payments
    return after, payments


def divide_recovered(debt: PositionDebt, recovered: int) -> dict[str, tuple[int, int]]:
    """What each part gets of `recovered` and what of it is lost, pro rata of what they owe, in base units."""
    owed = debt.owed()
    total = sum(owed.values())
    sums = pairwise(accumulate(owed.values(), initial=0))
    shares = {
        key: recovered * upper // total - recovered * lower // total
        for key, (lower, upper) in zip(owed, sums, strict=True)
        if total
    }
    return {key: (share, owed[key] - share) for key, share in shares.items()}


def _require_within(payments: Mapping[str, int], owed: Mapping[str, int]) -> None:
    for key, paid in payments.items():
        if not 0 < paid <= owed.get(key, 0):
            raise ValueError(f"{paid} was paid for {key}, which owes {owed.get(key, 0)}")


def _tidied(parts: dict[str, Part], closed: Sequence[str]) -> dict[str, Part]:
    """Without the closed ones, whose leftovers (fractions of a unit) go to the first that stays; nobody below zero."""
    leftover = Part(
        sum(parts[key].principal for key in closed if key in parts),
        sum(parts[key].accrued_scaled for key in closed if key in parts),
    )
    stay = {key: part for key, part in parts.items() if key not in closed}
    for key, part in stay.items():
        if leftover != NOTHING:
            part = Part(part.principal + leftover.principal, part.accrued_scaled + leftover.accrued_scaled)  # noqa: PLW2901
            leftover = NOTHING
        if part.accrued_scaled < 0:
            leftover = Part(0, part.accrued_scaled)
            part = Part(part.principal, 0)  # noqa: PLW2901
        stay[key] = part
    if leftover != NOTHING and stay:
        return _tidied(stay | {"": leftover}, [""])  # once more from the front: the sum is never below zero
    return {key: part for key, part in stay.items() if part != NOTHING}
