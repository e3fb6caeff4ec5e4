"""What an operator may do to a wallet: freeze, unfreeze, resend, send a noop. Each is audited.

Decisions about single operations are in `chain.operators.review`. An operator takes the lease from a running driver:
its epoch rises, so that the driver writes nothing more, and the next one recovers as after a crash.

Each act is refused where something changed since the operator was shown it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from chain.models import AttemptKind, ChainTransaction, PlatformWallet, PlatformWalletQuerySet, WalletStatus
from chain.operators.inspection import WalletReport
from chain.operators.review import DecisionRefused
from chain.operators.unfreezing import require_for_unfreezing
from chain.rpc.clients import ChainClient
from chain.settlement import sending
from chain.settlement.engine import Engine
from chain.settlement.reorgs import roll_back_orphaned
from chain.settlement.waking import wake_driver
from chain.states import IN_FLIGHT_STATES
from chain.wallet import freezing, lease
from chain.wallet.signer import SignerUnavailable
from partner_platform.core.database.transactions import run_in_transaction

logger = logging.getLogger(__name__)


@contextmanager
def operator_lease(client: ChainClient, wallet: PlatformWallet) -> Iterator[Engine]:
    """The lease, taken from any driver that has it and released at the end; then a driver is woken."""
    taken = lease.take_lease(wallet.pk, by_force=True)
    if taken is None:
        raise DecisionRefused("the lease could not be taken")
    try:
        wallet.refresh_from_db()
        engine = Engine(wallet=wallet, client=client, lease=taken)
        engine.read_head()
        roll_back_orphaned(
            engine
        )  # what is decided is stored together with the block that everything else was compared with
        yield engine
    finally:
        taken.release()
        wake_driver()


@needs(Right.FREEZE)
def freeze_by_operator(wallet: PlatformWallet, *, actor: str, reason: str) -> None:
    """Freeze the wallet: nothing new is sent, what is under way is still followed. Works while a driver runs.

    Other reasons for which the wallet is frozen stay readable.
    """

    def write() -> None:
        before = PlatformWallet.objects.get(pk=wallet.pk)
        freezing.freeze_wallet(wallet.pk, reason)
        after = PlatformWallet.objects.get(pk=wallet.pk)
        _record(wallet, actor, "settlement.frozen", before=_status(before), after={**_status(after), "for": reason})

    run_in_transaction(write)
    wallet.refresh_from_db()
    logger.warning("wallet %s is %s by %s: %s", wallet.address, wallet.status, actor, wallet.status_reason)


@needs(Right.UNFREEZE)
def unfreeze_by_operator(report: WalletReport, *, actor: str) -> None:
    """Unfreeze the wallet. Refused while the cause is still there, and where the report does not show all reasons.

    For a wallet whose key was rotated away the state of the executor does not matter: it sends nothing new.
    """
    wallet, chain = report.wallet, report.chain
    if wallet.status != WalletStatus.FROZEN:
        raise DecisionRefused(f"the wallet is {wallet.status}")
    if chain is None:
        raise DecisionRefused("the chain does not answer: nothing is known about what froze it")
    if wallet.scan_pending:
        raise DecisionRefused("the comparison after the restore is not finished; the driver unfreezes it by itself")
    if not report.is_retired and (chain.executor_is_paused or not chain.is_operator):
        raise DecisionRefused("the executor would refuse every bundle and freeze it again")

    def write() -> None:
        require_for_unfreezing(report, actor=actor)
        as_shown = _as_shown(wallet).filter(scan_pending__in=[False])
        if as_shown.change_status(status=WalletStatus.ACTIVE, status_reason="") != 1:
            raise DecisionRefused(_what_changed(wallet))
        after = {"status": str(WalletStatus.ACTIVE), "reason": ""}
        _record(wallet, actor, "settlement.unfrozen", before=_status(wallet), after=after)

    run_in_transaction(write)
    logger.warning("wallet %s is ACTIVE by %s, no longer frozen for: %s", wallet.address, actor, wallet.status_reason)
    wake_driver()


@needs(Right.OPERATE_SETTLEMENT)
def incident_seen(report: WalletReport, *, actor: str) -> None:
    """Clear the incidents that a person has read; refused where there is one more by now."""
    wallet = report.wallet
    if not wallet.incident:
        raise DecisionRefused("there is no incident")

    def write() -> None:
        if _as_shown(wallet).filter(incident=wallet.incident).update(incident="", incident_at=None) != 1:
            raise DecisionRefused(_what_changed(wallet))
        _record(wallet, actor, "settlement.incident_seen", before={"incident": wallet.incident})

    run_in_transaction(write)


@needs(Right.OPERATE_SETTLEMENT)
def resend_by_operator(engine: Engine, transactions: list[ChainTransaction], *, actor: str) -> None:
    """Send the attempts with the highest fee again; `transactions` as they were shown, attempts prefetched."""
    rows = [_require_as_shown(transaction) for transaction in transactions]
    numbers = [row.nonce for row in rows]
    run_in_transaction(lambda: _record(engine.wallet, actor, "settlement.resent", after={"nonces": numbers}))
    sending.resend_transactions(engine, rows)


@needs(Right.OPERATE_SETTLEMENT)
def send_noop_by_operator(engine: Engine, transaction: ChainTransaction, *, actor: str) -> None:
    """Sign and send a noop for the same nonce; whichever of the two is mined, the operations are done once.

    `transaction` as it was shown, its attempts prefetched.
    """
    _require_key(engine)
    transaction = _require_as_shown(transaction)
    if transaction.state not in IN_FLIGHT_STATES:
        raise DecisionRefused(f"nonce {transaction.nonce} is {transaction.state}: there is nothing to take it from")
    counts = engine.client.everywhere("eth_getTransactionCount", [engine.wallet.address, "latest"])
    if max((int(count, 16) for count in counts), default=0) > transaction.nonce:
        raise DecisionRefused(f"nonce {transaction.nonce} is spent already: the driver settles what spent it")
    if transaction.attempts.filter(kind=AttemptKind.NOOP).exists():
        raise DecisionRefused("a noop is under way already; the driver bumps it")
    run_in_transaction(lambda: _record(engine.wallet, actor, "settlement.noop", after={"nonce": transaction.nonce}))
    sending.send_noop(engine, transaction, f"given up by {actor}")


def _require_key(engine: Engine) -> None:
    """Refuse where the wallet's key was rotated away and is no longer in the settings."""
    try:
        engine.signer  # noqa: B018 - raises where there is none
    except SignerUnavailable as error:
        raise DecisionRefused(
            f"{error}: neither PLATFORM_PRIVATE_KEY nor PLATFORM_RETIRED_PRIVATE_KEYS holds it, so nothing can be"
            " signed for its nonces"
        ) from error


def _as_shown(wallet: PlatformWallet) -> PlatformWalletQuerySet:
    """The wallet's row, where its status, its reason and its incident are those that were shown."""
    return PlatformWallet.objects.unchanged_since(wallet).filter(
        status=wallet.status, status_reason=wallet.status_reason
    )


def _what_changed(shown: PlatformWallet) -> str:
    """The message of a refusal: what changed since the operator was shown the wallet."""
    now = PlatformWallet.objects.get(pk=shown.pk)
    changes = [f"it is {now.status}" + (f", because {now.status_reason}" if now.status_reason else "")]
    if now.incident != shown.incident:
        changes.append(f"incident: {now.incident or 'none'}")
    return f"the wallet changed since it was shown: {'; '.join(changes)}. Look again"


def _require_as_shown(shown: ChainTransaction) -> ChainTransaction:
    """The transaction as it is now; refused where its state, its block or its attempts changed since it was shown."""
    now = ChainTransaction.objects.prefetch_related("attempts").get(pk=shown.pk)
    if _seen(now) != _seen(shown):
        attempts = len(now.attempts.all())
        raise DecisionRefused(
            f"nonce {now.nonce} changed since it was shown: it is {now.state} with {attempts} attempts. Look again"
        )
    return now


def _seen(transaction: ChainTransaction) -> tuple[str, str, list[str]]:
    hashes = sorted(attempt.tx_hash for attempt in transaction.attempts.all())
    return transaction.state, transaction.block_hash, hashes


def _status(wallet: PlatformWallet) -> dict[str, str]:
    return {"status": str(wallet.status), "reason": wallet.status_reason}


def _record(wallet: PlatformWallet, actor: str, action: str, **what: object) -> None:
    record_change(actor=actor, action=action, target=f"wallet:{wallet.address}", **what)  # type: ignore[arg-type]
