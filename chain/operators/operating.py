"""What an operator may do to the wallet: freeze, unfreeze, send again, give a nonce to a noop. Each is audited.

Decisions about single operations are in `chain.operators.review`. An operator takes the lease from a running driver:
its epoch rises, so that the driver writes nothing more, and the next one recovers as after a crash.

Each act is guarded by what the operator was shown: where that is no longer so it is refused, and they look again.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from audit.services import record_change
from chain.models import AttemptKind, ChainTransaction, PlatformWallet, PlatformWalletQuerySet, WalletStatus
from chain.operators.inspection import WalletReport
from chain.operators.review import DecisionRefused
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
    """The lease, taken from whoever has it, given back at the end; then a driver is woken."""
    taken = lease.take_lease(wallet.pk, by_force=True)
    if taken is None:
        raise DecisionRefused("the lease could not be taken")
    try:
        wallet.refresh_from_db()
        engine = Engine(wallet=wallet, client=client, lease=taken)
        engine.read_head()
        roll_back_orphaned(engine)  # what is decided next is stored beside the block that all else was compared with
        yield engine
    finally:
        taken.release()
        wake_driver()


def freeze_by_operator(wallet: PlatformWallet, *, actor: str, reason: str) -> None:
    """Send nothing new until a person says so; what is under way is followed on. Works while a driver runs.

    What the wallet is frozen for already stays readable beside it.
    """

    def write() -> None:
        before = PlatformWallet.objects.get(pk=wallet.pk)
        freezing.freeze_wallet(wallet.pk, reason)
        after = PlatformWallet.objects.get(pk=wallet.pk)
        _record(wallet, actor, "settlement.frozen", before=_status(before), after={**_status(after), "for": reason})

    run_in_transaction(write)
    wallet.refresh_from_db()
    logger.warning("wallet %s is %s by %s: %s", wallet.address, wallet.status, actor, wallet.status_reason)


def unfreeze_by_operator(report: WalletReport, *, actor: str) -> None:
    """Work again. Refused while what froze it still stands, and where the report does not show all of that.

    A wallet whose key was rotated away sends nothing new, so it does not matter whether the executor would take it.
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
        as_shown = _as_shown(wallet).filter(scan_pending__in=[False])
        if as_shown.change_status(status=WalletStatus.ACTIVE, status_reason="") != 1:
            raise DecisionRefused(_news(wallet))
        after = {"status": str(WalletStatus.ACTIVE), "reason": ""}
        _record(wallet, actor, "settlement.unfrozen", before=_status(wallet), after=after)

    run_in_transaction(write)
    logger.warning("wallet %s is ACTIVE by %s, no longer frozen for: %s", wallet.address, actor, wallet.status_reason)
    wake_driver()


def incident_seen(report: WalletReport, *, actor: str) -> None:
    """A person has read the incidents of the report; refused where there is one more by now."""
    wallet = report.wallet
    if not wallet.incident:
        raise DecisionRefused("there is no incident")

    def write() -> None:
        if _as_shown(wallet).filter(incident=wallet.incident).update(incident="", incident_at=None) != 1:
            raise DecisionRefused(_news(wallet))
        _record(wallet, actor, "settlement.incident_seen", before={"incident": wallet.incident})

    run_in_transaction(write)


def resend_by_operator(engine: Engine, transactions: list[ChainTransaction], *, actor: str) -> None:
    """Send the stored bytes of the dearest attempts again; `transactions` as they were shown, attempts prefetched."""
    rows = [_require_as_shown(transaction) for transaction in transactions]
    numbers = [row.nonce for row in rows]
    run_in_transaction(lambda: _record(engine.wallet, actor, "settlement.resent", after={"nonces": numbers}))
    sending.resend_transactions(engine, rows)


def send_noop_by_operator(engine: Engine, transaction: ChainTransaction, *, actor: str) -> None:
    """Sign and send one that does nothing for the same nonce; whichever is mined, the operations are done once.

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
    """A wallet's key may have been rotated away, and taken out of the settings since."""
    try:
        engine.signer  # noqa: B018 - asked for to see whether there is one
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


def _news(shown: PlatformWallet) -> str:
    """What a refused operator did not know."""
    now = PlatformWallet.objects.get(pk=shown.pk)
    said = [f"it is {now.status}" + (f", because {now.status_reason}" if now.status_reason else "")]
    if now.incident != shown.incident:
        said.append(f"incident: {now.incident or 'none'}")
    return f"the wallet changed since it was shown: {'; '.join(said)}. Look again"


def _require_as_shown(shown: ChainTransaction) -> ChainTransaction:
    """The transaction as it is now, which must be as it was shown: its state, its block, its attempts."""
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
