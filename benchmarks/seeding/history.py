"""What happened in the year, in the order of time: which loans were drawn, how each was paid. Pure, always the same.

Twenty loans on a position, lent by two partners: ten are repaid (two of them in two parts), eight run (two of them
paid in part), one is in default, one failed. Every hundredth position was liquidated in the year's last week; every
250th has one more loan that waits for its operation. No interest runs, as in the sandbox: a position owes its loans'
principal. It is told in the order of time because tables are written in that order, and reads depend on it: what
belongs to a position lies all over the year.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from partner_platform.core.money import BASE_UNITS_PER_DOLLAR

LOANS_PER_POSITION = 20
LOANS_PER_PARTNER = 50_000
LOANS_PER_BLOCK = 40
FIRST_POSITION = 1_000_001  # above those that a sandbox opens
DOLLAR = BASE_UNITS_PER_DOLLAR
YEAR = 365 * 86_400
WEEK = 7 * 86_400
FEE_BPS = 50
LOGS_PER_MOVEMENT = 3
LIQUIDATED_EVERY, WAITING_EVERY = 100, 250
# By a loan's place on its position.
REPAID_AT_ONCE, REPAID_IN_TWO, PAID_IN_PART, IN_DEFAULT, FAILED = range(8), (8, 9), (16, 17), 18, 19
SOURCES = ("TRANSFER", "PULLED", "TRANSFER", "PULLED", "USER")


@dataclass(frozen=True, slots=True)
class ChainPlace:
    """Where on the chain, and when (seconds since the epoch); `log` is that of the pool's event."""

    block: int
    log: int
    moment: int


NOWHERE = ChainPlace(0, 0, 0)


@dataclass(slots=True)
class SeededPayment:
    """A settled payment of a loan; `source` is TRANSFER, PULLED, USER or LIQUIDATION."""

    amount: int
    source: str
    place: ChainPlace = NOWHERE
    debt_after: int = 0  # of the position


@dataclass(slots=True)
class SeededLoan:
    """A loan as the year left it; `place` is its draw, None where it was never drawn."""

    number: int
    partner: int
    principal: int
    status: str
    created: int
    place: ChainPlace | None = None
    debt_after: int = 0  # of the position, after the draw
    payments: list[SeededPayment] = field(default_factory=list)
    written_off: int = 0

    @property
    def fee(self) -> int:
        return self.principal * FEE_BPS // 10_000

    @property
    def repaid(self) -> int:
        return sum(payment.amount for payment in self.payments)

    @property
    def outstanding(self) -> int:
        return 0 if self.status == "FAILED" else self.principal - self.repaid - self.written_off


@dataclass(slots=True)
class SeededPosition:
    """A position with its loans; its OAID has the same number."""

    number: int
    loans: list[SeededLoan]
    opened: ChainPlace = NOWHERE
    last: ChainPlace = NOWHERE
    debt: int = 0
    is_liquidated: bool = False


@dataclass(slots=True)
class Move:
    """What happened: a position was opened (no loan), a loan accepted, drawn or paid, a position liquidated."""

    moment: int
    kind: str  # OPENED, ACCEPTED, DRAWN, PAID or LIQUIDATED
    position: SeededPosition
    loan: SeededLoan | None = None
    payment: SeededPayment | None = None


class History:
    """The year: `moves` in the order of time. It ends at `end` (seconds), on the chain in block `last_block`.

    `partners`: so many lend; 0: as many as that many loans have.
    """

    def __init__(self, *, loans: int, end: int, last_block: int, seed: int = 7, partners: int = 0) -> None:
        self.loans, self.end, self.last_block = loans, end, last_block
        self.partners = partners or max(loans // LOANS_PER_PARTNER, 2)
        self.blocks = max(loans * 2 // LOANS_PER_BLOCK, 100)
        self._random = random.Random(seed)  # noqa: S311 - a history, not a secret
        self._logs = [0] * self.blocks
        self.moves = sorted(self._planned(), key=lambda move: move.moment)
        for move in self.moves:
            self._play(move)

    def _planned(self) -> Iterator[Move]:
        for first in range(0, self.loans, LOANS_PER_POSITION):
            index = first // LOANS_PER_POSITION
            position = SeededPosition(FIRST_POSITION + index, [])
            size = min(LOANS_PER_POSITION, self.loans - first)
            times = sorted(self._random.randrange(self.end - YEAR + WEEK, self.end - WEEK) for _ in range(size))
            yield Move(self.end - YEAR + index % WEEK, "OPENED", position)
            for place, created in enumerate(times):
                yield from self._loan(position, first + place, place, created)
            if index % LIQUIDATED_EVERY == LIQUIDATED_EVERY - 1:
                yield Move(self.end - WEEK // 2 + index % 1_000, "LIQUIDATED", position)
            elif index % WAITING_EVERY == 0 and size == LOANS_PER_POSITION:
                late = SeededLoan(self.loans + index, index % self.partners, self._amount(), "PENDING", self.end - 60)
                position.loans.append(late)
                yield Move(late.created, "ACCEPTED", position, late)

    def _loan(self, position: SeededPosition, number: int, place: int, created: int) -> Iterator[Move]:
        partner = (position.number + (place % 5 == 0)) % self.partners
        loan = SeededLoan(number, partner, self._amount(), "FAILED" if place == FAILED else "ACTIVE", created)
        position.loans.append(loan)
        yield Move(created, "ACCEPTED", position, loan)
        if loan.status == "FAILED":
            return
        yield Move(created + 4, "DRAWN", position, loan)
        for part, amount in enumerate(_amounts(loan, place)):
            source = SOURCES[(number + part) % len(SOURCES)]
            at = self._random.randrange(created + 3_600, self.end - WEEK + 7_200)
            yield Move(at, "PAID", position, loan, SeededPayment(amount, source))
        if place in REPAID_AT_ONCE or place in REPAID_IN_TWO:
            loan.status = "REPAID"
        elif place == IN_DEFAULT:
            loan.status = "DEFAULTED"

    def _play(self, move: Move) -> None:
        """Give it its place on the chain, and what the position owes after it."""
        position, loan, payment = move.position, move.loan, move.payment
        if move.kind == "OPENED":
            position.opened = position.last = self._place(move.moment, logs=1)
        elif move.kind == "LIQUIDATED":
            position.last, position.debt, position.is_liquidated = self._place(move.moment), 0, True
            for owing in position.loans:
                _liquidate(owing, position.last)
        elif loan is not None and move.kind == "DRAWN":
            position.last = loan.place = self._place(move.moment)
            position.debt += loan.principal
            loan.debt_after = position.debt
        elif loan is not None and payment is not None:
            position.last = payment.place = self._place(move.moment)
            position.debt -= payment.amount
            payment.debt_after = position.debt
            loan.payments.append(payment)

    def _amount(self) -> int:
        return self._random.randrange(100, 5_000) * DOLLAR

    def _place(self, moment: int, *, logs: int = LOGS_PER_MOVEMENT) -> ChainPlace:
        """A place of its own in the block of that time."""
        since = min(max(moment - (self.end - YEAR), 0), YEAR - 1)
        block = since * self.blocks // YEAR
        log = self._logs[block]
        self._logs[block] += logs
        return ChainPlace(self.last_block - self.blocks + 1 + block, log, moment)


def _liquidate(loan: SeededLoan, place: ChainPlace) -> None:
    """Half of what is owed is recovered, the rest is lost."""
    if loan.place and loan.outstanding:
        recovered = loan.outstanding // 2
        loan.written_off = loan.outstanding - recovered
        loan.payments.append(SeededPayment(recovered, "LIQUIDATION", place))
        loan.status = "LIQUIDATED"


def _amounts(loan: SeededLoan, place: int) -> list[int]:
    if place in REPAID_AT_ONCE:
        return [loan.principal]
    if place in REPAID_IN_TWO:
        return [loan.principal // 3, loan.principal - loan.principal // 3]
    return [loan.principal // 4] if place in PAID_IN_PART or place == IN_DEFAULT else []
