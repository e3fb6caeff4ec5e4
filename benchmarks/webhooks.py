"""Deliveries of webhooks a second, ours beside a Celery task for each delivery; and what a flood costs the others.

    python -m benchmarks webhooks [--deliveries 3000] [--endpoints 10] [--flood 10000] [--engine sqlite]

1. task each: what is common: a Celery task for each delivery, with `requests`, a read and a write of the row
   (`benchmarks.rival.deliveries`), on one worker with as many threads as ours.
2. platform: the worker of the queue `webhooks`; numbering of events and fan-out included, each try stored.

Both deliver the same number of events to the same endpoints of one receiver in another process, on the same database.
The ratio is what counts. Then one endpoint hangs, one is sent `--flood` events, 500 in each fifth of a second, and
three others get an event each as often: the 95th percentile of the time from the event to its arrival. Exit code 1
where a bound is missed.
"""

import argparse
import json
import os
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.world import Bench, cpu_seconds, running_servers
from sandbox import databases
from sandbox.folder import PROJECT, Folder
from sandbox.servers.ports import LOOPBACK, free_port
from sandbox.servers.process import Server

if TYPE_CHECKING:
    from events.models import Event
    from partners.models import Partner

MIN_RATIO = 5.0
MAX_P95_SECONDS = 2.0
OTHERS = 3
PAUSE_SECONDS = 0.2  # between two events of each of the others
FLOOD_AT_ONCE = 500  # events of the flooded endpoint, in each of these steps
EVENTS_AN_INSERT = 500
READY_SECONDS = 60.0


def main() -> int:
    """Measure both, print the figures; answers 0 where the bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--deliveries", type=int, default=3_000)
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--flood", type=int, default=10_000)
    parser.add_argument("--engine", choices=databases.ENGINES, default=databases.SQLITE)
    options = parser.parse_args()
    os.environ["WEBHOOK_ALLOWED_NETWORKS"] = "127.0.0.0/8"
    with running_servers(options.engine) as bench, _receiver(bench) as receiver:
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        theirs = _task_each(bench, receiver, options.deliveries, options.endpoints)
        ours = _platform(bench, receiver, options.deliveries, options.endpoints)
        p95, flood = _flooded(bench, receiver, options.flood)
    print(f"task each  {theirs:8,.0f} deliveries/s\nplatform   {ours:8,.0f} deliveries/s")
    print(f"flooded    {flood:8,.0f} deliveries/s to the one that is flooded")
    return max(
        _tell(f"platform / task each {ours / theirs:.1f}", holds=ours >= MIN_RATIO * theirs, bound=f"{MIN_RATIO:g}"),
        _tell(f"p95 of the others {p95:.2f} s", holds=p95 < MAX_P95_SECONDS, bound=f"below {MAX_P95_SECONDS:g} s"),
    )


def _tell(text: str, *, holds: bool, bound: str) -> int:
    print(f"{'ok  ' if holds else 'MISS'}  {text} (bound {bound})")
    return 0 if holds else 1


class _Receiver:
    """The receiver's process, and what it was sent."""

    def __init__(self, port: int) -> None:
        self._base = f"http://{LOOPBACK}:{port}"

    def url(self, path: str) -> str:
        return self._base + path

    def arrivals(self, path: str) -> list[tuple[str, float]]:
        """Each post to the path: the event's id, and when it came."""
        with urllib.request.urlopen(self.url(f"/arrivals{path}"), timeout=30) as answer:
            return [(entry[0], entry[1]) for entry in json.load(answer)]

    def count(self, path: str) -> int:
        with urllib.request.urlopen(self.url(f"/count{path}"), timeout=30) as answer:
            return int(answer.read())

    def wait_for(self, path: str, count: int) -> None:
        while self.count(path) < count:
            time.sleep(0.05)


@contextmanager
def _receiver(bench: Bench) -> Iterator[_Receiver]:
    port = free_port()
    receiver = _Receiver(port)
    command = [sys.executable, "-m", "benchmarks.webhooks_receiver", str(port)]
    with _running(Server("receiver", command, bench.folder / "receiver.log", lambda: _counts(receiver), cwd=PROJECT)):
        yield receiver


def _counts(receiver: _Receiver) -> bool:
    try:
        return receiver.count("/none") == 0
    except OSError:
        return False


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        yield server.start(seconds=READY_SECONDS)
    finally:
        server.stop()


def _task_each(bench: Bench, receiver: _Receiver, count: int, endpoints: int) -> float:
    """Deliveries a second of the rival: from the first task that is queued to the last arrival."""
    from benchmarks.rival.deliveries import send_webhook
    from sandbox.servers import valkey
    from webhooks.delivery.fan_out import fan_out
    from webhooks.models import Delivery, DeliveryStatus, Endpoint

    _record(_partner_with_endpoints([receiver.url("/theirs")] * endpoints), count // endpoints)
    while fan_out():
        pass
    keys = list(Delivery.objects.values_list("pk", flat=True))
    command = [
        *(sys.executable, "-m", "celery", "-A", "benchmarks.rival.deliveries", "worker", "--pool", "threads"),
        *("--queues", "rival", "--concurrency", "64", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    ready = lambda: valkey.has_consumers(bench.redis_port)  # noqa: E731 - the server's own parameter
    with _running(Server("rival", command, bench.folder / "rival.log", ready, cwd=PROJECT)) as worker:
        before, began = cpu_seconds(worker.pid), time.monotonic()
        for key in keys:
            send_webhook.delay(str(key))
        receiver.wait_for("/theirs", len(keys))
        seconds = time.monotonic() - began
        print(f"CPU ms/delivery  task each {(cpu_seconds(worker.pid) - before) * 1000 / len(keys):.2f}", end="  ")
    assert Delivery.objects.filter(status=DeliveryStatus.PENDING).count() <= 64  # the last ones may be lost with it
    Delivery.objects.update(status=DeliveryStatus.DELIVERED)
    Endpoint.objects.update(status="DISABLED", due_at=None)
    return len(keys) / seconds


def _platform(bench: Bench, receiver: _Receiver, count: int, endpoints: int) -> float:
    """Deliveries a second of ours: from the moment the events are there to the last result stored."""
    from webhooks.delivery.waking import wake_sender
    from webhooks.models import Attempt, Delivery, DeliveryStatus

    with _worker(bench) as worker:
        partner = _partner_with_endpoints([receiver.url("/ours")] * endpoints)
        _record(partner, 1)  # its connections are open
        receiver.wait_for("/ours", endpoints)
        before, began = cpu_seconds(worker.pid), time.monotonic()
        _record(partner, count // endpoints)
        wake_sender()
        while Delivery.objects.filter(partner=partner, status=DeliveryStatus.DELIVERED).count() < endpoints + count:
            time.sleep(0.05)
        seconds = time.monotonic() - began
        print(f"platform {(cpu_seconds(worker.pid) - before) * 1000 / count:.2f}")
    assert Attempt.objects.count() == endpoints + count
    return count / seconds


def _flooded(bench: Bench, receiver: _Receiver, flood: int) -> tuple[float, float]:
    """The 95th percentile of the others' delays in seconds, and deliveries a second to the flooded endpoint."""
    hanging, flooded = (_partner_with_endpoints([receiver.url(path)]) for path in ("/hang", "/flood"))
    others = [_partner_with_endpoints([receiver.url("/others")]) for _ in range(OTHERS)]
    recorded: dict[str, float] = {}
    with _worker(bench):
        _record(hanging, 100)
        began, left = time.monotonic(), flood
        while receiver.count("/flood") < flood:
            left -= len(_record(flooded, min(left, FLOOD_AT_ONCE)))
            for partner in others:
                (event,) = _record(partner, 1)
                recorded[str(event.pk)] = event.created_at.timestamp()
            time.sleep(PAUSE_SECONDS)
        seconds = time.monotonic() - began
        receiver.wait_for("/others", len(recorded))
    delays = [at - recorded[event] for event, at in receiver.arrivals("/others") if event in recorded]
    print(f"{len(delays)} events of the others during {seconds:.0f} s of flood, {receiver.count('/hang')} posts hang")
    return statistics.quantiles(delays, n=20)[-1], flood / seconds


def _worker(bench: Bench) -> AbstractContextManager[Server]:
    from sandbox import programs
    from sandbox.servers import valkey

    server = programs.webhooks_worker(Folder(bench.folder), dict(os.environ), bench.redis_port)
    server.ready = lambda: valkey.has_consumers(bench.redis_port)  # no other worker runs
    return _running(server)


def _partner_with_endpoints(urls: Sequence[str]) -> "Partner":
    from partner_platform.core.secrets import crypto
    from partners.models import Partner
    from webhooks.models import Endpoint
    from webhooks.secrets import new_secret

    number = Partner.objects.count()
    partner = Partner.objects.create(
        partner_id=f"bench_{number}",
        partner_name=f"Bench {number}",
        key_label="bench",
        daily_borrow_limit=1,
        total_borrow_limit=1,
        settlement_address=f"0x{number + 1:040d}",
        contact_email="bench@example.com",
        created_by="system",
    )
    token = crypto.encrypt(new_secret())
    Endpoint.objects.bulk_create(Endpoint(partner=partner, url=url, event_types=["*"], secret=token) for url in urls)
    return partner


def _record(partner: "Partner", count: int) -> "list[Event]":
    """So many events, each of a loan of its own, as large as a loan's."""
    import uuid

    from events.kinds import EventType
    from events.services import NewEvent, record_events
    from partner_platform.core.database.batches import batched
    from partner_platform.core.database.transactions import run_in_transaction

    data = {f"field{number}": "0x" + "ab" * 20 for number in range(20)}
    new = [
        NewEvent(type=EventType.LOAN_REPAYMENT, partner_key=partner.pk, data=data, loan_id=uuid.uuid4(), sequence=1)
        for _ in range(count)
    ]
    recorded: list[Any] = []
    for some in batched(new, EVENTS_AN_INSERT):
        recorded += run_in_transaction(lambda: record_events(some))  # noqa: B023 - it is called at once
    return recorded


if __name__ == "__main__":
    sys.exit(main())
