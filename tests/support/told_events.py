"""M6 for events: what the feed holds of each loan against what the audit trail says of it.

The two are written by one call; here they are compared without it. A trail's action stands for these events and no
others; `payment.missed` and `payment.due_soon` are compared with the loan's schedule.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from audit.models import AuditEntry
from events.models import Event
from loans.models import PartnerLoan, Repayment
from loans.objects.repayment import STATUSES

MISSED, DUE_SOON = "payment.missed", "payment.due_soon"
UNDONE = ("loan.undone",)
PAID = ("loan.repayment",)
EVENTS_OF: Mapping[str, Sequence[str]] = {
    "loan.requested": (),
    "loan.repayment_requested": (),
    "loan.installment_missed": (),
    "loan.borrowed": ("loan.borrowed",),
    "loan.failed": ("loan.failed",),
    "loan.repayment": PAID,
    "loan.repaid": (*PAID, "loan.repaid"),
    "loan.defaulted": ("loan.defaulted",),
    "loan.repayment_failed": ("repayment.failed",),
    "loan.undone": UNDONE,
    "loan.reopened": UNDONE,
    "loan.repayment_reopened": UNDONE,
}
LOAN_TYPES = {kind for kinds in EVENTS_OF.values() for kind in kinds} | {"loan.cured", "loan.liquidated"}


def violations(
    loans: Iterable[PartnerLoan], repayments: Iterable[Repayment], entries: Mapping[str, Sequence[AuditEntry]]
) -> list[str]:
    """One sentence for each loan's event that is missing, or that nothing happened for; `entries` by target."""
    feed: dict[Any, list[Event]] = defaultdict(list)
    for event in Event.objects.exclude(loan_id=None).order_by("loan_id", "sequence"):
        feed[event.loan_id].append(event)
    found = []
    for loan in loans:
        trail = entries.get(f"loan:{loan.internal_loan_id}", [])
        found += [f"M6: {loan}: {sentence}" for sentence in _of_loan(loan, feed.pop(loan.internal_loan_id, []), trail)]
    found += [f"M6: events of a loan that does not exist: {key}" for key in feed]
    return found + _of_repayments(repayments)


def _of_repayments(repayments: Iterable[Repayment]) -> list[str]:
    """A repayment's newest event says what it is; one without any was never settled."""
    told: dict[str, str] = {}
    for event in Event.objects.exclude(loan_id=None).order_by("loan_id", "sequence"):
        if (repayment := json.loads(event.body)["data"].get("repayment")) is not None:
            told[repayment["repaymentId"]] = repayment["status"]
    shown = {str(row.pk): STATUSES[row.status] for row in repayments}
    return [
        f"M6: repayment {key} was told to be {told.get(key, 'PENDING')} and is {status}"
        for key, status in shown.items()
        if told.get(key, "PENDING") != status
    ]


def _of_loan(loan: PartnerLoan, events: Sequence[Event], trail: Sequence[AuditEntry]) -> list[str]:
    found = []
    if [event.sequence for event in events] != list(range(1, loan.event_sequence + 1)):
        found.append(f"its events are {[event.sequence for event in events]} of {loan.event_sequence}")
    told = Counter(event.type for event in events if event.type in LOAN_TYPES)
    due = Counter(kind for entry in trail for kind in events_of(entry))
    if told != due:
        found.append(f"by its events {dict(told)}, by its trail {dict(due)}")
    bodies = [json.loads(event.body) for event in events]
    statuses = ["PENDING", *(body["data"]["loan"]["status"] for body in bodies if "loan" in body["data"])]
    if statuses[-1] != loan.status:
        found.append(f"its newest event says {statuses[-1]}, not {loan.status}")
    missed = {body["data"]["installment"]["number"] for body in bodies if body["type"] == MISSED}
    if untold := {entry["number"] for entry in loan.schedule if entry["status"] == "MISSED"} - missed:
        found.append(f"instalments {sorted(untold)} are missed and nobody was told")
    soon = Counter(json.dumps(body["data"]["installment"]["dueAt"]) for body in bodies if body["type"] == DUE_SOON)
    return found + [f"{due_at} was told to be due soon {n} times" for due_at, n in soon.items() if n > 1]


def events_of(entry: AuditEntry) -> Sequence[str]:
    """The types of events that an entry of a loan's trail stands for."""
    after = entry.after or {}
    if entry.action == "loan.cured":
        return (*PAID, "loan.cured") if "paid" in after else ("loan.cured",)
    if entry.action == "loan.liquidated":
        return (*PAID, "loan.liquidated") if after["recovered"] != "0" else ("loan.liquidated",)
    return EVENTS_OF[entry.action]
