"""What an operator may do to the wallet: freeze, unfreeze, send again, give a nonce to a noop. Each is audited.

Decisions about single operations are in `chain.review`. An operator takes the lease from a running driver: its epoch
rises, so that the driver writes nothing more, and the next one recovers as after a crash.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from audit.services import record_change
from chain import lease, sending
from chain.clients import ChainClient
from chain.engine import Engine
from chain.inspection import WalletReport
from chain.models import AttemptKind, ChainTransaction, PlatformWallet, WalletStatus
from chain.reorgs import undo_orphaned
from chain.review import DecisionRefused
from chain.services import nudge
from chain.states import IN_FLIGHT_STATES
from partner_platform.core.database import run_in_transaction

logger = logging.getLogger(__name__)


@contextmanager
def at_the_wheel(client: ChainClient, wallet: PlatformWallet) -> Iterator[Engine]:
    """The lease, taken from whoever has it, given back at the end; then a driver is woken."""
    taken = lease.take(wallet.pk, by_force=True)
    if taken is None:
        raise DecisionRefused("the lease could not be taken")
    try:
        wallet.refresh_from_db()
        engine = Engine(wallet=wallet, client=client, lease=taken)
        engine.look()
        undo_orphaned(engine)  # what is decided next is stored beside the block that all else was compared with
        yield engine
    finally:
        taken.release()
        nudge()


def freeze(wallet: PlatformWallet, *, actor: str, reason: str) -> None:
    """Send nothing new until a person says so; what is under way is followed on. Works while a driver runs."""
    _set(wallet, WalletStatus.FROZEN, reason, actor=actor, action="settlement.frozen")


def unfreeze(report: WalletReport, *, actor: str) -> None:
    """Work again. Refused while what froze it still stands."""
    wallet, chain = report.wallet, report.chain
    if wallet.status != WalletStatus.FROZEN:
        raise DecisionRefused(f"the wallet is {wallet.status}")
    if chain is None:
        raise DecisionRefused("the chain does not answer: nothing is known about what froze it")
    if wallet.scan_pending:
        raise DecisionRefused("the comparison after the restore is not finished; the driver unfreezes it by itself")
    if chain.executor_is_paused or not chain.is_operator:
        raise DecisionRefused("the executor would refuse every carrier and freeze it again")
    _set(wallet, WalletStatus.ACTIVE, "", actor=actor, action="settlement.unfrozen")
    nudge()


def incident_seen(wallet: PlatformWallet, *, actor: str) -> None:
    """A person has read the incident."""
    incident = wallet.incident

    def write() -> None:
        PlatformWallet.objects.filter(pk=wallet.pk, incident=incident).update(incident="", incident_at=None)
        _record(wallet, actor, "settlement.incident_seen", before={"incident": incident})

    run_in_transaction(write)


def resend(engine: Engine, transactions: list[ChainTransaction], *, actor: str) -> None:
    """Send the stored bytes of the dearest attempts again."""
    numbers = [transaction.nonce for transaction in transactions]
    run_in_transaction(lambda: _record(engine.wallet, actor, "settlement.resent", after={"nonces": numbers}))
    sending.resend(engine, transactions)


def noop(engine: Engine, transaction: ChainTransaction, *, actor: str) -> None:
    """Sign and send one that does nothing for the same nonce; whichever is mined, the operations are done once."""
    if transaction.state not in IN_FLIGHT_STATES:
        raise DecisionRefused(f"nonce {transaction.nonce} is {transaction.state}: there is nothing to take it from")
    counts = engine.client.everywhere("eth_getTransactionCount", [engine.wallet.address, "latest"])
    if max((int(count, 16) for count in counts), default=0) > transaction.nonce:
        raise DecisionRefused(f"nonce {transaction.nonce} is spent already: the driver settles what spent it")
    if transaction.attempts.filter(kind=AttemptKind.NOOP).exists():
        raise DecisionRefused("a noop is under way already; the driver bumps it")
    run_in_transaction(lambda: _record(engine.wallet, actor, "settlement.noop", after={"nonce": transaction.nonce}))
    sending.cancel(engine, transaction, f"given up by {actor}")


def _set(wallet: PlatformWallet, status: WalletStatus, reason: str, *, actor: str, action: str) -> None:
    def write() -> None:
        before = PlatformWallet.objects.get(pk=wallet.pk)
        PlatformWallet.objects.filter(pk=wallet.pk).update(status=status, status_reason=reason[:300])
        _record(
            wallet,
            actor,
            action,
            before={"status": before.status, "reason": before.status_reason},
            after={"status": str(status), "reason": reason[:300]},
        )

    run_in_transaction(write)
    wallet.refresh_from_db()
    logger.warning("wallet %s is %s by %s: %s", wallet.address, status, actor, reason)


def _record(wallet: PlatformWallet, actor: str, action: str, **what: object) -> None:
    record_change(actor=actor, action=action, target=f"wallet:{wallet.address}", **what)  # type: ignore[arg-type]
