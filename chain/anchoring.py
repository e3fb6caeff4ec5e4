"""The head of the audit trail on the chain, once a UTC day, through the executor like every other operation.

The `AuditAnchor` contract keeps a list for each caller, here the executor, that only grows. Whoever rewrites or cuts
the trail in the database, whatever keys of ours they hold, cannot make it agree with what stood there before. Source:
docs/audit.md.
"""

import datetime as dt
import logging
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from web3.exceptions import BadFunctionCallOutput

from audit.models import AuditBlock
from audit.selectors import newest_block
from audit.services import record_change
from audit.trail.anchors import Anchor, AnchorsUnreadable
from chain import selectors, services
from chain.lending.contracts import call_together, contract_at
from chain.lending.encoding import Call, address_topic, to_bytes, topic_of, uint_topic
from chain.lending.fast_codec import function
from chain.models import Operation, OperationState
from chain.rpc.clients import ChainUnavailable, RpcError, get_client
from chain.rpc.provider import web3_over
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.text.wording import reason

logger = logging.getLogger(__name__)

KIND = "anchor"
ACTOR = "system:anchor"
ATTEMPTS_A_DAY = 5
ANCHORED_TOPIC = topic_of("AuditAnchor", "Anchored")
READ_AT_ONCE = 200
AT_ONCE = 10  # of those that became final


def anchor_due() -> Operation | None:
    """Enqueue today's anchor; None where it is enqueued already, there is nothing to anchor, or no contract for it.

    One that the chain refused is tried again under another key, a few times a day.
    """
    _record_settled()
    block = newest_block()
    if block is None or not settings.AUDIT_ANCHOR_ADDRESS or not settings.PLATFORM_EXECUTOR_ADDRESS:
        return None
    key = _free_key(clock.today())
    if key is None:
        return None
    try:
        return run_in_transaction(lambda: _enqueue(key, block))
    except IntegrityError:
        return None  # another worker was first


def read_anchors() -> list[Anchor] | None:
    """What the executor has anchored so far, oldest first; None where no contract is configured."""
    address, executor = settings.AUDIT_ANCHOR_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS
    if not address or not executor:
        return None
    w3 = web3_over(get_client())
    contract = contract_at("AuditAnchor", address, w3).functions
    try:
        count = contract.count(executor).call()
        found: list[Any] = []
        for start in range(0, count, READ_AT_ONCE):
            numbers = range(start, min(start + READ_AT_ONCE, count))
            found += call_together(w3, [contract.anchorAt(executor, number) for number in numbers])
    except BadFunctionCallOutput as error:
        raise AnchorsUnreadable("AUDIT_ANCHOR_ADDRESS is no AuditAnchor on this chain") from error
    except (ChainUnavailable, RpcError) as error:
        raise AnchorsUnreadable(str(error)) from error
    return [Anchor(sequence=sequence, head=head.hex(), time=time) for head, sequence, time in found]


def _enqueue(key: str, block: AuditBlock) -> Operation:
    contract, head = settings.AUDIT_ANCHOR_ADDRESS, "0x" + block.hash
    data = function("AuditAnchor", "anchor").encode(to_bytes(head), block.last_sequence)
    call = Call(contract, 0, data)
    topics = [ANCHORED_TOPIC, address_topic(settings.PLATFORM_EXECUTOR_ADDRESS), uint_topic(block.last_sequence)]
    effect = [{"address": contract.lower(), "topics": topics, "data": head}]
    operation = services.enqueue(key=key, kind=KIND, calls=[call], effect=effect)
    # An entry of its own, so that tomorrow there is something new to anchor whatever happens until then.
    record_change(
        actor=ACTOR,
        action="audit.anchor_requested",
        target=f"operation:{operation.pk}",
        after={"key": key, "sequence": block.last_sequence, "head": block.hash},
    )
    return operation


def _free_key(day: dt.date) -> str | None:
    """The key of the day's next attempt; None where one is under way or done."""
    for attempt in range(1, ATTEMPTS_A_DAY + 1):
        key = f"{KIND}:{day.isoformat()}:{attempt}"
        state = Operation.objects.filter(key=key).values_list("state", flat=True).first()
        if state is None:
            return key
        if state not in (OperationState.REFUSED, OperationState.FAILED):
            return None
    return None


def _record_settled() -> None:
    """What became of earlier ones, into the trail: once each, and once more where a reorg undid what was told."""
    for operation in selectors.reopened(KIND, AT_ONCE):
        services.acknowledge_reopened(operation_id=operation.pk)  # the engine recorded that it was undone
    for operation in [*selectors.unacknowledged(KIND, AT_ONCE), *selectors.due_again(KIND, AT_ONCE)]:
        try:
            run_in_transaction(partial(_record, operation))
        except Exception as error:
            logger.exception("%s could not be recorded; it is put off by itself", operation.key)
            services.put_off(operation=operation, why=reason(error))


def _record(operation: Operation) -> None:
    if not services.acknowledge(operation=operation):
        return
    if operation.state != OperationState.CONFIRMED:
        logger.error("the audit trail could not be anchored: %s %s", operation.state, operation.reason)
    record_change(
        actor=ACTOR,
        action="audit.anchored" if operation.state == OperationState.CONFIRMED else "audit.anchor_failed",
        target=f"operation:{operation.pk}",
        after={
            "state": operation.state,
            "transactionHash": operation.tx_hash,
            "blockNumber": operation.block_number,
            "reason": operation.reason,
        },
    )
