"""What a driver does first, however the one before it ended.

The lease's epoch has risen by then, so an earlier driver that still runs writes nothing. Every nonce between the
chain's count and our counter needs a transaction that can be mined: what is stored is sent again (it may never have
been sent, F2, or its answer was lost, F3), and a nonce without a transaction gets a noop, for one gap blocks all later
nonces.
"""

import logging

from django.conf import settings

from chain.models import ChainTransaction, TransactionAttempt
from chain.settlement import nonces, restoring
from chain.settlement.engine import Engine
from chain.settlement.reorgs import roll_back_orphaned
from chain.settlement.sending import Send, noop_attempt, resend_transactions, send_attempts
from chain.states import IN_FLIGHT_STATES
from chain.wallet.fees import Fees, quote_fees
from chain.wallet.signer import SignerUnavailable

logger = logging.getLogger(__name__)


def recover(engine: Engine) -> None:
    """Roll back what a reorg orphaned since the last driver, check the nonce counter (F9, F12), close gaps, and resend
    what is in flight.
    """
    engine.read_head()
    roll_back_orphaned(engine)
    counts = nonces.check_counter(engine)
    restoring.compare_if_pending(engine)
    in_flight = ChainTransaction.objects.filter(wallet=engine.wallet.pk, state__in=IN_FLIGHT_STATES)
    stored = list(in_flight.order_by("nonce").prefetch_related("attempts"))
    if counts is not None:
        _close_gaps(engine, range(max(counts.mined, engine.wallet.nonces_from), engine.wallet.next_nonce))
    resend_transactions(engine, [transaction for transaction in stored if transaction.attempts.all()])


def _close_gaps(engine: Engine, nonces: range) -> None:
    known = set(
        ChainTransaction.objects.filter(wallet=engine.wallet.pk, nonce__gte=nonces.start).values_list(
            "nonce", flat=True
        )
    )
    missing = [nonce for nonce in nonces if nonce not in known]
    if not missing:
        return
    try:
        noops = [_store_noop(engine, nonce) for nonce in missing]
    except SignerUnavailable as error:
        logger.error("nonces %s have no transaction: %s", missing, error)  # noqa: TRY400 - no trace of a key
        return
    send_attempts(engine, noops)


def _store_noop(engine: Engine, nonce: int) -> Send:
    cap = engine.wallet.fee_cap_wei
    fees = quote_fees(engine.require_head().market, cap=cap) or Fees(max_fee=cap, tip=0)
    transaction = ChainTransaction(
        wallet_id=engine.wallet.pk,
        nonce=nonce,
        gas_limit=settings.CHAIN_BUNDLE_GAS_LIMIT,
        open_since_block=engine.require_head().number,
        note="it closes a gap",
    )
    attempt = noop_attempt(engine, transaction, fees)

    def store() -> None:
        ChainTransaction.objects.bulk_create([transaction])
        TransactionAttempt.objects.bulk_create([attempt])

    engine.lease.write(store)
    logger.error("nonce %d had no transaction; a noop takes it", nonce)
    return transaction, attempt
