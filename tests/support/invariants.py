"""M1 to M7 at any moment of any history: the chain's own logs against the books.

Who did what is read from the chain, not remembered by the test. So a check holds in the middle of things too: an
operation that is on the chain and not settled yet, or that a reorg took back, is counted where it stands.
"""

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from django.conf import settings

from audit.models import AuditEntry
from chain.models import FundingTransfer, Operation, OperationState
from chain.states import FINAL_OPERATION_STATES
from loans.debt import payoffs
from loans.models import (
    FundingSource,
    LoanStatus,
    PartnerLoan,
    PartnerSpending,
    Repayment,
    RepaymentStatus,
    SolvencyPosition,
)
from tests.support import books, told_events
from tests.support.chain import Chain
from tests.support.chain_facts import ChainReader, Moved, Seen

DRAWN = (LoanStatus.ACTIVE, LoanStatus.REPAID, LoanStatus.DEFAULTED, LoanStatus.LIQUIDATED)
# Of these a person was told; everything else must come to its end alone.
TOLD = ("alone in its bundle twice",)
NOT_DONE = (OperationState.REFUSED, OperationState.FAILED)


class Invariants:
    """Made where nothing was borrowed yet; then `violations()` at any time, `violations_at_rest()` once all settled."""

    def __init__(self, chain: Chain, *executors: str) -> None:
        """`executors` beside the chain's own, where another one may take its place."""
        self._reader = ChainReader(chain, *executors)

    def violations(self) -> list[str]:
        """One sentence for each invariant that does not hold now."""
        return self._compare().problems()

    def violations_at_rest(self) -> list[str]:
        """The same once everything is settled: then nothing is open either, and what was told is still true (M7)."""
        comparison = self._compare()
        return [*comparison.problems(), *comparison.unfinished()]

    def _compare(self) -> "_Comparison":
        return _Comparison(self._reader.see(), self._reader.executors, self._reader.debts_before)


class _Comparison:
    """The books as they are now, held against what was seen."""

    def __init__(self, seen: Seen, executors: frozenset[str], debts_before: dict[int, int]) -> None:
        self._seen = seen
        self._executors = executors
        self._debts_before = debts_before
        self._operations_made = list(Operation.objects.all())
        self._loans = list(PartnerLoan.objects.select_related("borrow_operation"))
        self._repayments = list(Repayment.objects.select_related("operation", "loan", "partner"))

    def problems(self) -> list[str]:
        found = [f"M2: {uid} was executed twice" for uid in self._seen.twice]
        found += [f"M4: {sentence}" for sentence in books.discrepancies()]
        found += self._operations()
        for loan in self._loans:
            found += self._loan(loan)
        for repayment in self._own_repayments:
            found += self._repayment(repayment)
        return [*found, *self._position_debts(), *self._transfers(), *self._spent(), *self._audit()]

    def unfinished(self) -> list[str]:
        found = []
        for operation in self._operations_made:
            if operation.state == OperationState.NEEDS_REVIEW and operation.reason.startswith(TOLD):
                continue
            if operation.state not in FINAL_OPERATION_STATES or not operation.acknowledged:
                found.append(f"M7: {operation.key} is {operation.state}, acknowledged {operation.acknowledged}")
            elif operation.state == OperationState.CONFIRMED and not self._is_executed(operation):
                found.append(f"M2: {operation.key} is CONFIRMED and not on the chain")
        told: list[Any] = [
            (loan, loan.borrow_tx_hash, loan.borrow_operation) for loan in self._loans if loan.status in DRAWN
        ]
        told += [
            (repayment, repayment.tx_hash, repayment.operation)
            for repayment in self._own_repayments
            if repayment.status == RepaymentStatus.SETTLED
        ]
        return found + [
            f"M3: {what} shows transaction {tx_hash}, it is in {operation.tx_hash}"
            for what, tx_hash, operation in told
            if tx_hash != operation.tx_hash
        ]

    @cached_property
    def _own_repayments(self) -> list[Repayment]:
        """Those that we were asked for; the others somebody made on the chain."""
        return [repayment for repayment in self._repayments if repayment.operation is not None]

    def _operations(self) -> list[str]:
        known = {operation.uid: operation for operation in self._operations_made}
        found = [f"M2: {uid} was executed and nobody asked for it" for uid in self._seen.executed if uid not in known]
        for operation in known.values():
            executed, state = self._is_executed(operation), operation.state
            is_told = not operation.block_hash or operation.block_hash in self._seen.canonical
            if state == OperationState.CONFIRMED and is_told and not executed:
                found.append(f"M2: {operation.key} is CONFIRMED and was not executed")
            if state in NOT_DONE and is_told and executed:
                found.append(f"M2: {operation.key} is {state} and was executed")
        return found

    def _loan(self, loan: PartnerLoan) -> list[str]:
        operation, found = loan.borrow_operation, []
        if (loan.status == LoanStatus.PENDING) == operation.acknowledged:
            found.append(f"M7: {loan} with its operation acknowledged {operation.acknowledged}")
        if loan.status == LoanStatus.FAILED and operation.state not in NOT_DONE:
            found.append(f"M2: {loan} with its operation {operation.state}")
        if (moved := self._seen.executed.get(operation.uid)) is not None:
            found += _differ(f"M2: {loan} drew", moved.drawn, {loan.solvency_position_id: loan.principal_amount})
            paid_out = {loan.settlement_address.lower(): loan.net_amount}
            found += _differ(f"M2: {loan} paid out", self._paid_out(moved), paid_out)
            found += _differ(f"M2: {loan} repaid", moved.repaid, {})
        return found

    def _repayment(self, repayment: Repayment) -> list[str]:
        operation, found = repayment.operation, []
        if (repayment.status == RepaymentStatus.PENDING) == operation.acknowledged:
            found.append(f"M7: repayment {repayment.pk} is {repayment.status}, acknowledged {operation.acknowledged}")
        if (moved := self._seen.executed.get(operation.uid)) is None:
            return found
        name, position = f"M3: {repayment.funding} repayment of {repayment.loan}", repayment.loan.solvency_position_id
        paid = moved.repaid[position]
        found += _differ(f"{name} paid out", self._paid_out(moved), {})
        found += _differ(f"{name} drew", moved.drawn, {})
        if set(moved.repaid) != {position} or (repayment.status == RepaymentStatus.SETTLED and repayment.amount > paid):
            found.append(f"{name} of {repayment.amount} repaid {dict(moved.repaid)}")
        pulled = sum(amount for (_, to), amount in moved.usdc.items() if to in self._executors)
        if (pulled == 0) != (repayment.funding != FundingSource.PULLED) or (pulled and pulled < paid):
            found.append(f"{name} pulled {pulled} and paid {paid}")
        return found

    def _paid_out(self, moved: Moved) -> dict[str, int]:
        """What left the platform account, other than to the pool."""
        sent = {to: amount for (sender, to), amount in moved.usdc.items() if sender in self._executors}
        sent.pop(settings.SENIOR_POOL_ADDRESS.lower(), None)
        return sent

    def _position_debts(self) -> list[str]:
        """M5 where the books have seen and settled all the chain did to a position: then they know its debt exactly."""
        if not self._seen.is_followed or any(not self._is_in_step(operation) for operation in self._operations_made):
            return []
        found = []
        for row in SolvencyPosition.objects.filter(ledger_order__gt=0).order_by("position_id"):
            loans = [loan for loan in self._loans if loan.solvency_position_id == row.position_id]
            debt = sum(payoffs.debt_at(loan, self._seen.moment) for loan in loans if loan.status in DRAWN)
            own = self._own_part(row.position_id, loans)
            if row.pool_rate_bps == 0:
                found += _differ(f"M5: {row} owes", {"debt": self._seen.debts[row.position_id]}, {"debt": debt + own})
                booked = row.pool_principal - row.loans_principal
                found += _differ(f"M5: of {row} the user's own part is", {"own": booked}, {"own": own})
            elif self._seen.debts[row.position_id] < debt:
                found.append(f"M5: {row} owes {self._seen.debts[row.position_id]}, its loans {debt}")
        return found

    def _own_part(self, position_id: int, loans: list[PartnerLoan]) -> int:
        """What the user drew alone, less what was paid to the pool and credited to no loan."""
        keys = {loan.pk for loan in loans}
        credited = sum(r.amount for r in self._repayments if r.loan_id in keys and r.status == RepaymentStatus.SETTLED)
        paid = self._seen.outside.repaid[position_id]
        paid += sum(moved.repaid[position_id] for moved in self._seen.executed.values())
        before = self._debts_before[position_id]
        return before + self._seen.outside.drawn[position_id] - (paid - credited)

    def _is_in_step(self, operation: Operation) -> bool:
        """True where what the books say of it is what the chain shows now."""
        if operation.state in FINAL_OPERATION_STATES and operation.acknowledged:
            return (operation.state == OperationState.CONFIRMED) == self._is_executed(operation)
        return not operation.acknowledged and not self._is_executed(operation)

    def _transfers(self) -> list[str]:
        """M3: what an address sent by itself funds at most that much; nothing leaves us outside an operation."""
        sent = self._seen.outside.usdc
        found = [
            f"M3: {amount} left for {to} outside any operation"
            for (s, to), amount in sent.items()
            if s in self._executors
        ]
        paid: Counter[tuple[str, str]] = Counter()
        for repayment in self._own_repayments:
            moved = self._seen.executed.get(repayment.operation.uid)
            if repayment.funding == FundingSource.TRANSFER and moved is not None:
                brought = repayment.funding_transfer.sender.lower(), repayment.operation.executor.lower()
                paid[brought] += sum(moved.repaid.values())
        for (sender, executor), amount in paid.items():
            if amount > sent[sender, executor]:
                found.append(f"M3: {sender} sent {sent[sender, executor]} to {executor}, which funded {amount}")
        found += [
            f"M3: {row} is used beyond its value" for row in FundingTransfer.objects.all() if row.used > row.value
        ]
        return found

    def _spent(self) -> list[str]:
        """M4: what each partner's settled repayments took from the platform account is what their rows say."""
        spent: Counter[Any] = Counter()
        for repayment in self._own_repayments:
            if repayment.status == RepaymentStatus.SETTLED and repayment.funding != FundingSource.PULLED:
                spent[repayment.partner_id] += repayment.amount - repayment.platform_covered
        booked = {row.partner_id: row.spent for row in PartnerSpending.objects.all() if row.spent}
        return _differ("M4: spent of the platform account", booked, {key: n for key, n in spent.items() if n})

    def _audit(self) -> list[str]:
        """M6: each change of a loan has its entry and its events, once; what a reorg took back has one more."""
        entries: dict[str, list[AuditEntry]] = {}
        for entry in AuditEntry.objects.filter(target__startswith="loan:").order_by("timestamp"):
            entries.setdefault(entry.target, []).append(entry)
        found = [
            sentence
            for loan in self._loans
            for sentence in self._audit_of(loan, entries.get(f"loan:{loan.internal_loan_id}", []))
        ]
        return found + told_events.violations(self._loans, self._repayments, entries)

    def _audit_of(self, loan: PartnerLoan, entries: list[AuditEntry]) -> list[str]:
        told = Counter(entry.action for entry in entries)
        undone = [entry for entry in entries if entry.action == "loan.undone"]
        draws_undone = sum((entry.after or {}).get("status") == LoanStatus.PENDING for entry in undone)
        mine = [repayment for repayment in self._repayments if repayment.loan_id == loan.pk]
        requested = sum(repayment.operation is not None for repayment in mine)
        settled = sum(repayment.status == RepaymentStatus.SETTLED for repayment in mine)
        credited = told["loan.repaid"] + told["loan.repayment"] + told["loan.cured"]
        counts = {
            "requested": (told["loan.requested"], 1),
            "borrowed": (told["loan.borrowed"] - draws_undone, int(loan.status in DRAWN)),
            "failed": (told["loan.failed"] - told["loan.reopened"], int(loan.status == LoanStatus.FAILED)),
            "repayment requested": (told["loan.repayment_requested"], requested),
            "repaid": (credited - (len(undone) - draws_undone), settled),
        }
        return [f"M6: {loan}: {what} {n} times by the trail, not {m}" for what, (n, m) in counts.items() if n != m]

    def _is_executed(self, operation: Operation) -> bool:
        return operation.uid in self._seen.executed


def _differ(what: str, seen: Mapping[Any, int], expected: Mapping[Any, int]) -> list[str]:
    return [] if dict(seen) == dict(expected) else [f"{what} {dict(seen)}, not {dict(expected)}"]
