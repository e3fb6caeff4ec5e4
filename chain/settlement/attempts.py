"""Attempts, the signed forms of a transaction: the first, one with a higher fee, a noop; all for the same nonce."""

from chain.models import AttemptKind, ChainTransaction, TransactionAttempt
from chain.settlement.engine import Engine
from chain.wallet.fees import Fees, bump_fees
from chain.wallet.signer import SignedTransaction


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
