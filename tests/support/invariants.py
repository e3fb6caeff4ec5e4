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
from loans import books, payoffs
from loans.models import FundingSource, LoanStatus, PartnerLoan, Repayment, RepaymentSource, RepaymentStatus
from tests.support.chain import Chain
from tests.support.chain_facts import ChainReader, Moved, Seen

DRAWN = (LoanStatus.ACTIVE, LoanStatus.REPAID, LoanStatus.DEFAULTED, LoanStatus.LIQUIDATED)
NOT_DONE = (OperationState.REFUSED, OperationState.FAILED)


class Invariants:
    """Made where nothing was borrowed yet; then `violations()` at any time, `violations_at_rest()` once all settled."""

    def __init__(self, chain: Chain) -> None:
        self._reader = ChainReader(chain)

    def violations(self) -> list[str]:
        """One sentence for each invariant that does not hold now."""
        return self._compare().problems()

    def violations_at_rest(self) -> list[str]:
        """The same once everything is settled: then nothing is open either, and what was told is still true (M7)."""
        comparison = self._compare()
        return [*comparison.problems(), *comparison.unfinished()]

    def _compare(self) -> "_Comparison":
        return _Comparison(self._reader.see(), self._reader.executor, self._reader.debts_before)


class _Comparison:
    """The books as they are now, held against what was seen."""

    def __init__(self, seen: Seen, executor: str, debts_before: dict[int, int]) -> None:
        self._seen = seen
        self._executor = executor
        self._debts_before = debts_before
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
        return [*found, *self._position_debts(), *self._transfers(), *self._audit()]

    def unfinished(self) -> list[str]:
        found = []
        for operation in Operation.objects.all():
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
        known = {operation.uid: operation for operation in Operation.objects.all()}
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
        if set(moved.repaid) != {position} or (
            repayment.status == RepaymentStatus.SETTLED and repayment.amount != paid
        ):
            found.append(f"{name} of {repayment.amount} repaid {dict(moved.repaid)}")
        pulled = sum(amount for (_, to), amount in moved.usdc.items() if to == self._executor)
        if (pulled == 0) != (repayment.funding != FundingSource.PULLED) or (pulled and pulled < paid):
            found.append(f"{name} pulled {pulled} and paid {paid}")
        return found

    def _paid_out(self, moved: Moved) -> dict[str, int]:
        """What left the platform account, other than to the pool."""
        sent = {to: amount for (sender, to), amount in moved.usdc.items() if sender == self._executor}
        sent.pop(settings.SENIOR_POOL_ADDRESS.lower(), None)
        return sent

    def _position_debts(self) -> list[str]:
        """M5: what the loans owe, what is under way, and what the users drew themselves make up the pool's figure."""
        expected = Counter(self._debts_before)
        for loan in self._loans:
            position = loan.solvency_position_id
            if loan.status in DRAWN:
                expected[position] += payoffs.debt_at(loan, self._seen.moment)
                expected[position] -= 0 if self._is_executed(loan.borrow_operation) else loan.principal_amount
            elif self._is_executed(loan.borrow_operation):
                expected[position] += loan.principal_amount
        for repayment in self._repayments:
            position = repayment.loan.solvency_position_id
            if repayment.operation is None:
                expected[position] += repayment.amount  # it is among the outside payments
            elif (moved := self._seen.executed.get(repayment.operation.uid)) is not None:
                expected[position] -= moved.repaid[position] if repayment.status == RepaymentStatus.PENDING else 0
            elif repayment.status == RepaymentStatus.SETTLED:
                expected[position] += repayment.amount
        expected.update(self._seen.outside.drawn)
        expected.subtract(self._seen.outside.repaid)
        return [
            f"M5: position {position} owes {debt} on the chain, {expected[position]} by the books"
            for position, debt in self._seen.debts.items()
            if debt != expected[position]
        ]

    def _transfers(self) -> list[str]:
        """M3: what an address sent by itself funds at most that much; nothing leaves us outside an operation."""
        sent = self._seen.outside.usdc
        found = [
            f"M3: {amount} left for {to} outside any operation"
            for (s, to), amount in sent.items()
            if s == self._executor
        ]
        paid: Counter[str] = Counter()
        for repayment in self._own_repayments:
            moved = self._seen.executed.get(repayment.operation.uid)
            if repayment.funding == FundingSource.TRANSFER and moved is not None:
                paid[repayment.funding_transfer.sender.lower()] += sum(moved.repaid.values())
        for sender, amount in paid.items():
            if amount > sent[sender, self._executor]:
                found.append(f"M3: {sender} sent {sent[sender, self._executor]}, which funded {amount}")
        found += [
            f"M3: {row} is used beyond its value" for row in FundingTransfer.objects.all() if row.used > row.value
        ]
        return found

    def _audit(self) -> list[str]:
        """M6: each change of a loan has its entry, once."""
        entries: dict[str, list[AuditEntry]] = {}
        for entry in AuditEntry.objects.order_by("timestamp"):
            entries.setdefault(entry.target, []).append(entry)
        found = []
        for loan in self._loans:
            told = Counter(entry.action for entry in entries.get(f"loan:{loan.internal_loan_id}", []))
            mine = [repayment for repayment in self._repayments if repayment.loan_id == loan.pk]
            own = Counter(r.status for r in mine if r.repaid_by == RepaymentSource.PARTNER)
            expected = {
                "loan.requested": 1,
                "loan.borrowed": int(loan.status in DRAWN),
                "loan.failed": int(loan.status == LoanStatus.FAILED),
                "loan.repayment_requested": sum(own.values()),
                "loan.repayment_failed": own[RepaymentStatus.FAILED],
            }
            found += [f"M6: {loan}: {told[name]} x {name}, not {n}" for name, n in expected.items() if told[name] != n]
            credited = told["loan.repaid"] + told["loan.repayment"] + told["loan.cured"]
            settled = sum(repayment.status == RepaymentStatus.SETTLED for repayment in mine)
            if credited != settled:
                found.append(f"M6: {loan}: {credited} entries for {settled} settled repayments")
        return found

    def _is_executed(self, operation: Operation) -> bool:
        return operation.uid in self._seen.executed


def _differ(what: str, seen: Mapping[Any, int], expected: Mapping[Any, int]) -> list[str]:
    return [] if dict(seen) == dict(expected) else [f"{what} {dict(seen)}, not {dict(expected)}"]
