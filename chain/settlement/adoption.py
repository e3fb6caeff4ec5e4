"""Adoption: an operation that the chain executed already is not sent again; the log of its execution settles it.

A database restored from a backup, or a uid in two transactions, ends with one effect this way.
"""

import logging
from dataclasses import dataclass
from typing import Any

from chain.lending.encoding import OPERATION_EXECUTED_TOPIC
from chain.models import Operation, OperationState
from chain.rpc.clients import ChainUnavailable, RpcError
from chain.rpc.evidence import corroborated
from chain.settlement.engine import Engine
from chain.settlement.transitions import NO_TRANSACTION, Block, finish_operation
from chain.settlement.verdicts import OperationVerdict, judge_operation, split_logs, stored_log

logger = logging.getLogger(__name__)

WINDOW_BLOCKS = 5_000  # nodes limit the range of eth_getLogs
MAX_WINDOWS = 200


@dataclass(frozen=True)
class Execution:
    """Where an operation was executed, and what its logs there say.

    `depth` in blocks; 0 where not every endpoint shows the execution yet, however deep it is at one of them.
    """

    tx_hash: str
    block: Block
    depth: int
    verdict: OperationVerdict
    logs: list[dict[str, Any]]  # all that belong to it, expected or not

    def fields(self) -> dict[str, object]:
        """The fields of an operation that was executed there."""
        return {"tx_hash": self.tx_hash, **self.block.operation_fields()}


def adopt_execution(engine: Engine, operation: Operation) -> None:
    """Settle an operation by its execution on the chain, once that is deep enough; until then nothing is written."""
    execution = find_execution(engine, operation)
    if execution is None:
        reason = "the executor says it was executed, and no log of that was found"
        finish_operation(engine, operation, OperationVerdict(OperationState.NEEDS_REVIEW, reason))
    elif execution.depth >= engine.confirmations:
        # The transaction it may have had is not the one that ran it: it is followed by its own block instead.
        finish_operation(engine, operation, execution.verdict, **execution.fields(), **NO_TRANSACTION)
        logger.warning("adopted %s: it was executed in %s", operation.key, execution.tx_hash)


def find_execution(engine: Engine, operation: Operation) -> Execution | None:
    """The canonical execution of an operation's uid by its executor; None where no log of it is found."""
    log = _find_log(engine, operation)
    if log is None:
        return None
    receipt, block, newest = engine.fetch(
        ("eth_getTransactionReceipt", [log["transactionHash"]]),
        ("eth_getBlockByNumber", [log["blockNumber"], False]),
        ("eth_getBlockByNumber", [hex(engine.require_head().number), False]),
    )
    if newest is None or newest["hash"] != engine.require_head().hash:
        raise ChainUnavailable("The chain moved while it was read")
    if receipt is None or block is None or block["hash"] != receipt["blockHash"]:
        return None
    found = split_logs(receipt["logs"], operation.executor).get(operation.uid.lower())
    is_agreed = bool(corroborated(engine.client, [receipt]))
    return Execution(
        tx_hash=log["transactionHash"].lower(),
        block=Block.from_json(block),
        depth=engine.require_head().number - int(block["number"], 16) + 1 if is_agreed else 0,
        verdict=judge_operation(operation, found),
        logs=[] if found is None else [stored_log(log) for log in found.logs],
    )


def _find_log(engine: Engine, operation: Operation) -> dict[str, Any] | None:
    """Search the whole chain at once, or backwards in windows where the node does not allow that.

    A node refuses a range that is too wide, some with the code of an overload, or does not answer in time.
    """
    end = engine.require_head().number
    try:
        return _log_between(engine, operation, 0, end)
    except (RpcError, ChainUnavailable) as error:
        logger.info("the node limits eth_getLogs (%s): searching in windows", error)
    for _ in range(MAX_WINDOWS):
        start = max(end - WINDOW_BLOCKS + 1, 0)
        log = _log_between(engine, operation, start, end)
        if log is not None or start == 0:
            return log
        end = start - 1
    return None


def _log_between(engine: Engine, operation: Operation, start: int, end: int) -> dict[str, Any] | None:
    """The newest log of the execution in these blocks, from a node that has the last of them.

    Raises `ChainUnavailable` where it has not: a missing log would then prove nothing.
    """
    topics = [OPERATION_EXECUTED_TOPIC, operation.uid]
    query = {"address": operation.executor, "topics": topics, "fromBlock": hex(start), "toBlock": hex(end)}
    logs, last = engine.fetch(("eth_getLogs", [query]), ("eth_getBlockByNumber", [hex(end), False]))
    if last is None:
        raise ChainUnavailable("The node lags behind")
    return logs[-1] if logs else None
