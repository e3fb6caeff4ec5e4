"""What a reconciliation found: one figure that is not what it should be, and where to put it right. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = ("loan", "repayment", "partner", "analytics", "oaid", "position", "transfer", "wallet", "account")
MOST_NAMED = 1_000  # findings of one kind that are listed; the others are counted


@dataclass(frozen=True)
class Repair:
    """A running sum that can be derived: the row (`model` by its label, `pk`), the column, and both values."""

    model: str
    pk: str
    column: str
    booked: int
    derived: int


@dataclass(frozen=True)
class BooksFinding:
    """`subject` is `{kind}:{id}` (partner, position, loan, oaid, transfer, wallet, account; analytics: a partner's
    figures by day, which freeze nothing), `what` the figure's name.

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

    @property
    def figure(self) -> tuple[str, str]:
        """What two findings of different runs have in common where they are about the same."""
        return self.subject, self.what

    def __str__(self) -> str:
        return f"{self.subject.replace(':', ' ', 1)} {self.what} is {self.booked}, adds up to {self.actual}"

    def as_json(self) -> dict[str, object]:
        """The form that is stored and printed."""
        body = {"subject": self.subject, "what": self.what, "booked": self.booked, "actual": self.actual}
        return body | {"repair": None if self.repair is None else asdict(self.repair)}


class Findings:
    """Findings as they are made; the first `MOST_NAMED` of each kind are listed, all are counted.

    So a thousand wrong loans do not hide the wallet that is to be frozen.
    """

    def __init__(self) -> None:
        self._named: dict[str, list[BooksFinding]] = {kind: [] for kind in KINDS}
        self.by_kind: Counter[str] = Counter()

    def add(self, findings: Iterable[BooksFinding]) -> None:
        """Add them."""
        for finding in findings:
            self.by_kind[finding.kind] += 1
            named = self._named[finding.kind]
            if len(named) < MOST_NAMED:
                named.append(finding)

    @property
    def total(self) -> int:
        return self.by_kind.total()

    def are_all_named(self, kind: str) -> bool:
        """False where there were more of this kind than are listed: what is not listed may be wrong all the same."""
        return self.by_kind[kind] == len(self._named[kind])

    def __iter__(self) -> Iterator[BooksFinding]:
        """Those that are listed, by kind."""
        return (finding for named in self._named.values() for finding in named)


def differs(
    subject: str, what: str, booked: object, actual: object, repair: Repair | None = None
) -> list[BooksFinding]:
    """A finding where the two are not equal."""
    return [] if booked == actual else [BooksFinding(subject, what, str(booked), str(actual), repair)]


def column(
    subject: str, model: Any, pk: Any, name: str, booked: int, derived: int, what: str = ""
) -> list[BooksFinding]:
    """A finding where a row's running sum is not the derived one, with its repair; called `what`, or as the column."""
    if booked == derived:
        return []
    repair = Repair(model._meta.label, str(pk), name, int(booked), int(derived))
    return differs(subject, what or name, int(booked), int(derived), repair)
