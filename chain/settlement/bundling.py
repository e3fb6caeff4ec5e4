"""QUEUED operations become bundles: grouped oldest first, simulated, signed, committed, sent.

One commit binds payloads to nonces: transaction, attempt, BUNDLED and `next_nonce` together, or nothing of it. Only
stored bytes are sent. While little is in flight a bundle is sent at once; the more is in flight, the longer the next
one waits for more operations.
"""

import logging
import time
from uuid import UUID

from django.conf import settings
from django.db.models import Case, F, IntegerField, Value, When

from chain import selectors
from chain.events.cursor import CursorMoved
from chain.events.new_executors import follow_executor
from chain.lending.bundles import OutcomeStatus
from chain.lending.revert_data import describe_revert
from chain.models import ChainTransaction, Operation, OperationState, TransactionAttempt, WalletStatus
from chain.rpc.clients import ChainUnavailable
from chain.settlement.adoption import adopt_execution
from chain.settlement.engine import Deferral, Engine
from chain.settlement.sending import new_attempt, send_attempts
from chain.settlement.simulation import Simulation, simulate_bundles
from chain.settlement.transitions import finish_operation
from chain.settlement.verdicts import OperationVerdict
from chain.states import IN_FLIGHT_STATES, require_edge
from chain.wallet.fees import Fees, quote_fees
from chain.wallet.lease import LeaseLost
from chain.wallet.signer import SignerUnavailable
from partner_platform.core import clock

logger = logging.getLogger(__name__)

# While transactions are in flight a bundle that is not full waits for more operations: longer the more are in flight,
# at most the cap.
GATHER_SECONDS_PER_BUNDLE = 0.05
GATHER_SECONDS_CAP = 0.4
POSTPONE_SECONDS = 1.0
DEFER_REFUSAL_BLOCKS = 10  # how long an operation waits that fails, and that a former transaction may still run


def gather_seconds(in_flight: int) -> float:
    """Seconds after the last bundle for which the next one waits, unless it is full."""
    return min(GATHER_SECONDS_PER_BUNDLE * in_flight, GATHER_SECONDS_CAP)


def send_queued(engine: Engine) -> int:
    """Send as much of the queue as may be in flight; returns how many bundles were sent."""
    if not engine.is_active or not engine.is_current or engine.suspended or time.monotonic() < engine.bundle_not_before:
        return 0
    in_flight = ChainTransaction.objects.filter(wallet=engine.wallet.pk, state__in=IN_FLIGHT_STATES).count()
    slots = engine.wallet.max_in_flight - in_flight
    if slots <= 0:
        return 0
    size = engine.operations_per_bundle
    queued = selectors.queued_operations(slots * size, without=_deferred(engine))
    groups = group_operations(queued, size)[:slots]
    if time.monotonic() - engine.last_bundle_at < gather_seconds(in_flight):
        groups = [full for full in groups if len(full) == size]
    if not groups:
        return 0
    fees = _fees(engine)
    bundles = simulate_until_clean(engine, groups) if fees else []
    if fees is None or not bundles:
        return 0
    engine.last_bundle_at = time.monotonic()
    return _dispatch(engine, bundles, fees)


def _fees(engine: Engine) -> Fees | None:
    """The fees of the next bundles; None, for a while, where there is no key or the base fee is above the cap."""
    engine.bundle_not_before = time.monotonic() + POSTPONE_SECONDS
    try:
        signer = engine.signer
    except SignerUnavailable as error:
        logger.error("nothing can be signed, operations wait: %s", error)  # noqa: TRY400 - no trace of a key
        return None
    fees = quote_fees(engine.require_head().market, cap=engine.wallet.fee_cap_wei)
    if fees is None:
        logger.error("the base fee is above the cap of %d wei of %s", engine.wallet.fee_cap_wei, signer.address)
        return None
    engine.bundle_not_before = 0.0
    return fees


def group_operations(operations: list[Operation], size: int) -> list[list[Operation]]:
    """Bundles of at most `size` operations of one executor in the given order; an operation's own `group_size_limit`
    makes its bundle smaller.
    """
    groups: list[list[Operation]] = []
    limit = 0
    for operation in operations:
        own = min(size, operation.group_size_limit or size)
        if groups and groups[-1][0].executor == operation.executor and len(groups[-1]) < min(limit, own):
            groups[-1].append(operation)
            limit = min(limit, own)
        else:
            groups.append([operation])
            limit = own
    return groups


def simulate_until_clean(engine: Engine, groups: list[list[Operation]]) -> list[Simulation]:
    """Simulate until no operation fails: those that fail are REFUSED, those that were executed before are adopted."""
    ready: list[Simulation] = []
    while groups:
        again: list[list[Operation]] = []
        for simulation in simulate_bundles(engine, groups):
            if simulation.undecided:
                again += _defer_undecided(engine, simulation)
            elif simulation.whole_failure:
                again += _after_whole_failure(engine, simulation)
            elif all(outcome.status == OutcomeStatus.EXECUTED for outcome in simulation.outcomes):
                ready.append(simulation)
            elif rest := _refuse_failing(engine, simulation):
                again.append(rest)
        groups = again if engine.is_active else []
    return ready if engine.is_active else []


def _defer_undecided(engine: Engine, simulation: Simulation) -> list[list[Operation]]:
    """Undecided operations are tried again at the next block; the others of the bundle now."""
    for operation in simulation.undecided:
        _defer(engine, operation, blocks=1, why=simulation.why_undecided)
    rest = [operation for operation in simulation.operations if operation not in simulation.undecided]
    return [rest] if rest else []


def _refuse_failing(engine: Engine, simulation: Simulation) -> list[Operation]:
    rest = []
    for operation, outcome in zip(simulation.operations, simulation.outcomes, strict=True):
        if outcome.status == OutcomeStatus.EXECUTED:
            rest.append(operation)
        elif outcome.status == OutcomeStatus.SKIPPED:
            adopt_execution(engine, operation)
        else:
            _refuse(engine, operation, describe_revert(outcome.reason))
    return rest


def _deferred(engine: Engine) -> list[UUID]:
    """The operations that are not tried again yet."""
    head = engine.require_head().number
    engine.deferred = {pk: deferral for pk, deferral in engine.deferred.items() if head < deferral.until_block}
    return list(engine.deferred)


def _defer(engine: Engine, operation: Operation, *, blocks: int, why: str) -> None:
    engine.deferred[operation.pk] = Deferral(engine.require_head().number + blocks, why)
    logger.info("%s stays queued: %s", operation.key, why)


def _refuse(engine: Engine, operation: Operation, reason: str) -> None:
    """The simulation fails: nothing was spent, its owner may release what it reserved.

    Not while a former transaction may still run it: then it stays QUEUED, and is simulated again some blocks later.
    """
    if former := selectors.former_transactions_that_may_run(operation):
        nonces = ", ".join(str(transaction.nonce) for transaction in former)
        why = f"it would fail ({reason}), and is not refused before nonce {nonces} is final"
        _defer(engine, operation, blocks=DEFER_REFUSAL_BLOCKS, why=why)
        return
    finish_operation(engine, operation, OperationVerdict(OperationState.REFUSED, reason))
    logger.info("refused %s: %s", operation.key, reason)


def _after_whole_failure(engine: Engine, simulation: Simulation) -> list[list[Operation]]:
    """A bundle short of gas is halved. Anything else is not the fault of one operation: the wallet freezes and they
    stay QUEUED; where the executor was replaced, only its own operations need review.
    """
    operations = simulation.operations
    if not simulation.short_of_gas and simulation.executor != settings.PLATFORM_EXECUTOR_ADDRESS:
        reason = f"the replaced executor {simulation.executor} refuses them: {simulation.whole_failure}"
        for operation in operations:
            finish_operation(engine, operation, OperationVerdict(OperationState.NEEDS_REVIEW, reason))
        return []
    if not simulation.short_of_gas:
        engine.freeze(f"the executor refuses bundles: {simulation.whole_failure}")
        return []
    if len(operations) == 1:
        _refuse(engine, operations[0], "needs more gas than a bundle has")
        return []
    half = len(operations) // 2
    return [operations[:half], operations[half:]]


def _dispatch(engine: Engine, simulations: list[Simulation], fees: Fees) -> int:
    """Sign, commit, send. Operations wait while the events of their executor cannot be followed."""
    followed = {executor: _is_followed(engine, executor) for executor in {each.executor for each in simulations}}
    simulations = [simulation for simulation in simulations if followed[simulation.executor]]
    if not simulations:
        return 0
    first = engine.wallet.next_nonce
    bundles = [_prepare(engine, simulation, first + index, fees) for index, simulation in enumerate(simulations)]
    engine.lease.write(
        lambda: _store(bundles),
        where={"next_nonce": first, "status": WalletStatus.ACTIVE},
        next_nonce=F("next_nonce") + len(bundles),
    )
    engine.wallet.next_nonce = first + len(bundles)
    send_attempts(engine, [(transaction, attempt) for transaction, attempt, _ in bundles])
    return len(bundles)


def _is_followed(engine: Engine, executor: str) -> bool:
    if executor in engine.known_executors:
        return True
    try:
        follow_executor(executor)
    except (ChainUnavailable, CursorMoved) as error:
        logger.warning("nothing is sent to executor %s yet, its events cannot be followed: %s", executor, error)
        return False
    engine.known_executors.add(executor)
    return True


SignedBundle = tuple[ChainTransaction, TransactionAttempt, list[Operation]]


def _prepare(engine: Engine, simulation: Simulation, nonce: int, fees: Fees) -> SignedBundle:
    gas_limit = settings.CHAIN_BUNDLE_GAS_LIMIT
    executor = simulation.executor
    signed = engine.signer.sign(to=executor, data=simulation.data, nonce=nonce, gas_limit=gas_limit, fees=fees)
    transaction = ChainTransaction(
        wallet_id=engine.wallet.pk,
        nonce=nonce,
        executor=executor,
        gas_limit=gas_limit,
        open_since_block=engine.require_head().number,
    )
    return transaction, new_attempt(transaction, signed, fees), simulation.operations


def _store(bundles: list[SignedBundle]) -> None:
    ChainTransaction.objects.bulk_create([transaction for transaction, _, _ in bundles])
    TransactionAttempt.objects.bulk_create([attempt for _, attempt, _ in bundles])
    for transaction, _, operations in bundles:
        _bind(transaction, operations)


def _bind(transaction: ChainTransaction, operations: list[Operation]) -> None:
    """Move the operations into their bundle; where one of them is no longer QUEUED the whole commit is undone."""
    positions = [When(pk=operation.pk, then=Value(index)) for index, operation in enumerate(operations)]
    require_edge(OperationState.QUEUED, OperationState.BUNDLED)
    queued = Operation.objects.filter(pk__in=[operation.pk for operation in operations], state=OperationState.QUEUED)
    bundled = queued.update(
        state=OperationState.BUNDLED,
        transaction=transaction.pk,
        position_in_bundle=Case(*positions, default=Value(0), output_field=IntegerField()),
        reason="",
        updated_at=clock.now(),
    )
    if bundled != len(operations):
        raise LeaseLost(f"operations of nonce {transaction.nonce} were taken by somebody else")
