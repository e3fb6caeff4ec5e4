"""Why an operation or a transaction is still open, in one sentence for the operator. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self
from uuid import UUID

from chain import selectors
from chain.models import (
    ChainTransaction,
    Operation,
    OperationState,
    PlatformWallet,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)
from chain.settlement.engine import Deferral, Engine
from chain.settlement.sending import best_attempt, fees_of
from chain.states import FINAL_OPERATION_STATES, IN_FLIGHT_STATES
from chain.wallet.fees import Market, bump_fees
from chain.wallet.signer import SignerUnavailable, get_signer
from partner_platform.core.text.wording import shown

LAST_ATTEMPTS = 2
ANSWER_LENGTH = 200


@dataclass(frozen=True)
class Circumstances:
    """What keeps operations open: the state of the wallet, what is under way, the key, the base fee."""

    wallet: PlatformWallet
    live: Sequence[ChainTransaction]  # of that wallet, in nonce order, their attempts prefetched
    first_queued: str  # the key of the operation that is bundled next; empty where none waits
    key_trouble: str
    market: Market | None
    suspended: str = ""  # why the driver sends nothing new although the wallet is ACTIVE
    deferred: Mapping[UUID, Deferral] = field(default_factory=dict)  # operations that the driver does not try now

    @classmethod
    def of_engine(cls, engine: Engine) -> Self:
        """As a driver sees them."""
        wallet = PlatformWallet.objects.get(pk=engine.wallet.pk)
        of_wallet = cls.of_wallet(wallet, market=engine.require_head().market)
        return replace(of_wallet, suspended=engine.suspended, deferred=engine.deferred)

    @classmethod
    def of_wallet(cls, wallet: PlatformWallet, *, market: Market | None = None) -> Self:
        """As the database shows them; without `market` nothing is said about fees."""
        queued = selectors.queued_operations(1)
        return cls(
            wallet=wallet,
            live=selectors.live_transactions(wallet),
            first_queued=queued[0].key if queued else "",
            key_trouble=_key_trouble(wallet),
            market=market,
        )

    def of_operation(self, operation: Operation) -> str:
        """Why the operation is not finished."""
        if operation.reopened:
            return f"a reorg undid it, and its owner could not take that back: {_failures(operation)}"
        if operation.state in FINAL_OPERATION_STATES:
            return f"its owner could not act on it: {_failures(operation)}"
        if operation.state == OperationState.QUEUED or operation.transaction is None:
            return self._of_queued(operation)
        return self.of_transaction(operation.transaction)

    def of_transaction(self, transaction: ChainTransaction) -> str:
        """Why the transaction is not final: what it waits for, and the nodes' answers to its last attempts."""
        return "; ".join(
            [
                *self._before(transaction),
                *self._of_wallet(transaction.wallet),
                f"nonce {transaction.nonce} is {transaction.state}" + _in_block(transaction),
                *_answers(transaction),
                *self._above_cap(transaction),
            ]
        )

    def _of_queued(self, operation: Operation) -> str:
        in_flight = [row for row in self.live if row.state in IN_FLIGHT_STATES]
        if reasons := [*self._of_wallet(self.wallet), *(why for why in (self.key_trouble, self.suspended) if why)]:
            return "; ".join(reasons)
        if self.market is not None and self.market.base_fee > self.wallet.fee_cap_wei:
            return f"the base fee of {self.market.base_fee} wei is above the cap of {self.wallet.fee_cap_wei} wei"
        if len(in_flight) >= self.wallet.max_in_flight:
            lowest = self.of_transaction(in_flight[0])
            return f"queued behind {len(in_flight)} transactions, as many as may be in flight; the first: {lowest}"
        if operation.pk in self.deferred:
            return self.deferred[operation.pk].why
        if self.first_queued and self.first_queued != operation.key:
            return f"queued behind {self.first_queued}"
        return "nothing is known to prevent it: does a driver run?"

    def _before(self, transaction: ChainTransaction) -> list[str]:
        """The wallet's lowest nonce in flight, which must be mined first."""
        first = next((row for row in self.live if row.state in IN_FLIGHT_STATES), None)
        is_behind = first is not None and first.wallet_id == transaction.wallet_id and first.nonce < transaction.nonce
        if first is None or not is_behind:
            return []
        return [f"it waits behind nonce {first.nonce}", *(f"there {answer}" for answer in _answers(first))]

    def _of_wallet(self, wallet: PlatformWallet) -> list[str]:
        if wallet.status == WalletStatus.ACTIVE:
            return []
        return [f"wallet {wallet.address} is {wallet.status}: {wallet.status_reason or 'no reason was given'}"]

    def _above_cap(self, transaction: ChainTransaction) -> list[str]:
        """Said where the next fee for its nonce would be above the wallet's cap."""
        attempts = transaction.attempts.all()
        if self.market is None or transaction.state not in IN_FLIGHT_STATES or not attempts:
            return []
        cap = transaction.wallet.fee_cap_wei
        if bump_fees(fees_of(best_attempt(transaction)), self.market, cap=cap) is not None:
            return []
        return [f"a higher fee is above the cap of {cap} wei"]


def _failures(operation: Operation) -> str:
    if not operation.settle_failures and not operation.settle_error:
        return "it did not try yet; does a worker run?"
    tries = f" (tries: {operation.settle_failures})" if operation.settle_failures else ""
    return f"{operation.settle_error}{tries}"


def _answers(transaction: ChainTransaction) -> list[str]:
    """The newest attempts, and the nodes' answer to the last send of each."""
    attempts = sorted(transaction.attempts.all(), key=lambda attempt: attempt.created_at)
    if not attempts:
        return ["nothing is signed for it"]
    return [
        f"{attempt.kind} {attempt.tx_hash}, sent {attempt.send_count} times, {_answer(attempt)}"
        for attempt in attempts[-LAST_ATTEMPTS:]
    ]


def _answer(attempt: TransactionAttempt) -> str:
    error = shown(attempt.last_error, ANSWER_LENGTH)
    if attempt.last_error_class:
        return f"answered {attempt.last_error_class}: {error}"
    return "was taken by a node" + (f"; another one refused it: {error}" if attempt.last_error else "")


def _in_block(transaction: ChainTransaction) -> str:
    return f" in block {transaction.block_number}" if transaction.state == TransactionState.MINED else ""


def _key_trouble(wallet: PlatformWallet) -> str:
    try:
        address = get_signer().address
    except SignerUnavailable as error:
        return f"nothing can be signed: {error}"
    return "" if address == wallet.address else f"nothing can be signed: the key at hand is that of {address}"
