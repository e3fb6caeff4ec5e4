"""The events of a loan: each carries the loan as the API answers it, and the repayment that it is about.

`loans.loan_changes` records them with the audit entry of the change; `payment.due_soon`, which changes nothing of the
loan, is recorded by `loans.services.due_soon`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import F

from chain import selectors as chain_selectors
from chain.selectors import KnownBlocks
from events.kinds import EventType
from events.services import NewEvent, record_events
from loans import selectors
from loans.models import PartnerLoan, Repayment
from loans.objects.loan import present_loan
from loans.objects.repayment import present_repayment
from partner_platform.core import clock


@dataclass(frozen=True, kw_only=True)
class LoanEvent:
    """What is told of a loan. `moment` is when it happened, in seconds since the epoch: the block's time where a block
    did it; the debt in the event is as of then. `more` are further fields of `data`.
    """

    type: EventType
    moment: int = field(default_factory=lambda: int(clock.now().timestamp()))
    repayment_id: UUID | None = None
    more: Mapping[str, object] = field(default_factory=dict)
    once: str | None = None


def record_loan_events(told: Mapping[UUID, Sequence[LoanEvent]]) -> None:
    """Write the events of each loan (by its primary key), in their order, after the rows that they tell of were
    written and in the same transaction.

    However many loans there are: one update for each number of events that a loan has, a read of the loans, of the
    repayments, of how far the chain is known, and one insert; and a read for each loan that was repaid anything.
    """
    told = {key: told[key] for key in sorted(told) if told[key]}
    if not told:
        return
    _take_numbers(told)
    loans = PartnerLoan.objects.in_bulk(list(told))
    known = chain_selectors.known_blocks()
    ids = [event.repayment_id for events in told.values() for event in events if event.repayment_id is not None]
    repayments = Repayment.objects.in_bulk(list(dict.fromkeys(ids))) if ids else {}
    record_events([new for key in told for new in _events_of(loans[key], told[key], repayments, known)])


def _take_numbers(told: Mapping[UUID, Sequence[LoanEvent]]) -> None:
    """Move each loan's `event_sequence` by the number of its events; the row is locked from then on."""
    by_count: dict[int, list[UUID]] = defaultdict(list)
    for key, events in told.items():
        by_count[len(events)].append(key)
    for count, keys in by_count.items():
        PartnerLoan.objects.filter(pk__in=keys).update(event_sequence=F("event_sequence") + count)


def _events_of(
    loan: PartnerLoan, events: Sequence[LoanEvent], repayments: Mapping[UUID, Repayment], known: KnownBlocks
) -> Iterator[NewEvent]:
    history = selectors.repayment_history(loan)
    first = loan.event_sequence - len(events) + 1
    for sequence, event in enumerate(events, first):
        data = {"loan": present_loan(loan, event.moment, history, known), **event.more}
        if event.repayment_id is not None:
            data["repayment"] = present_repayment(repayments[event.repayment_id], loan, known)
        yield NewEvent(
            type=event.type,
            partner_key=loan.partner_id,
            data=data,
            loan_id=loan.internal_loan_id,
            partner_loan_id=loan.partner_loan_id,
            sequence=sequence,
            extra={
                "internalLoanId": str(loan.internal_loan_id),
                "totalRepaid": str(loan.total_repaid),
                "timestamp": clock.isoformat(clock.from_seconds(event.moment)),
            },
            once=event.once,
        )
