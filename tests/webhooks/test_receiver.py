"""Deliveries to a receiver in another process that fails in every way, by senders that are killed at random.

`WEBHOOK_LOANS=1000` makes the history long.
"""

import hashlib
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from events.models import Event
from partner_platform.core.outside import OutsideClient
from sandbox.folder import PROJECT
from tests.factories import PartnerFactory
from tests.support.waiting import eventually
from tests.webhooks.conftest import SEED, RunningReceiver
from tests.webhooks.rows import loans, make_endpoint, record
from webhooks.delivery import sender
from webhooks.models import Attempt, Delivery, DeliveryStatus, EndpointStatus

pytestmark = pytest.mark.django_db(transaction=True)

LOANS = int(os.environ.get("WEBHOOK_LOANS") or 20)
EVENTS_EACH = 4
KILLS = max(LOANS // 20, 2)
FLOOD = 300
ALLOWED = ["127.0.0.0/8"]


def test_each_event_arrives_in_order_per_loan_though_the_receiver_fails_and_senders_are_killed(
    start_receiver: Callable[[], RunningReceiver],
) -> None:
    receiver, partner = start_receiver(), PartnerFactory.create()
    wild, gone = (make_endpoint(partner, secret=receiver.secret, url=receiver.url(path)) for path in ("/wild", "/gone"))
    of_loans = loans(LOANS)
    for _ in range(EVENTS_EACH):
        record(partner, *of_loans)

    _deliver_with_doomed_senders()

    books = receiver.books()
    assert books["refused"] == []  # every signature was right
    assert set(books["behaved"]) == {"200", "500", "302", "429", "410", "close", "hang"}
    taken = [entry for entry in books["taken"] if entry["path"] == "/wild"]
    feed = {str(event.pk): hashlib.sha256(event.body.encode()).hexdigest() for event in Event.objects.all()}
    assert {entry["id"]: entry["body"] for entry in taken} == feed
    assert set(_first_arrivals(taken).values()) == {tuple(range(1, EVENTS_EACH + 1))}
    assert set(Delivery.objects.filter(endpoint=wild).values_list("status", flat=True)) == {DeliveryStatus.DELIVERED}
    # Once it is disabled, the events that follow have no delivery there: of a thousand loans some hundreds.
    assert set(Delivery.objects.filter(endpoint=gone).values_list("status", flat=True)) == {DeliveryStatus.FAILED}
    assert Attempt.objects.filter(delivery__endpoint=gone).count() >= 1
    gone.refresh_from_db()
    assert gone.status == EndpointStatus.DISABLED


def _first_arrivals(taken: list[dict[str, Any]]) -> dict[str, tuple[int, ...]]:
    """The sequences of each loan's events, in the order in which each was taken the first time."""
    arrived: dict[str, dict[int, None]] = defaultdict(dict)
    for entry in taken:
        arrived[entry["loan"]].setdefault(entry["sequence"])
    return {loan: tuple(sequences) for loan, sequences in arrived.items()}


def _deliver_with_doomed_senders() -> None:
    schedule = ",".join(str(seconds / 1000) for seconds in settings.WEBHOOK_RETRY_SCHEDULE)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "WEBHOOK_RETRY_SCHEDULE": schedule,
        "WEBHOOK_ALLOWED_NETWORKS": ",".join(ALLOWED),
    }
    command = [sys.executable, "-m", "tests.webhooks.doomed_senders", str(KILLS), str(SEED)]
    ended = subprocess.run(
        command, cwd=PROJECT, env=environment, check=False, timeout=60 + LOANS, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


def test_endpoints_that_hang_and_one_that_is_flooded_cost_the_others_nothing(
    start_receiver: Callable[[], RunningReceiver], settings: Any
) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = ALLOWED
    receiver, flooded, hanging = start_receiver(), PartnerFactory.create(), PartnerFactory.create()
    others = [PartnerFactory.create() for _ in range(3)]
    make_endpoint(flooded, secret=receiver.secret, url=receiver.url("/ok?flooded"))
    for _ in range(5):
        make_endpoint(hanging, secret=receiver.secret, url=receiver.url("/hang"))
    for partner in others:
        make_endpoint(partner, secret=receiver.secret, url=receiver.url("/ok?other"))
    record(hanging, *loans(10))
    record(flooded, *loans(FLOOD))
    recorded: dict[str, float] = {}
    with _sender(OutsideClient(timeout_seconds=2.5)):
        eventually(lambda: receiver.taken("/ok?flooded"), seconds=30)
        for _ in range(10):
            for partner in others:
                (event,) = record(partner, *loans(1))
                recorded[str(event.pk)] = event.created_at.timestamp()
        _wait_until_taken(receiver, "/ok?other", len(recorded))
        _wait_until_taken(receiver, "/ok?flooded", FLOOD)
        assert Delivery.objects.filter(partner=hanging, status=DeliveryStatus.PENDING).count() == 50

    delays = sorted(entry["at"] - recorded[entry["id"]] for entry in receiver.taken("/ok?other"))
    assert delays[int(len(delays) * 0.95)] < 2.0


@contextmanager
def _sender(client: OutsideClient) -> Iterator[None]:
    """A sender on a thread, until the block ends."""

    def work() -> None:
        try:
            sender.run_sender(max_seconds=60, client=client)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        sender.stopping.set()
        thread.join()
        sender.stopping.clear()
        client.close()


def _wait_until_taken(receiver: RunningReceiver, path: str, count: int) -> None:
    eventually(lambda: len({entry["id"] for entry in receiver.taken(path)}) == count, seconds=30, every=0.1)
