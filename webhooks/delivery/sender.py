"""The sender: one loop that makes deliveries of events, claims endpoints, has threads post, and stores the results.

The loop alone uses the database; the threads post and nothing else. It sleeps until a post ends, an endpoint is due or
it is woken; it looks by itself every second. It ends after a short time without work, and `waking.wake_sender` or beat
starts the next one. Any number of senders may run: an endpoint works for one of them at a time.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from uuid import UUID, uuid4

from django.db import connection

from partner_platform.core import clock
from partner_platform.core.database.transactions import is_unavailable
from partner_platform.core.outside import OutsideClient
from partner_platform.core.redis import wakeup
from webhooks.delivery import claims, outcomes, reading, waking
from webhooks.delivery.board import Board
from webhooks.delivery.fan_out import fan_out, is_up_to_date
from webhooks.delivery.lanes import Lane, TryOutcome
from webhooks.delivery.posting import post
from webhooks.secrets import live_secrets
from webhooks.services.pending import fail_backlogs

logger = logging.getLogger(__name__)

THREADS = 64
LANES = 500  # endpoints that work, claimed at once
FAN_OUT_SECONDS = 0.5  # of a pass: then results are stored before the next page is made
FAIL_SECONDS = 0.25  # of a pass, for what is left of disabled endpoints
STORED_AT_ONCE = 250
READS_A_PASS = 4  # of one endpoint
GATHER_SECONDS = 0.02  # the shortest time between two passes, so that several results are stored together
LOOK_SECONDS = 1.0
CROWDED_SECONDS = 0.25  # between two looks while endpoints are due that cannot be claimed
QUIET_SECONDS = 1.0  # without anything to do before the sender ends
DUE_SOON_SECONDS = 3.0  # it waits for what is due so soon
STOP_SECONDS = 5.0  # for the posts under way, when the process is told to end
PAUSE_SECONDS = 1.0  # while the database does not answer

NOT_STORED = "The receiver's response could not be stored"

stopping = threading.Event()  # the process is told to end


@dataclass
class SendReport:
    """What a sender did: events whose deliveries were made, tries whose results were stored; whether work is left."""

    events: int = 0
    tries: int = 0
    is_live: bool = False


def run_sender(*, max_seconds: float, client: OutsideClient | None = None) -> SendReport:
    """Deliver what is due until there is nothing for a moment; ends after `max_seconds` where no post is under way."""
    sender = Sender(client or outside_client())
    with ThreadPoolExecutor(THREADS, thread_name_prefix="webhook") as pool:
        return sender.run(pool, max_seconds)


@cache
def outside_client() -> OutsideClient:
    """The process's client, which keeps its connections."""
    return OutsideClient()


class Sender:
    """What one loop knows; `limits` and `slow` outlast an endpoint's claim."""

    def __init__(self, client: OutsideClient) -> None:
        self._client = client
        self._token = uuid4().hex
        self._board = Board(THREADS)
        self._limits: dict[UUID, tuple[int, bool]] = {}
        self._report = SendReport()
        self._renewed = self._refreshed = self._listened = self._cleared = 0.0
        self._quiet_since: float | None = None

    def run(self, pool: ThreadPoolExecutor, max_seconds: float) -> SendReport:
        """Loop until there is nothing to do."""
        ended = threading.Event()
        listener = threading.Thread(target=self._listen, args=(ended,), daemon=True)
        listener.start()
        deadline = time.monotonic() + max_seconds
        try:
            while True:
                try:
                    has_work = self.step(pool.submit)
                    if self._is_done(has_work=has_work, is_late=time.monotonic() > deadline):
                        return self._report
                    self._sleep(has_work=has_work)
                except Exception as error:
                    if not is_unavailable(error):
                        raise
                    logger.warning("the webhooks wait for the database: %s", error)
                    connection.close()
                    time.sleep(PAUSE_SECONDS)
        finally:
            ended.set()
            self._stop()

    def step(self, submit: Callable[[Callable[[], None]], object]) -> bool:
        """One pass: make deliveries, claim, read, send, store; returns whether there was anything to do."""
        made = self._fan_out()
        self._keep_claims()
        self._claim()
        self._store()
        self._fill()
        for _ in range(self._board.takeable()):
            submit(self._work)
        self._give_back()
        return bool(self._clear() or made or self._board.lanes or self._board.has_finished)

    def _fan_out(self) -> int:
        began, events = time.monotonic(), 0
        while time.monotonic() - began < FAN_OUT_SECONDS:
            made = fan_out()
            events += made
            self._board.is_behind = made > 0
            if not made:
                break
        self._report.events += events
        if events:
            self._refreshed = 0.0  # endpoints that are claimed may have got something
        return events

    def _keep_claims(self) -> None:
        """Renew the claims, and see what became of the endpoints meanwhile."""
        now, lanes = time.monotonic(), self._board.lanes
        if not lanes or now - self._refreshed < LOOK_SECONDS:
            return
        if now - self._renewed > claims.RENEW_SECONDS:
            claims.renew(self._token)
            self._renewed = now
            self._board.may_send_until = now + claims.SENDING_SECONDS
        self._refreshed = now
        rows = claims.claimed_rows(self._token, [lane.endpoint.pk for lane in lanes])
        for lane in lanes:
            row = rows.get(lane.endpoint.pk)
            if row is None:
                self._board.close(lane)
            else:
                self._board.update(lane, row, live_secrets(row))

    def _claim(self) -> None:
        failing = sum(lane.is_failing for lane in self._board.lanes)  # those that are only slow leave them their places
        healthy = LANES - (len(self._board.lanes) - failing)
        if not self._board.lanes:
            self._renewed = time.monotonic()
            self._board.may_send_until = self._renewed + claims.SENDING_SECONDS
        for endpoint in claims.claim_due(self._token, healthy=healthy, failing=THREADS // 2 - failing):
            limit, is_slow = self._limits.get(endpoint.pk, (1, False))
            limit = 1 if endpoint.failures_in_a_row else limit
            self._board.put(Lane(endpoint, live_secrets(endpoint), limit=limit, is_slow=is_slow))

    def _fill(self) -> None:
        """Read what is due of the lanes that run out of it."""
        for lane in self._board.lanes:
            for _ in range(READS_A_PASS):
                if not lane.wants_jobs:
                    break
                jobs, lane.is_read = reading.read(lane)
                self._board.add(lane, jobs)

    def _work(self) -> None:
        """On a thread: post until nothing may be sent."""
        while not stopping.is_set() and (taken := self._board.take()) is not None:
            lane, job = taken
            self._board.finish(lane, post(self._client, lane, job))

    def _store(self) -> None:
        while found := self._board.collect(STORED_AT_ONCE):
            try:
                self._store_together(found)
            except Exception as error:
                if is_unavailable(error):
                    self._board.put_back(found)
                    raise
                logger.exception("results could not be stored together; each is stored by itself")
                self._store_each(found)

    def _store_together(self, found: Sequence[TryOutcome]) -> None:
        stored = outcomes.store(found, self._board.lane, token=self._token)
        self._board.stored(stored)
        self._report.tries += len(stored)
        if not all(outcome.is_delivered for outcome in found):
            self._refreshed = self._cleared = 0.0  # an endpoint may be disabled now

    def _store_each(self, found: Sequence[TryOutcome]) -> None:
        for place, outcome in enumerate(found):
            try:
                self._store_alone(outcome)
            except Exception:
                self._board.put_back(found[place:])
                raise

    def _store_alone(self, outcome: TryOutcome) -> None:
        """One result; without its response where that is what cannot be stored; else its delivery is given up."""
        for attempt in (outcome, replace(outcome, response_headers={}, response_body="", error=NOT_STORED)):
            try:
                self._store_together([attempt])
            except Exception as error:
                if is_unavailable(error):
                    raise
                logger.exception("the response to delivery %s could not be stored", outcome.job.delivery.pk)
                continue
            return
        self._give_up(outcome)

    def _give_up(self, outcome: TryOutcome) -> None:
        """A result that nothing stores must neither end the sender nor be sent for ever: its delivery fails."""
        logger.error("delivery %s is given up: no result of it can be stored", outcome.job.delivery.pk)
        try:
            outcomes.give_up(outcome)
        except Exception as error:
            if is_unavailable(error):
                raise
            logger.exception("delivery %s could not be given up", outcome.job.delivery.pk)
            if (lane := self._board.lane(outcome.job.lane)) is not None:
                self._board.close(lane)  # its claim ends by itself, so it is tried again a minute later
        self._board.stored([(outcome, True)])

    def _give_back(self) -> None:
        """End the claims of endpoints of which nothing is left to do now."""
        for lane in self._board.lanes:
            if lane.is_paused and not lane.is_closed:
                self._board.pause(lane)
            if lane.known or not (lane.is_read or lane.is_paused or lane.is_closed):
                continue
            self._limits[lane.endpoint.pk] = (lane.limit, lane.is_slow)
            if lane.is_closed or claims.end_claim(self._token, lane.endpoint):
                self._board.remove(lane)
            else:
                self._refreshed = 0.0  # it was written meanwhile: look at once

    def _clear(self) -> bool:
        """Fail what is left of disabled endpoints; at once again while there is anything."""
        if time.monotonic() - self._cleared < LOOK_SECONDS:
            return False
        has_cleared = fail_backlogs(seconds=FAIL_SECONDS)
        if not has_cleared:
            self._cleared = time.monotonic()
        return has_cleared

    def _is_done(self, *, has_work: bool, is_late: bool) -> bool:
        if stopping.is_set() or (is_late and not self._board.under_way):
            return True
        if has_work:
            self._quiet_since = None
            return False
        self._quiet_since = self._quiet_since or time.monotonic()
        return time.monotonic() - self._quiet_since >= QUIET_SECONDS and self._may_end()

    def _may_end(self) -> bool:
        """Stop listening, then look once more: a wake-up before that started no task, one after it does."""
        due = claims.next_due()
        if due is not None and (due - clock.now()).total_seconds() < DUE_SOON_SECONDS:
            return False
        wakeup.stop_listening(waking.SENDER)
        self._listened = 0.0
        return is_up_to_date() and claims.next_due() == due

    def _sleep(self, *, has_work: bool) -> None:
        now = time.monotonic()
        if now - self._listened > LOOK_SECONDS:
            wakeup.listen(waking.SENDER, waking.LISTENING_SECONDS)
            self._listened = now
        if has_work and self._board.under_way:
            time.sleep(GATHER_SECONDS)
        due = claims.next_due()
        soon = LOOK_SECONDS if due is None else (due - clock.now()).total_seconds()
        if soon <= 0:  # it could not be claimed: there are too many
            soon = CROWDED_SECONDS
        self._board.wait(min(max(soon, GATHER_SECONDS), LOOK_SECONDS))

    def _listen(self, ended: threading.Event) -> None:
        """On a thread of its own: wake the loop where Redis wakes the sender."""
        while not ended.is_set():
            wakeup.wait(waking.SENDER, LOOK_SECONDS)
            self._board.wake()

    def _stop(self) -> None:
        """Store what ends within a moment, and let the endpoints go."""
        wakeup.stop_listening(waking.SENDER)
        for lane in self._board.lanes:
            self._board.close(lane)
        deadline = time.monotonic() + STOP_SECONDS
        while self._board.under_way and time.monotonic() < deadline:
            self._board.wait(deadline - time.monotonic())
        self._store()
        if self._board.lanes:
            self._report.is_live = True
            claims.let_go(self._token, [lane.endpoint.pk for lane in self._board.lanes if not lane.under_way])
