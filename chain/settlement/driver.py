"""The driver: takes the lease, recovers, then bundles what is queued and ticks once a block until nothing is live.

It sleeps on a bell, so that a new operation goes out at once, and asks for the newest block's number a few times a
second while something is live. It leaves after a short quiet; the next nudge, or the beat, starts another one.
"""

import logging
import time
from dataclasses import dataclass, replace

from chain import hooks, selectors
from chain.models import PlatformWallet
from chain.rpc.clients import ChainUnavailable, RpcError, get_client
from chain.settlement import bell, overdue, silence
from chain.settlement.bundling import send_queued
from chain.settlement.engine import Engine
from chain.settlement.recovery import recover
from chain.settlement.tracking import track_transactions
from chain.wallet import lease
from chain.wallet.lease import LeaseLost
from chain.wallet.wallets import platform_wallet

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.15  # of the newest block's number
GATHER_POLL_SECONDS = 0.05  # at most so often new operations are looked for while a bell rings on
QUIET_SECONDS = 1.0  # without anything live before the driver leaves
LISTEN_EVERY_SECONDS = 1.0
UNAVAILABLE_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class DriveReport:
    """What a driver did: `busy` where another one has the lease, `live` where work is left."""

    busy: bool = False
    live: bool = False
    bundles: int = 0
    ticks: int = 0
    settled: int = 0


def drive_wallet(*, wallet: PlatformWallet | None = None, max_seconds: float) -> DriveReport:
    """Drive a wallet (the configured one) until nothing is live or `max_seconds` have passed.

    Without `wallet`, those whose key was rotated away come first, one pass each.
    """
    if wallet is None:
        _follow_retired()
    engine = _take(wallet)
    if engine is None:
        return DriveReport(busy=True)
    try:
        return _Loop(engine, max_seconds).run()
    finally:
        bell.stop_listening()
        engine.lease.release()


def drive_once(*, wallet: PlatformWallet | None = None) -> DriveReport:
    """One pass: recover, tick, bundle. For wallets that are only followed, tests, and operators who want to watch."""
    if wallet is None:
        _follow_retired()
    engine = _take(wallet)
    if engine is None:
        return DriveReport(busy=True)
    try:
        recover(engine)
        track_transactions(engine)
        _look_for_what_is_stuck(engine)
        bundles = send_queued(engine)
        settled = _announce(engine)
        return DriveReport(bundles=bundles, ticks=1, settled=settled, live=selectors.has_live_work(engine.wallet))
    finally:
        engine.lease.release()


def _follow_retired() -> None:
    """What a key that was rotated away has under way is brought to its end; one wallet's trouble is not another's."""
    for wallet in selectors.retired_wallets():
        try:
            drive_once(wallet=wallet)
        except (ChainUnavailable, RpcError, LeaseLost) as error:
            logger.warning("wallet %s, whose key was rotated away, is followed later: %s", wallet.address, error)
        except Exception:
            logger.exception("wallet %s, whose key was rotated away, could not be followed", wallet.address)


def _take(wallet: PlatformWallet | None) -> Engine | None:
    client = get_client()
    wallet = wallet or platform_wallet(client)
    taken = lease.take_lease(wallet.pk)
    if taken is None:
        return None
    wallet.refresh_from_db()
    return Engine(wallet=wallet, client=client, lease=taken)


def _look_for_what_is_stuck(engine: Engine) -> None:
    silence.note_head(engine.require_head().number)
    overdue.report_overdue_if_due(engine)


def _announce(engine: Engine) -> int:
    keys, engine.settled_keys = engine.settled_keys, []
    if keys:
        hooks.announce_settled(keys)
    return len(keys)


class _Loop:
    """A driver's life between taking the lease and leaving it."""

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
            bell.listen()
            self._next_listen = time.monotonic() + LISTEN_EVERY_SECONDS
        if not self._recovered:
            recover(engine)
            self._recovered = True
            self._note(bundles=send_queued(engine))
            self._tick()
        elif time.monotonic() >= self._next_poll and self._has_new_block():
            self._tick()
        self._note(bundles=send_queued(engine))

    def _tick(self) -> None:
        track_transactions(self._engine)
        _look_for_what_is_stuck(self._engine)
        self._note(ticks=1, settled=_announce(self._engine))

    def _has_new_block(self) -> bool:
        self._next_poll = time.monotonic() + POLL_SECONDS
        head = self._engine.head
        return head is None or self._engine.client.block_number() != head.number

    def _note(self, *, bundles: int = 0, ticks: int = 0, settled: int = 0) -> None:
        report = self._report
        self._report = replace(
            report,
            bundles=report.bundles + bundles,
            ticks=report.ticks + ticks,
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
            return self._leave()  # the beat's look around: there was nothing to do
        self._quiet_since = self._quiet_since or now
        return now >= min(self._quiet_since + QUIET_SECONDS, self._deadline) and self._leave()

    def _leave(self) -> bool:
        """Stop listening, then look once more: a nudge before that was a ring only, one after it starts a task."""
        bell.stop_listening()
        self._next_listen = 0.0
        if not selectors.has_live_work(self._engine.wallet):
            return True
        self._report = replace(self._report, live=True)
        self._quiet_since = None
        return time.monotonic() >= self._deadline

    def _sleep(self) -> None:
        """Until the bell rings or a block may be new; a bell that rings on and on does not make it spin."""
        seconds = max(self._next_poll - time.monotonic(), GATHER_POLL_SECONDS)
        if self._report.live and time.monotonic() - self._engine.last_bundle_at < GATHER_POLL_SECONDS:
            time.sleep(GATHER_POLL_SECONDS)
            return
        bell.sleep(seconds)
