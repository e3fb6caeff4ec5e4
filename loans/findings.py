"""What a reconciliation found: one figure that is not what it should be, and where to put it right. Pure."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Repair:
    """A running sum that can be derived: the row (`model` by its label, `pk`), the column, and both values."""

    model: str
    pk: str
    column: str
    booked: int
    derived: int


@dataclass(frozen=True)
class Finding:
    """`subject` is `{kind}:{id}` (partner, position, loan, oaid, transfer, wallet, account), `what` the figure's name.

    `booked` is what the books say, `actual` what the records or the chain add up to, both as text.
    """

    subject: str
    what: str
    booked: str
    actual: str
    repair: Repair | None = field(default=None, compare=False)

    @property
    def kind(self) -> str:
        return self.subject.partition(":")[0]

    def __str__(self) -> str:
        return f"{self.subject.replace(':', ' ', 1)} {self.what} is {self.booked}, adds up to {self.actual}"

    def as_json(self) -> dict[str, Any]:
        """The form that is stored and printed."""
        body = {"subject": self.subject, "what": self.what, "booked": self.booked, "actual": self.actual}
        return body | {"repair": None if self.repair is None else asdict(self.repair)}


def differs(subject: str, what: str, booked: object, actual: object, repair: Repair | None = None) -> list[Finding]:
    """A finding where the two are not equal."""
    return [] if booked == actual else [Finding(subject, what, str(booked), str(actual), repair)]


def column(subject: str, row: Any, name: str, derived: int) -> list[Finding]:
    """A finding where a row's running sum is not the derived one, with its repair."""
    booked = getattr(row, name)
    repair = Repair(row._meta.label, str(row.pk), name, booked, derived)
    return differs(subject, name, booked, derived, repair)


def by_kind(findings: Iterable[Finding]) -> dict[str, int]:
    """How many of each kind."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    return counts
