"""What a person decides about an operation that NEEDS_REVIEW, on evidence that is read at that moment.

Whatever a hurried person asks for, what the chain executed is never declared failed or sent again, and what may still
be mined is never declared failed. Source: docs/settlement.md, "At three in the morning".
"""

from dataclasses import dataclass
from typing import Any

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from chain import selectors
from chain.lending.readings import executed_view
from chain.models import ChainTransaction, Operation, OperationState
from chain.rpc.clients import ChainUnavailable, RpcError
from chain.settlement.adoption import Execution, find_execution
from chain.settlement.engine import Engine
from chain.settlement.transitions import NO_OUTCOME, NO_TRANSACTION, leave_transaction, move_operations, store_verdicts
from chain.settlement.verdicts import OperationVerdict
from chain.signals import operations_final
from chain.states import LIVE_TRANSACTION_STATES


class DecisionRefused(Exception):
    """The evidence is against the decision; the message says what."""


@dataclass(frozen=True)
class Evidence:
    """What chain and database say about one operation, read together."""

    operation: Operation
    executed_latest: bool
    executed_finalized: bool
    execution: Execution | None
    transaction: ChainTransaction | None
    attempts: tuple[str, ...]  # the hashes of its transaction's attempts
    known_hashes: tuple[str, ...]  # those of `attempts` that some endpoint still knows
    former_nonces: tuple[int, ...]  # of its former transactions that may still run it
    finalized_nonce: int
    confirmations: int

    @property
    def nonce_is_spent(self) -> bool:
        """True where no attempt of its transaction, or of a former one, can be mined any more."""
        return not self.former_nonces and self._is_nonce_final

    @property
    def may_be_queued(self) -> bool:
        """True where its transaction is not under way."""
        transaction = self.transaction
        return transaction is None or transaction.state not in LIVE_TRANSACTION_STATES or self._is_nonce_final

    @property
    def _is_nonce_final(self) -> bool:
        return self.transaction is None or self.finalized_nonce > self.transaction.nonce

    @property
    def decisive(self) -> tuple[object, ...]:
        """Everything that the decision depends on: it differs where somebody else acted or the chain changed."""
        operation, transaction, execution = self.operation, self.transaction, self.execution
        return (
            *(operation.state, operation.reason, operation.transaction_id, operation.tx_hash, operation.block_hash),
            *(
                None if transaction is None else (transaction.state, transaction.block_hash),
                self.attempts,
                self.nonce_is_spent,
            ),
            self.former_nonces,
            *(self.executed_latest, self.executed_finalized),
            None if execution is None else (execution.tx_hash, execution.block.hash, execution.verdict.state),
        )

    @property
    def advice(self) -> str:
        """What the operator should do."""
        if self.execution is not None and self.execution.verdict.state == OperationState.CONFIRMED:
            return "adopt: the chain executed it, and every expected log is there"
        if self.executed_latest:
            return "look at the logs of its transaction; adopt with --without-proof only if the money moved as asked"
        if not self.nonce_is_spent:
            return "wait: its transaction may still be mined"
        return "requeue: the chain never executed it, and its nonce is gone; or fail, where it is not wanted any more"

    def lines(self) -> list[str]:
        """The evidence as text."""
        operation, execution = self.operation, self.execution
        told = f"{operation.kind} {operation.key}: {operation.state}, acknowledged {operation.acknowledged}"
        seen = f"{_yes(self.executed_latest)} at the newest block, {_yes(self.executed_finalized)} at the finalized one"
        return [
            told + (f", because {operation.reason}" if operation.reason else ""),
            f"  uid {operation.uid}",
            f"  executor says executed: {seen}",
            f"  execution: {_found(execution)}",
            f"  transaction: {_carried(self.transaction, self.finalized_nonce)}",
            f"  hashes some endpoint still knows: {', '.join(self.known_hashes) or 'none'}",
            *(
                [f"  may be run after all by nonce {', '.join(map(str, self.former_nonces))}"]
                if self.former_nonces
                else []
            ),
            f"  advice: {self.advice}",
        ]


def require_same(shown: Evidence, now: Evidence) -> None:
    """Raise `DecisionRefused` where the evidence `now` differs from what was shown to the person who decides."""
    if shown.decisive != now.decisive:
        raise DecisionRefused("it is not as it was shown any more. Look again:\n" + "\n".join(now.lines()))


def gather_evidence(engine: Engine, operation: Operation) -> Evidence:
    """Read everything about the operation at every endpoint; where answers differ, the most cautious one counts.

    From its own executor and the wallet that sent it, whatever the settings name now. Raises `ChainUnavailable`:
    without the chain, or one of its endpoints, nothing is decided.
    """
    operation = Operation.objects.select_related("transaction__wallet").get(pk=operation.pk)
    engine.read_head()
    transaction = operation.transaction
    hashes = (
        []
        if transaction is None
        else list(transaction.attempts.order_by("created_at").values_list("tx_hash", flat=True))
    )
    seen = [_seen_by(results) for results in engine.client.everyone(_questions(operation, transaction, hashes))]
    executed = any(one.executed_latest for one in seen)
    return Evidence(
        operation=operation,
        executed_latest=executed,
        executed_finalized=any(one.executed_finalized for one in seen),
        execution=find_execution(engine, operation) if executed else None,
        transaction=transaction,
        attempts=tuple(hashes),
        known_hashes=tuple(tx_hash for index, tx_hash in enumerate(hashes) if any(one.known[index] for one in seen)),
        former_nonces=tuple(former.nonce for former in selectors.former_transactions_that_may_run(operation)),
        finalized_nonce=min(one.finalized_nonce for one in seen),
        confirmations=engine.confirmations,
    )


@dataclass(frozen=True)
class _Seen:
    """What one endpoint says."""

    executed_latest: bool
    executed_finalized: bool
    finalized_nonce: int
    known: tuple[bool, ...]


def _questions(
    operation: Operation, transaction: ChainTransaction | None, hashes: list[str]
) -> list[tuple[str, list[Any]]]:
    ran = executed_view(operation.executor, operation.uid)
    sender = operation.executor if transaction is None else transaction.wallet.address
    return [
        ran.request("latest"),
        ran.request("finalized"),
        ("eth_getTransactionCount", [sender, "finalized"]),
        *[("eth_getTransactionByHash", [tx_hash]) for tx_hash in hashes],
    ]


def _seen_by(results: list[Any]) -> _Seen:
    latest, finalized, nonce, *found = results
    if isinstance(latest, RpcError) or isinstance(finalized, RpcError):
        raise ChainUnavailable("A node does not tell whether the executor ran it")
    return _Seen(
        executed_latest=_is_true(latest),
        executed_finalized=_is_true(finalized),
        finalized_nonce=0 if isinstance(nonce, RpcError) else int(nonce, 16),
        known=tuple(answer is not None and not isinstance(answer, RpcError) for answer in found),
    )


def _is_true(answer: str) -> bool:
    """A view's bool; false where the executor was not deployed yet."""
    return bool(int(answer, 16)) if len(answer) > len("0x") else False


@needs(Right.OPERATE_SETTLEMENT)
def adopt_operation(engine: Engine, evidence: Evidence, *, actor: str, without_proof: bool = False) -> None:
    """CONFIRMED, with the logs of its execution; `without_proof` accepts an execution that lacks expected logs."""
    _require_open(evidence)
    execution = evidence.execution
    if execution is None:
        raise DecisionRefused("no log of its execution was found: the chain did not execute it")
    if execution.depth < evidence.confirmations:
        raise DecisionRefused(f"its block is {execution.depth} deep, not {evidence.confirmations}: wait")
    verdict = execution.verdict
    if verdict.state != OperationState.CONFIRMED:
        if not without_proof:
            raise DecisionRefused(f"{verdict.reason}; read its logs, then say --without-proof")
        verdict = OperationVerdict(OperationState.CONFIRMED, logs=execution.logs)
    _decide(engine, evidence, verdict, actor=actor, action="settlement.adopted", **execution.fields())


@needs(Right.OPERATE_SETTLEMENT)
def fail_operation(engine: Engine, evidence: Evidence, *, actor: str, reason: str) -> None:
    """FAILED: it was not done and will not be; its owner releases what it reserved."""
    _require_open(evidence)
    _require_not_executed(evidence)
    if not evidence.nonce_is_spent:
        raise DecisionRefused("its transaction may still be mined: send a noop and wait until that is final")
    verdict = OperationVerdict(OperationState.FAILED, reason)
    _decide(engine, evidence, verdict, actor=actor, action="settlement.failed")


@needs(Right.OPERATE_SETTLEMENT)
def requeue_operation(engine: Engine, evidence: Evidence, *, actor: str) -> None:
    """QUEUED again, to be sent under a new nonce; the uid guarantees that it is done once."""
    _require_open(evidence)
    _require_not_executed(evidence)
    if not evidence.may_be_queued:
        raise DecisionRefused("its transaction is still under way")

    def write() -> None:
        _require_unmoved(evidence)
        carried = NO_TRANSACTION if evidence.transaction is None else leave_transaction(evidence.operation)
        fields = {**carried, **NO_OUTCOME, "reason": "", "group_size_limit": 0}
        if move_operations([evidence.operation], OperationState.QUEUED, **fields) != 1:
            raise DecisionRefused("it moved while it was looked at")
        _record(evidence, actor, "settlement.requeued", OperationState.QUEUED)

    engine.lease.write(write)


def _decide(
    engine: Engine, evidence: Evidence, verdict: OperationVerdict, *, actor: str, action: str, **fields: object
) -> None:
    def write() -> None:
        _require_unmoved(evidence)
        store_verdicts([(evidence.operation, verdict)], **fields, **(NO_TRANSACTION if fields else {}))
        _record(evidence, actor, action, verdict.state, reason=verdict.reason)

    engine.lease.write(write)
    operations_final.send_robust(sender=Operation, keys=[evidence.operation.key])


def _record(evidence: Evidence, actor: str, action: str, state: OperationState, **after: str) -> None:
    operation = evidence.operation
    record_change(
        actor=actor,
        action=action,
        target=f"operation:{operation.key}",
        before={"state": str(operation.state), "reason": operation.reason},
        after={"state": str(state), "evidence": evidence.lines(), **after},
    )


def _require_unmoved(evidence: Evidence) -> None:
    """Inside the decision's database transaction: nothing changed since the evidence was read."""
    shown, transaction = evidence.operation, evidence.transaction
    waiting = Operation.objects.filter(pk=shown.pk, state=OperationState.NEEDS_REVIEW, transaction=shown.transaction_id)
    is_same = waiting.filter(reason=shown.reason, tx_hash=shown.tx_hash, block_hash=shown.block_hash).exists()
    if is_same and transaction is not None:
        same = ChainTransaction.objects.filter(
            pk=transaction.pk, state=transaction.state, block_hash=transaction.block_hash
        )
        is_same = same.exists() and transaction.attempts.count() == len(evidence.attempts)
    if not is_same:
        raise DecisionRefused("it moved while it was looked at")


def _require_open(evidence: Evidence) -> None:
    if evidence.operation.state != OperationState.NEEDS_REVIEW:
        raise DecisionRefused(f"it is {evidence.operation.state}: there is nothing to decide")


def _require_not_executed(evidence: Evidence) -> None:
    if evidence.executed_latest or evidence.executed_finalized:
        raise DecisionRefused("the chain executed it: adopt it")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _found(execution: Execution | None) -> str:
    if execution is None:
        return "no log of it was found"
    verdict = execution.verdict
    found = "every expected log is there" if verdict.state == OperationState.CONFIRMED else verdict.reason
    return f"{execution.tx_hash} in block {execution.block.number}, {execution.depth} deep: {found}"


def _carried(transaction: ChainTransaction | None, finalized_nonce: int) -> str:
    if transaction is None:
        return "none"
    spent = "finalized" if finalized_nonce > transaction.nonce else "not finalized"
    note = f" ({transaction.note})" if transaction.note else ""
    return f"nonce {transaction.nonce}, {transaction.state}{note}; the chain's count of that nonce is {spent}"
