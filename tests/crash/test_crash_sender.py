"""The sender of webhooks is killed at every commit and every post; the next one sends what it owes, and nothing else.

`make crash` walks every point, `make test` a sample.
"""

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from events.models import Event
from partner_platform.core.outside import OutsideClient
from tests.crash.conftest import CrashReport
from tests.crash.processes import run
from tests.crash.test_crash import _chosen
from tests.factories import PartnerFactory
from tests.support.chain import Chain
from tests.support.clocks import shift_clock
from tests.support.snapshots import Snapshot, pass_time_in_redis
from tests.webhooks.conftest import RunningReceiver
from tests.webhooks.rows import loans, make_endpoint, record
from webhooks.delivery import claims
from webhooks.delivery.sender import Sender
from webhooks.models import Delivery, DeliveryStatus, Endpoint, EndpointStatus

pytestmark = pytest.mark.django_db(transaction=True)

LOANS, EVENTS_EACH = 2, 2
MOST_PASSES = 30


def send() -> None:
    """A sender's life, each post within its pass, so that every life passes the same points."""
    sender = Sender(OutsideClient(timeout_seconds=5.0))
    for _ in range(MOST_PASSES):
        if not sender.step(lambda work: work()):
            return
    raise AssertionError(f"not done after {MOST_PASSES} passes: {list(Delivery.objects.all())}")


def test_a_sender_killed_at_any_point_loses_no_event_and_invents_none(
    chain: Chain,
    start_receiver: Callable[[], RunningReceiver],
    settings: Any,
    record_property: Callable[[str, object], None],
) -> None:
    began = time.monotonic()
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    receiver, partner = start_receiver(), PartnerFactory.create()
    taking, gone = (make_endpoint(partner, secret=receiver.secret, url=receiver.url(path)) for path in ("/ok", "/gone"))
    of_loans = loans(LOANS)
    for _ in range(EVENTS_EACH):
        record(partner, *of_loans)
    snapshot = Snapshot(chain)

    points = run(send).points
    chosen = _chosen(len(points))
    for number in chosen:
        snapshot.restore()
        path = f"/ok?{number}"
        Endpoint.objects.filter(pk=taking.pk).update(url=receiver.url(path))
        ended = run(send, kill_at=number)
        name = f"{number}: {ended.points[-1]}"
        assert ended.killed, f"not reached in this run, {name}"
        pass_time_in_redis()
        run(_restarted)

        taken = receiver.taken(path)
        bodies = {str(event.pk): hashlib.sha256(event.body.encode()).hexdigest() for event in Event.objects.all()}
        assert {entry["id"]: entry["body"] for entry in taken} == bodies, name
        assert max(Counter(entry["id"] for entry in taken).values()) <= 2, name  # once more where it was not stored
        assert _first_arrivals(taken) == [list(range(1, EVENTS_EACH + 1))] * LOANS, name
        statuses = Delivery.objects.filter(endpoint=taking).values_list("status", flat=True)
        assert list(statuses) == [DeliveryStatus.DELIVERED] * len(bodies), name
        assert not Delivery.objects.filter(endpoint=gone, status=DeliveryStatus.PENDING).exists(), name
        assert Endpoint.objects.get(pk=gone.pk).status == EndpointStatus.DISABLED, name

    report = CrashReport("webhooks", "sender", len(points), len(chosen), time.monotonic() - began)
    record_property("crash", asdict(report))


def _restarted() -> None:
    """The next sender, once the claims of the killed one have ended."""
    shift_clock(seconds=int(claims.CLAIM_SECONDS) + 1)
    send()


def _first_arrivals(taken: list[dict[str, Any]]) -> list[list[int]]:
    """Each loan's sequences, in the order in which they came the first time."""
    arrived: dict[str, dict[int, None]] = defaultdict(dict)
    for entry in taken:
        arrived[entry["loan"]].setdefault(entry["sequence"])
    return [list(sequences) for sequences in arrived.values()]
