"""What happens when a transaction reverts.

- One operation reverts: the executor undoes that operation alone, emits `OperationFailed` and goes on, so the
  transaction itself succeeds. `verdicts.judge_operation` reads the event; the operation becomes FAILED, and its owner
  releases what it reserved.
- The whole transaction reverts (the executor is paused, the wallet is not its operator, gas ran out): nothing in the
  bundle was done. The transaction becomes REVERTED and `requeue_bundle` queues its operations again, in smaller
  bundles.
- A revert in the simulation costs nothing: `bundling` refuses the operation (REFUSED), or freezes the wallet where the
  executor refuses the whole bundle.

A revert in a block is not written before the block is `CHAIN_CONFIRMATIONS` deep: until then a reorg may turn it into a
success (F30). `settling.settle_mined` calls what is here.
"""

from collections.abc import Sequence

from chain.models import Operation, OperationState
from chain.settlement.transitions import NO_OUTCOME, REASON_LENGTH, leave_transaction, move_operations


def requeue_bundle(operations: Sequence[Operation], why: str) -> None:
    """Queue the operations of a transaction that did nothing again, in bundles of half the size.

    An operation that was alone in its bundle twice needs review. Inside the caller's database transaction. Should a
    reorg let the old transaction run after all, the uid prevents a second effect, and `former_transactions` keeps the
    operation from being refused before that is impossible.
    """
    alone_again = [op for op in operations if len(operations) == 1 and op.group_size_limit == 1]
    reason = f"alone in its bundle twice: {why}"[:REASON_LENGTH]
    move_operations(alone_again, OperationState.NEEDS_REVIEW, reason=reason)
    limit = max(len(operations) // 2, 1)
    for operation in sorted(operations, key=lambda operation: operation.pk):
        if operation not in alone_again:
            fields = {**leave_transaction(operation), **NO_OUTCOME, "group_size_limit": limit}
            move_operations([operation], OperationState.QUEUED, **fields)
