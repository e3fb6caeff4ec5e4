"""The driver of a wallet: one loop, under a lease, that sends what is queued and follows what was sent.

It takes the lease, recovers, then sends bundles and tracks its transactions once a block until nothing is live. Between
two passes it sleeps until it is woken (a new operation then goes out at once), and polls the newest block's number a
few times a second while something is live. It ends after a short time without work; `waking.wake_driver` or Celery's
beat starts the next one.
"""

import logging
import time
from dataclasses import dataclass, replace

from chain import selectors
from chain.models import Operation, PlatformWallet
from chain.rpc.clients import ChainUnavailable, RpcError, get_client
from chain.settlement import overdue, silence, waking
from chain.settlement.bundling import send_queued
from chain.settlement.engine import Engine
from chain.settlement.recovery import recover
from chain.settlement.tracking import track_transactions
from chain.signals import operations_final
from chain.wallet import lease
from chain.wallet.lease import LeaseLost
from chain.wallet.wallets import platform_wallet
from partner_platform.core.redis import wakeup

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.15  # of the newest block's number
GATHER_POLL_SECONDS = 0.05  # the shortest time between two looks for new operations, however often it is woken
QUIET_SECONDS = 1.0  # without anything live before the driver ends
LISTEN_EVERY_SECONDS = 1.0
UNAVAILABLE_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class DriveReport:
    """What a driver did: `busy` where another one has the lease, `live` where work is left.

    `bundles` were sent, `settled` operations became final; transactions were tracked at `tracked_blocks` blocks.
    """

    busy: bool = False
    live: bool = False
    bundles: int = 0
    tracked_blocks: int = 0
    settled: int = 0


def drive_wallet(*, wallet: PlatformWallet | None = None, max_seconds: float) -> DriveReport:
    """Drive a wallet (the configured one) until nothing is live or `max_seconds` have passed.

    Without `wallet`, the wallets whose key was rotated away are driven first, one pass each.
    """
    if wallet is None:
        _drive_retired()
    engine = _take_lease(wallet)
    if engine is None:
        return DriveReport(busy=True)
    try:
        return _Loop(engine, max_seconds).run()
    finally:
        wakeup.stop_listening(waking.DRIVER)
        engine.lease.release()


def drive_once(*, wallet: PlatformWallet | None = None) -> DriveReport:
    """One pass: recover, track, send. For wallets whose key was rotated away, and for tests."""
    if wallet is None:
        _drive_retired()
    engine = _take_lease(wallet)
    if engine is None:
        return DriveReport(busy=True)
    try:
        recover(engine)
        track_transactions(engine)
        _report_stuck(engine)
        bundles = send_queued(engine)
        settled = _announce(engine)
        return DriveReport(
            bundles=bundles, tracked_blocks=1, settled=settled, live=selectors.has_live_work(engine.wallet)
        )
    finally:
        engine.lease.release()


def _drive_retired() -> None:
    """Drive each wallet whose key was rotated away once; an error of one wallet does not stop the others."""
    for wallet in selectors.retired_wallets():
        try:
            drive_once(wallet=wallet)
        except (ChainUnavailable, RpcError, LeaseLost) as error:
            logger.warning("wallet %s, whose key was rotated away, is driven later: %s", wallet.address, error)
        except Exception:
            logger.exception("wallet %s, whose key was rotated away, could not be driven", wallet.address)


def _take_lease(wallet: PlatformWallet | None) -> Engine | None:
    client = get_client()
    wallet = wallet or platform_wallet(client)
    taken = lease.take_lease(wallet.pk)
    if taken is None:
        return None
    wallet.refresh_from_db()
    return Engine(wallet=wallet, client=client, lease=taken)


def _report_stuck(engine: Engine) -> None:
    silence.note_head(engine.require_head().number)
    overdue.report_overdue_if_due(engine)


def _announce(engine: Engine) -> int:
    keys, engine.settled_keys = engine.settled_keys, []
    if keys:
        operations_final.send_robust(sender=Operation, keys=keys)
    return len(keys)


class _Loop:
    """What a driver does between taking the lease and releasing it."""

    def __init__(self, engine: Engine, max_seconds: float) -> None:
        self._engine = engine
        self._deadline = time.monotonic() + max_seconds
        self._report = DriveReport()
        self._recovered = False
        self._next_poll = 0.0
        self._next_listen = 0.0
        self._quiet_since: float | None = None

    def run(self) -> DriveReport:
        while True:
            try:
                self._pass()
                if self._is_done():
                    return self._report
                self._sleep()
            except LeaseLost as error:
                logger.warning("%s", error)
                return replace(self._report, busy=True)
            except (ChainUnavailable, RpcError) as error:
                logger.warning("the chain does not answer: %s", error)
                silence.note_failure(error)
                self._note(settled=_announce(self._engine))
                if time.monotonic() >= self._deadline:
                    return replace(self._report, live=True)
                self._engine.lease.renew_if_due()
                time.sleep(UNAVAILABLE_PAUSE_SECONDS)

    def _pass(self) -> None:
        engine = self._engine
        engine.lease.renew_if_due()
        if time.monotonic() >= self._next_listen:
            wakeup.listen(waking.DRIVER, waking.LISTENING_SECONDS)
            self._next_listen = time.monotonic() + LISTEN_EVERY_SECONDS
        if not self._recovered:
            recover(engine)
            self._recovered = True
            self._note(bundles=send_queued(engine))
            self._track()
        elif time.monotonic() >= self._next_poll and self._has_new_block():
            self._track()
        self._note(bundles=send_queued(engine))

    def _track(self) -> None:
        track_transactions(self._engine)
        _report_stuck(self._engine)
        self._note(tracked_blocks=1, settled=_announce(self._engine))

    def _has_new_block(self) -> bool:
        self._next_poll = time.monotonic() + POLL_SECONDS
        head = self._engine.head
        return head is None or self._engine.client.block_number() != head.number

    def _note(self, *, bundles: int = 0, tracked_blocks: int = 0, settled: int = 0) -> None:
        report = self._report
        self._report = replace(
            report,
            bundles=report.bundles + bundles,
            tracked_blocks=report.tracked_blocks + tracked_blocks,
            settled=report.settled + settled,
        )

    def _is_done(self) -> bool:
        now = time.monotonic()
        self._note(settled=_announce(self._engine))
        if selectors.has_live_work(self._engine.wallet):
            self._quiet_since = None
            self._report = replace(self._report, live=True)
            return now >= self._deadline
        self._report = replace(self._report, live=False)
        if self._report.bundles == 0 and self._report.settled == 0:
            return self._end()  # started by the beat, and there was nothing to do
        self._quiet_since = self._quiet_since or now
        return now >= min(self._quiet_since + QUIET_SECONDS, self._deadline) and self._end()

    def _end(self) -> bool:
        """Stop listening, then look for work once more: a wake-up before that started no task, one after it does."""
        wakeup.stop_listening(waking.DRIVER)
        self._next_listen = 0.0
        if not selectors.has_live_work(self._engine.wallet):
            return True
        self._report = replace(self._report, live=True)
        self._quiet_since = None
        return time.monotonic() >= self._deadline

    def _sleep(self) -> None:
        """Until it is woken or a block may be new; at most one pass per `GATHER_POLL_SECONDS` however often it is
        woken.
        """
        seconds = max(self._next_poll - time.monotonic(), GATHER_POLL_SECONDS)
        if self._report.live and time.monotonic() - self._engine.last_bundle_at < GATHER_POLL_SECONDS:
            time.sleep(GATHER_POLL_SECONDS)
            return
        wakeup.wait(waking.DRIVER, seconds)
