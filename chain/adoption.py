"""An operation that the chain already executed is not sent again: the log of its execution is found and settles it.

That is how a database restored from a backup, or a uid in two carriers, ends with one effect.
"""

import logging
from dataclasses import dataclass
from typing import Any

from chain.clients import RpcError
from chain.encoding import OPERATION_EXECUTED_TOPIC
from chain.engine import Engine
from chain.landing import NO_CARRIER, Block, finish_operation
from chain.models import Operation, OperationState
from chain.verdicts import Verdict, judge, kept, split_logs

logger = logging.getLogger(__name__)

WINDOW_BLOCKS = 5_000  # nodes limit the range of eth_getLogs
MAX_WINDOWS = 200


@dataclass(frozen=True)
class Execution:
    """Where an operation was executed, and what its logs there say."""

    tx_hash: str
    block: Block
    depth: int
    verdict: Verdict
    logs: list[dict[str, Any]]  # all that belong to it, expected or not

    def fields(self) -> dict[str, Any]:
        """What an operation that was executed there is to say about it."""
        return {"tx_hash": self.tx_hash, **self.block.operation_fields()}


def adopt(engine: Engine, operation: Operation) -> None:
    """Settle an operation from its execution on the chain: once that is deep enough; until then it stays as it is."""
    execution = find_execution(engine, operation)
    if execution is None:
        reason = "the executor says it was executed, and no log of that was found"
        finish_operation(engine, operation, Verdict(OperationState.NEEDS_REVIEW, reason))
    elif execution.depth >= engine.confirmations:
        # Without a carrier it is followed by its own block: a carrier it may have had is not the one that ran it.
        finish_operation(engine, operation, execution.verdict, **execution.fields(), **NO_CARRIER)
        logger.warning("adopted %s: it was executed in %s", operation.key, execution.tx_hash)


def find_execution(engine: Engine, operation: Operation) -> Execution | None:
    """The canonical execution of an operation's uid, None where no log of it is found."""
    log = _find_log(engine, operation.uid)
    if log is None:
        return None
    receipt, block = engine.fetch(
        ("eth_getTransactionReceipt", [log["transactionHash"]]), ("eth_getBlockByNumber", [log["blockNumber"], False])
    )
    if receipt is None or block is None or block["hash"] != receipt["blockHash"]:
        return None
    found = split_logs(receipt["logs"], engine.executor).get(operation.uid.lower())
    return Execution(
        tx_hash=log["transactionHash"].lower(),
        block=Block.from_json(block),
        depth=engine.require_head().number - int(block["number"], 16) + 1,
        verdict=judge(operation, found),
        logs=[] if found is None else [kept(log) for log in found.logs],
    )


def _find_log(engine: Engine, uid: str) -> dict[str, Any] | None:
    """All of the chain at once where the node allows it, else backwards in windows."""
    try:
        return _log_between(engine, uid, "0x0", "latest")
    except RpcError as error:
        logger.info("the node limits eth_getLogs (%s): searching in windows", error.message)
    end = engine.require_head().number
    for _ in range(MAX_WINDOWS):
        start = max(end - WINDOW_BLOCKS + 1, 0)
        log = _log_between(engine, uid, hex(start), hex(end))
        if log is not None or start == 0:
            return log
        end = start - 1
    return None


def _log_between(engine: Engine, uid: str, start: str, end: str) -> dict[str, Any] | None:
    query = {"address": engine.executor, "topics": [OPERATION_EXECUTED_TOPIC, uid], "fromBlock": start, "toBlock": end}
    logs = engine.client.call("eth_getLogs", [query])
    return logs[-1] if logs else None
