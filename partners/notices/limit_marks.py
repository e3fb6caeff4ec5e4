"""The marks of a limit at which its partner is warned: 80 % and 100 % of it. Pure; amounts are USDC base units."""

from dataclasses import dataclass

from django.db.models import TextChoices

MARKS = (80, 100)  # per cent of a limit, rising


class LimitType(TextChoices):
    """Which limit of a partner: what it borrows on a UTC day, or what is outstanding at once."""

    DAILY = "DAILY"
    TOTAL = "TOTAL"


@dataclass(frozen=True)
class LimitUse:
    """How much of a limit is used."""

    used: int
    limit: int

    @property
    def marks_reached(self) -> int:
        """How many of the marks the used amount has reached: 0, 1 or 2."""
        return sum(self.used >= mark_of(self.limit, percent) for percent in MARKS)


@dataclass(frozen=True)
class Remaining:
    """What a partner may still borrow, in base units: today, and in all."""

    daily: int
    total: int


def mark_of(limit: int, percent: int) -> int:
    """The smallest amount that is `percent` of the limit or more."""
    return -(-limit * percent // 100)


def marks_passed(before: LimitUse, after: LimitUse) -> tuple[int, ...]:
    """The marks, in per cent, that `after` has reached and `before` had not: more was used, or the limit is lower."""
    return MARKS[before.marks_reached : after.marks_reached]


def amounts_between_marks(limit: int, marks_reached: int) -> tuple[int, int] | None:
    """The used amounts with which exactly so many marks are reached, the upper bound excluded; None for all marks.

    With all marks reached nothing is left to borrow.
    """
    if marks_reached >= len(MARKS):
        return None
    bounds = (0, *(mark_of(limit, percent) for percent in MARKS))
    return bounds[marks_reached], bounds[marks_reached + 1]
