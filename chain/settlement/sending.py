"""Makes the signed forms of a transaction (attempts), sends their stored bytes to the nodes, and acts on the answers.

accepted, already known      -> BROADCAST
nonce too low                -> BROADCAST; tracking looks ours up by its hash
underpriced                  -> bump the same nonce
no funds                     -> wallet PAUSED, the nonce is kept; tracking resends it until a node takes it
malformed, endpoints agree   -> a noop takes the nonce, the operations go back to the queue
anything else                -> nothing: the same bytes are sent again at a later block
"""

import logging
from collections.abc import Sequence

from django.db.models import F

from chain import metrics
from chain.models import (
    AttemptKind,
    ChainTransaction,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)
from chain.rpc.clients import SendAnswer
from chain.rpc.errors import SendClass
from chain.settlement.engine import Engine
from chain.states import require_edge
from chain.wallet.fees import Fees, bump_fees
from chain.wallet.signer import SignedTransaction, SignerUnavailable
from partner_platform.core import clock

logger = logging.getLogger(__name__)

Send = tuple[ChainTransaction, TransactionAttempt]

_BROADCAST = (SendClass.ACCEPTED, SendClass.ALREADY_KNOWN, SendClass.NONCE_TOO_LOW)
_ERROR_LENGTH = 500


def send_attempts(engine: Engine, sends: Sequence[Send], *, may_bump: bool = True) -> None:
    """Send stored attempts in nonce order, in one post; store the answers and act on them."""
    if not sends:
        return
    answers = engine.client.send_raw([attempt.raw for _, attempt in sends])
    engine.sent_count += len(sends)
    answered = list(zip(sends, answers, strict=True))
    _note(engine, answered)
    _resume_if_accepted(engine, answers)
    for (transaction, _), answer in answered:
        _react(engine, transaction, answer, may_bump=may_bump)


def resend_transactions(engine: Engine, transactions: Sequence[ChainTransaction]) -> None:
    """Send the attempt with the highest fee of each again."""
    send_attempts(engine, [(transaction, best_attempt(transaction)) for transaction in transactions])


def raise_fee(engine: Engine, transaction: ChainTransaction) -> None:
    """Bump the fee: commit an attempt with a higher fee for the same nonce, then send it. Above the wallet's cap the
    old one is sent again, and an ERROR is logged.
    """
    try:
        attempt = bumped_attempt(engine, transaction)
    except SignerUnavailable as error:
        logger.error("cannot bump nonce %d: %s", transaction.nonce, error)  # noqa: TRY400 - no trace of a key
        attempt = None
    else:
        if attempt is None:
            logger.error("nonce %d needs more than the cap of %d wei", transaction.nonce, engine.wallet.fee_cap_wei)
    if attempt is None:
        send_attempts(engine, [(transaction, best_attempt(transaction))], may_bump=False)
        return
    _commit_attempt(engine, transaction, attempt)
    send_attempts(engine, [(transaction, attempt)], may_bump=False)


def send_noop(engine: Engine, transaction: ChainTransaction, note: str) -> None:
    """Let a noop take the nonce of a payload that no node accepts; once it is mined the operations are queued again."""
    best = best_attempt(transaction)
    fees = bump_fees(fees_of(best), engine.require_head().market, cap=engine.wallet.fee_cap_wei) or fees_of(best)
    try:
        attempt = noop_attempt(engine, transaction, fees)
    except SignerUnavailable as error:
        logger.error("no noop for nonce %d: %s", transaction.nonce, error)  # noqa: TRY400 - no trace of a key
        return
    logger.error("nonce %d: %s; a noop takes it", transaction.nonce, note)
    _commit_attempt(engine, transaction, attempt, note=note[:300])
    send_attempts(engine, [(transaction, attempt)], may_bump=False)


def _commit_attempt(engine: Engine, transaction: ChainTransaction, attempt: TransactionAttempt, **changes: str) -> None:
    bumped_at = engine.require_head().number

    def store() -> None:
        TransactionAttempt.objects.bulk_create([attempt])
        ChainTransaction.objects.filter(pk=transaction.pk).update(
            last_bump_block=bumped_at, updated_at=clock.now(), **changes
        )

    engine.lease.write(store)
    transaction.last_bump_block = bumped_at


def _note(engine: Engine, answered: list[tuple[Send, SendAnswer]]) -> None:
    """Store the sends and their answers, in as many statements for a hundred as for one."""
    head = engine.require_head().number
    transactions = [transaction for (transaction, _), _ in answered]
    broadcast = [transaction.pk for (transaction, _), answer in answered if answer.meaning in _BROADCAST]
    refused = [(attempt, answer) for (_, attempt), answer in answered if answer.error or not answer.is_settled]
    require_edge(TransactionState.SIGNED, TransactionState.BROADCAST)

    def note() -> None:
        rows = ChainTransaction.objects.filter(pk__in=[transaction.pk for transaction in transactions])
        rows.update(last_sent_block=head, updated_at=clock.now())
        rows.filter(last_bump_block__isnull=True).update(last_bump_block=head)
        ChainTransaction.objects.filter(pk__in=broadcast, state=TransactionState.SIGNED).update(
            state=TransactionState.BROADCAST, updated_at=clock.now()
        )
        attempts = [attempt.pk for (_, attempt), _ in answered]
        TransactionAttempt.objects.filter(pk__in=attempts).update(
            send_count=F("send_count") + 1, last_error="", last_error_class=""
        )
        for attempt, answer in refused:
            TransactionAttempt.objects.filter(pk=attempt.pk).update(
                last_error=answer.error[:_ERROR_LENGTH],
                last_error_class="" if answer.is_settled else answer.meaning.value,
            )

    engine.lease.write(note)


def _react(engine: Engine, transaction: ChainTransaction, answer: SendAnswer, *, may_bump: bool) -> None:
    meaning = answer.meaning
    if meaning in _BROADCAST:
        return
    metrics.send_refusals.labels(meaning).inc()
    logger.warning("nonce %d was not accepted (%s): %s", transaction.nonce, meaning, answer.error)
    if meaning == SendClass.UNDERPRICED and may_bump:
        engine.read_head()  # the base fee may have changed since the fees were quoted
        raise_fee(engine, transaction)
    elif meaning == SendClass.NO_FUNDS:
        engine.set_status(WalletStatus.PAUSED, f"no gas money: {answer.error}", from_states=(WalletStatus.ACTIVE,))
    elif meaning == SendClass.MALFORMED and not _has_noop(transaction):
        send_noop(engine, transaction, f"refused by every endpoint: {answer.error}")


def _resume_if_accepted(engine: Engine, answers: list[SendAnswer]) -> None:
    if engine.wallet.status == WalletStatus.PAUSED and any(answer.is_settled for answer in answers):
        engine.set_status(WalletStatus.ACTIVE, from_states=(WalletStatus.PAUSED,))


def _has_noop(transaction: ChainTransaction) -> bool:
    return TransactionAttempt.objects.filter(transaction=transaction.pk, kind=AttemptKind.NOOP).exists()


def new_attempt(
    transaction: ChainTransaction, signed: SignedTransaction, fees: Fees, kind: AttemptKind = AttemptKind.PAYLOAD
) -> TransactionAttempt:
    """The row of a signed form, not stored yet."""
    return TransactionAttempt(
        transaction=transaction,
        kind=kind,
        raw=signed.raw,
        tx_hash=signed.tx_hash,
        max_fee_per_gas_wei=fees.max_fee,
        max_priority_fee_per_gas_wei=fees.tip,
    )


def best_attempt(transaction: ChainTransaction) -> TransactionAttempt:
    """The attempt with the highest fee: the one that a pool keeps, so the one to resend. There is always one."""
    return max(transaction.attempts.all(), key=lambda attempt: (attempt.max_fee_per_gas_wei, attempt.created_at))


def fees_of(attempt: TransactionAttempt) -> Fees:
    return Fees(max_fee=attempt.max_fee_per_gas_wei, tip=attempt.max_priority_fee_per_gas_wei)


def bumped_attempt(engine: Engine, transaction: ChainTransaction) -> TransactionAttempt | None:
    """The same payload for the same nonce at a bumped fee, not stored yet; None where it is above the wallet's cap."""
    best = best_attempt(transaction)
    fees = bump_fees(fees_of(best), engine.require_head().market, cap=engine.wallet.fee_cap_wei)
    if fees is None:
        return None
    signed = engine.signer.sign_again(best.raw, fees=fees)
    return new_attempt(transaction, signed, fees, AttemptKind(best.kind))


def noop_attempt(engine: Engine, transaction: ChainTransaction, fees: Fees) -> TransactionAttempt:
    """A transaction to ourselves that does nothing but take the nonce, not stored yet.

    It has the same gas limit as all others: anvil silently drops a smaller transaction behind one that does not fit.
    """
    signed = engine.signer.sign(
        to=engine.wallet.address, data="0x", nonce=transaction.nonce, gas_limit=transaction.gas_limit, fees=fees
    )
    return new_attempt(transaction, signed, fees, AttemptKind.NOOP)
