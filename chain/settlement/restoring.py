"""After the database was restored from a backup: compare it with the chain (F12).

A final nonce count above our counter shows it (`chain.settlement.nonces`). In one commit the counter is raised, the
comparison noted as pending and the wallet FROZEN, so that a driver killed in the middle leaves the rest to the next
one. Then `executed(uid)` is read for every open operation, and what was executed is adopted from its own log. Where the
executor ran uids that the database does not have, requests were accepted after the backup and are lost: only a person
can enter those, so the wallet stays frozen with their names.
"""

import logging

from audit.services import record_change
from chain import selectors
from chain.lending import readings
from chain.lending.encoding import OPERATION_EXECUTED_TOPIC
from chain.models import Operation, OperationState, PlatformWallet, TransactionAttempt
from chain.rpc.clients import ChainUnavailable, RpcError
from chain.settlement.adoption import WINDOW_BLOCKS, adopt_execution, find_execution
from chain.settlement.engine import Engine
from chain.states import OPERATION_EDGES
from chain.wallet import freezing

logger = logging.getLogger(__name__)

SCAN_REASON = "the chain is ahead of the database: reading which open operations it has executed"
UIDS_PER_POST = 200
NAMED_UIDS = 2
_ADOPTABLE = [state.value for state, targets in OPERATION_EDGES.items() if OperationState.CONFIRMED in targets]


def raise_counter(engine: Engine, *, final: int, final_block: int) -> None:
    """Nonces below `final` are used, as of the final block `final_block`: raise the counter and freeze the wallet."""
    before = engine.wallet.next_nonce
    incident = f"nonces {before} to {final - 1} were used by transactions that the database does not know"

    def write() -> None:
        mine = PlatformWallet.objects.filter(pk=engine.wallet.pk)
        mine.filter(next_nonce__lt=final).update(
            next_nonce=final, nonces_from=final, nonces_block=final_block, scan_pending=True
        )
        freezing.raise_incident(engine.wallet.pk, incident)
        freezing.freeze_wallet(engine.wallet.pk, SCAN_REASON)
        record_change(
            actor="system:settlement",
            action="settlement.behind_the_chain",
            target=f"wallet:{engine.wallet.address}",
            before={"nextNonce": before},
            after={"nextNonce": final, "finalBlock": final_block},
        )

    engine.lease.write(write)
    engine.wallet.refresh_from_db()
    logger.error("wallet %s: %s", engine.wallet.address, incident)


def compare_if_pending(engine: Engine) -> None:
    """Compare the database with the chain where that is pending."""
    if engine.wallet.scan_pending:
        compare_with_chain(engine)


def compare_with_chain(engine: Engine) -> None:
    """Adopt what was executed and name what is unknown; then unfreeze, unless there is another reason."""
    open_operations = list(Operation.objects.filter(state__in=_ADOPTABLE).order_by("created_at", "id"))
    executed = _executed(engine, open_operations)
    for operation in open_operations:
        if operation.uid in executed:
            _adopt_unless_ours(engine, operation)
    unknown = [uid for executor in selectors.executor_addresses() for uid in _unknown_uids(engine, executor)]
    _finish(engine, unknown)


def _executed(engine: Engine, operations: list[Operation]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(operations), UIDS_PER_POST):
        chosen = operations[start : start + UIDS_PER_POST]
        pairs = [(operation.executor, operation.uid) for operation in chosen]
        found |= readings.read_executed(pairs, engine.require_head().number)
        engine.lease.renew_if_due()
    return found


def _adopt_unless_ours(engine: Engine, operation: Operation) -> None:
    """Adopt it, unless an attempt of its own transaction executed it: tracking settles that one."""
    execution = find_execution(engine, operation)
    transaction = operation.transaction_id
    if execution and TransactionAttempt.objects.filter(transaction=transaction, tx_hash=execution.tx_hash).exists():
        return
    adopt_execution(engine, operation)


def _unknown_uids(engine: Engine, executor: str) -> list[str]:
    uids = _executed_uids(engine, executor)
    known: set[str] = set()
    for start in range(0, len(uids), UIDS_PER_POST):
        chunk = uids[start : start + UIDS_PER_POST]
        known |= set(Operation.objects.filter(uid__in=chunk).values_list("uid", flat=True))
    return [uid for uid in uids if uid not in known]


def _executed_uids(engine: Engine, executor: str) -> list[str]:
    """Every uid that the executor ran, in the order of the chain; in windows where a node limits `eth_getLogs`."""
    head = engine.require_head().number
    try:
        return _uids_between(engine, executor, 0, head)
    except (RpcError, ChainUnavailable) as error:
        logger.info("the node limits eth_getLogs (%s): reading in windows", error)
    uids: list[str] = []
    for start in range(0, head + 1, WINDOW_BLOCKS):
        uids += _uids_between(engine, executor, start, min(start + WINDOW_BLOCKS - 1, head))
        engine.lease.renew_if_due()
    return uids


def _uids_between(engine: Engine, executor: str, start: int, end: int) -> list[str]:
    """The uids that any endpoint shows, for an endpoint that leaves out a log would hide a lost request.

    Raises `ChainUnavailable` where one of them does not have the last of these blocks.
    """
    query = {"address": executor, "topics": [OPERATION_EXECUTED_TOPIC], "fromBlock": hex(start), "toBlock": hex(end)}
    uids: dict[str, None] = {}  # in the order of the chain
    for results in engine.client.everyone([("eth_getLogs", [query]), ("eth_getBlockByNumber", [hex(end), False])]):
        for result in results:
            if isinstance(result, RpcError):
                raise result
        logs, last = results
        if last is None:
            raise ChainUnavailable("An endpoint lags behind")
        uids |= dict.fromkeys(log["topics"][1].lower() for log in logs)
    return list(uids)


def _finish(engine: Engine, unknown: list[str]) -> None:
    named = ", ".join(unknown[:NAMED_UIDS])
    reason = f"the chain executed {len(unknown)} operations that the database does not know: {named}" if unknown else ""

    def write() -> None:
        PlatformWallet.objects.filter(pk=engine.wallet.pk).update(scan_pending=False)
        freezing.drop_freeze_reason(engine.wallet.pk, SCAN_REASON)
        if unknown:
            freezing.freeze_wallet(engine.wallet.pk, reason)

    engine.lease.write(write)
    engine.wallet.refresh_from_db()
    logger.error("scan after a restore: %s", reason or "every open operation was compared with the chain")
