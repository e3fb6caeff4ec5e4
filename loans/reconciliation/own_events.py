"""Each draw and each repayment of ours against its event, and what it did to the platform account (M2, M3).

An event is found by its place: the books know the pool's log that a draw or a payment moved the debt by, and the
vault's event is the first of its kind after that, in the same block. An event since the last run, or of
a block that is not final, must carry the uid of the item's operation too, and so must whatever is not found by its
place. Then there is left

- what the books have and the chain has not: later than block B, or undone by a reorg that the books have not rolled
  back yet (in motion), or a finding;
- what the chain has and the books have not: to be settled (in motion, since that block).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from chain.models import Operation, OperationState
from chain.reconciling import ReferenceBlock
from loans.chain_order import block_of
from loans.reconciliation.findings import BooksFinding, differs
from loans.reconciliation.loans import UNDRAWN, loan_subject
from loans.reconciliation.records import DRAWS, EventRecord, LoanRecord, RepaymentRecord
from partner_platform.core.database.batches import batched
from partner_platform.core.database.rows import as_uuid

FROM_ACCOUNT = ("TRANSFER", "TRUSTED")  # repayments that the platform account's own USDC pays
Item = LoanRecord | RepaymentRecord


@dataclass
class MatchedEvents:
    """What was found: findings, what is in motion since which block, and USDC by platform account."""

    findings: list[BooksFinding] = field(default_factory=list)
    motions: dict[str, int | None] = field(default_factory=dict)
    flows: Counter[str] = field(default_factory=Counter)
    draws: int = 0
    payments: int = 0


class EventMatcher:
    """The comparison of one group's loans and repayments with their events, at `moment`.

    `since`: events of later blocks count in `flows`. `fresh`: those of later blocks must have their operation's uid.
    """

    def __init__(self, moment: ReferenceBlock, *, since: int, fresh: int) -> None:
        self._moment, self._since, self._fresh = moment, since, fresh
        self.found = MatchedEvents()
        self._lost: list[Item] = []  # the books have it, no event at its place
        self._fresh_pairs: list[tuple[Item, EventRecord]] = []
        self._unknown: list[EventRecord] = []  # events nobody claimed

    def compare(
        self,
        loans: Sequence[LoanRecord],
        repayments: Mapping[object, Sequence[RepaymentRecord]],
        events: Mapping[str, Sequence[EventRecord]],
    ) -> MatchedEvents:
        """Compare all of them."""
        by_position: dict[str, list[LoanRecord]] = {}
        for loan in loans:
            by_position.setdefault(loan.solvency_position_id, []).append(loan)
        for position in by_position.keys() | events.keys():
            own = by_position.get(position, [])
            paid = [r for loan in own for r in repayments.get(loan.pk, ()) if r.operation_id is not None]
            self._pair(own, paid, events.get(position, ()))
        self._resolve(loans, [r for of_loan in repayments.values() for r in of_loan if r.operation_id is not None])
        return self.found

    def _pair(
        self, loans: Sequence[LoanRecord], paid: Sequence[RepaymentRecord], events: Sequence[EventRecord]
    ) -> None:
        draws = [event for event in events if event.name in DRAWS]
        payments = [event for event in events if event.name not in DRAWS]
        drawn = sorted(
            ((loan.draw_order, loan) for loan in loans if loan.status not in UNDRAWN), key=lambda pair: pair[0]
        )
        settled = sorted(
            ((repayment.chain_order, repayment) for repayment in paid if repayment.status == "SETTLED"),
            key=lambda pair: pair[0],
        )
        self.found.draws += len(drawn)
        self.found.payments += len(settled)
        self._place(drawn, draws)
        self._place(settled, payments)

    def _place(self, items: Sequence[tuple[int, Item]], events: Sequence[EventRecord]) -> None:
        """Give each item the first event after its place, in its block and before the next item's place."""
        index = 0
        for number, (order, item) in enumerate(items):
            while index < len(events) and events[index].order < order:
                self._unknown.append(events[index])
                index += 1
            event = events[index] if index < len(events) else None
            is_next = number + 1 < len(items) and event is not None and event.order >= items[number + 1][0]
            if event is None or not order or event.block_number != block_of(order) or is_next:
                self._lost.append(item)
                continue
            index += 1
            if event.block_number > self._fresh:
                self._fresh_pairs.append((item, event))
            else:
                self._agree(item, event)
        self._unknown += events[index:]

    def _agree(self, item: Item, event: EventRecord) -> None:
        """The item's event was found: its amount must be the booked one, its effect counts."""
        amount = int(event.amount)
        if isinstance(item, LoanRecord):
            if amount != item.principal_amount:
                self.found.findings += differs(loan_subject(item), "principal_amount", item.principal_amount, amount)
        elif not 0 <= amount - _paid(item) <= 1:  # a base unit of rounding may have gone to another loan
            self.found.findings += differs(_subject(item), "amount", item.amount, amount)
        self._count(item, event)

    def _count(self, item: Item, event: EventRecord) -> None:
        if event.block_number <= self._since:
            return
        if isinstance(item, LoanRecord):
            self.found.flows[event.account] += item.platform_fee_charged
        elif item.funding in FROM_ACCOUNT:
            self.found.flows[event.account] -= int(event.amount)

    # --- By the operation -------------------------------------------------------------------------------------

    def _resolve(self, loans: Sequence[LoanRecord], repayments: Sequence[RepaymentRecord]) -> None:
        """Whatever the place alone did not settle, by its operation."""
        items = [*self._lost, *(item for item, _ in self._fresh_pairs)]
        if not items and not self._unknown:
            return
        events = {event.operation_uid: event for event in self._unknown}
        events |= {event.operation_uid: event for _, event in self._fresh_pairs}
        by_key = _operations(pk=[_operation_of(item) for item in items])
        for item in items:
            operation = by_key[as_uuid(_operation_of(item))]
            event = events.pop(operation.uid, None)
            if event is not None:
                self._agree(item, event)
            else:
                self._missing(item, operation)
        if events:
            self._unsettled(events, loans, repayments)

    def _missing(self, item: Item, operation: Operation) -> None:
        """No event of it up to B: is it later, or being undone? A finding otherwise."""
        block = operation.block_number
        if operation.state != OperationState.CONFIRMED or operation.reopened or block is None:
            self.found.motions[_subject(item)] = None
        elif block > self._moment.block_number:
            return
        elif self._moment.is_orphan(block, operation.block_hash):
            self.found.motions[_subject(item)] = block
        elif isinstance(item, LoanRecord):
            self.found.findings += differs(loan_subject(item), "principal_amount", item.principal_amount, 0)
            self._count_booked(operation, item.platform_fee_charged)
        else:
            self.found.findings += differs(_subject(item), "amount", item.amount, 0)
            self._count_booked(operation, -_paid(item) * (item.funding in FROM_ACCOUNT))

    def _count_booked(self, operation: Operation, effect: int) -> None:
        """What the books say it did: where the event alone is missing, the account has it."""
        if (operation.block_number or 0) > self._since:
            self.found.flows[operation.executor or settings.PLATFORM_EXECUTOR_ADDRESS] += effect

    def _unsettled(
        self, events: Mapping[str, EventRecord], loans: Sequence[LoanRecord], repayments: Sequence[RepaymentRecord]
    ) -> None:
        """On the chain and not in the books as done: it waits to be settled, its effect is there already."""
        operations = {operation.pk: operation.uid for operation in _operations(uid=list(events)).values()}
        every: tuple[Item, ...] = (*loans, *repayments)
        for item in every:
            uid = operations.get(as_uuid(_operation_of(item))) if operations else None
            if uid is not None:
                self.found.motions[_subject(item)] = events[uid].block_number
                self._count(item, events[uid])


def _operations(**wanted: Iterable[object]) -> dict[Any, Operation]:
    """Operations by their key, found by a column."""
    [(name, values)] = wanted.items()
    found: dict[Any, Operation] = {}
    for chosen in batched(values):
        query = Operation.objects.filter(**{f"{name}__in": chosen})
        columns = ("pk", "uid", "state", "block_number", "block_hash", "reopened", "executor")
        found |= {operation.pk: operation for operation in query.only(*columns)}
    return found


def _operation_of(item: Item) -> object:
    return item.borrow_operation_id if isinstance(item, LoanRecord) else item.operation_id


def _subject(item: Item) -> str:
    return loan_subject(item) if isinstance(item, LoanRecord) else f"repayment:{as_uuid(item.pk)}"


def _paid(repayment: RepaymentRecord) -> int:
    """What it paid the pool: its amount, and what it paid beyond its own loan (`platform_covered` below zero)."""
    return repayment.amount - min(repayment.platform_covered, 0)
