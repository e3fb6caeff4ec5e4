"""A partner's reads and borrows during a flood of calls without a key: latency, errors and growth of the database.

    python -m benchmarks refusals [--seconds 60] [--rate 500] [--slow 200] [--addresses 1]

The platform's processes run as the sandbox runs them, on SQLite, blocks come every two seconds. One partner reads a
loan ten times and borrows once a second, in even steps (a borrow is answered when it is accepted: how long blocks take
is not measured). `benchmarks.flood` attacks for `--seconds` at nice 19; before and after it is quiet for half as long
each. Bounds: the 95th percentile of the partner's times under attack is less than twice that of the quiet, of reads and
of borrows; none of its calls fails; the database grows by less than 1 MiB more than in so long a quiet (the calmer of
the two). The run is void where the flood did not reach its rate.
"""

import argparse
import http.client
import itertools
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.settlement import furnished
from benchmarks.world import Bench, running_platform, running_servers
from sandbox.folder import PROJECT, Folder
from sandbox.servers.ports import LOOPBACK

if TYPE_CHECKING:
    from sandbox.world import World

MAX_RATIO = 2.0
MAX_GROWTH = 1024 * 1024
MIN_OF_ATTACK = 0.8
LOAN = 10 * 10**6
READS_A_SECOND, BORROWS_A_SECOND = 10.0, 1.0
READERS = 2  # threads
READ, BORROW = "reads", "borrows"
MILLISECONDS = 1000


@dataclass
class Phase:
    """The partner's measurements: seconds of each call by kind, responses by status; and how the database grew."""

    times: dict[str, list[float]] = field(default_factory=lambda: {READ: [], BORROW: []})
    answers: Counter[int] = field(default_factory=Counter)
    growth: list[int] = field(default_factory=list)  # bytes, each time

    def p95(self, kind: str) -> float:
        """Seconds."""
        return statistics.quantiles(self.times[kind], n=20)[-1]


def main() -> int:
    """Run quietly, under attack, quietly again; returns 0 where the bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=500.0, help="anonymous requests a second (%(default)g)")
    parser.add_argument("--slow", type=int, default=200, help="slow connections (%(default)d)")
    parser.add_argument("--addresses", type=int, default=1, help="loopback addresses of the attack (%(default)d)")
    options = parser.parse_args()
    with running_servers() as bench:
        world = furnished(bench)
        from django.core.management import call_command

        from benchmarks.furnish import create_bench_partner

        call_command("migrate", verbosity=0)
        partner = _Partner(bench, world, create_bench_partner(world))
        with running_platform(bench):
            partner.be_served(Phase(), seconds=5.0)  # warm up
            quiet, attacked = Phase(), Phase()
            partner.be_served(quiet, seconds=options.seconds / 2)
            told = _attacked(partner, attacked, options)
            partner.be_served(quiet, seconds=options.seconds / 2)
    return _report(quiet, attacked, told, options)


def _attacked(partner: "_Partner", phase: Phase, options: argparse.Namespace) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.flood", str(partner.port), "--seconds", str(options.seconds)]
    for name in ("rate", "slow", "addresses"):
        command += [f"--{name}", str(getattr(options, name))]
    flood = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        partner.be_served(phase, seconds=options.seconds)
        told, _ = flood.communicate(timeout=options.seconds + 60)
    finally:
        flood.kill()
    return dict(json.loads(told))


class _Partner:
    """Reads and borrows in even steps."""

    def __init__(self, bench: Bench, world: "World", key: str) -> None:
        self.port = bench.web_port
        self._database = Folder(bench.folder).database
        self._world = world
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._numbers = itertools.count()

    def be_served(self, phase: Phase, *, seconds: float) -> None:
        """Go on for so long, adding to `phase`."""
        before, ends = self._size(), time.monotonic() + seconds
        self._borrow(phase)  # what is read exists
        threads = [threading.Thread(target=self._in_steps, args=(phase, BORROW, BORROWS_A_SECOND, ends))]
        reading = (phase, READ, READS_A_SECOND / READERS, ends)
        threads += [threading.Thread(target=self._in_steps, args=reading) for _ in range(READERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        phase.growth.append(self._size() - before)

    def _in_steps(self, phase: Phase, kind: str, rate: float, ends: float) -> None:
        due = time.monotonic()
        while due < ends:
            time.sleep(max(due - time.monotonic(), 0))
            # From when it was due: who waits for one answer is late with the next.
            status = self._borrow(phase) if kind == BORROW else self._read()
            phase.times[kind].append(time.monotonic() - due)
            phase.answers[status] += 1
            due += 1 / rate

    def _borrow(self, phase: Phase) -> int:
        number = next(self._numbers)
        user = self._world.users[number % len(self._world.users)]
        body = {
            "oaidTokenId": user.oaid_token_id,
            "userWallet": user.wallet,
            "borrowAmount": str(LOAN),
            "partnerLoanId": f"refusals-{number}",
        }
        return self._call("POST", "/partners/borrow", json.dumps(body), Prefer="respond-async")

    def _read(self) -> int:
        return self._call("GET", "/partners/loan/refusals-0")

    def _call(self, method: str, path: str, body: str | None = None, **headers: str) -> int:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=60)
        try:
            connection.request(method, path, body, {**self._headers, **headers})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def _size(self) -> int:
        with sqlite3.connect(f"file:{self._database}?mode=ro", uri=True) as database:
            [size] = database.execute("select page_count * page_size from pragma_page_count(), pragma_page_size()")
        return int(size[0])


def _report(quiet: Phase, attacked: Phase, told: dict[str, int], options: argparse.Namespace) -> int:
    answered = sum(count for status, count in told.items() if status.isdecimal())
    print(f"the attack: {told}, {answered / options.seconds:,.0f} answers a second; {os.cpu_count()} processors")
    print(f"{'p95':10}  quiet ms   attacked ms")
    ratios = {}
    for kind in (READ, BORROW):
        before, beside = quiet.p95(kind), attacked.p95(kind)
        ratios[kind] = beside / before
        print(f"{kind:10}  {before * MILLISECONDS:8.1f}   {beside * MILLISECONDS:11.1f}")
    growth = sum(attacked.growth) - 2 * min(quiet.growth)  # each quiet is half as long
    failed = {status: count for status, count in (quiet.answers + attacked.answers).items() if status not in (200, 202)}
    checks: list[tuple[str, Any]] = [
        *((f"{kind}: {ratio:.2f} times (bound {MAX_RATIO:g})", ratio < MAX_RATIO) for kind, ratio in ratios.items()),
        (f"the database grew by {growth / 1024:,.0f} KiB more (bound {MAX_GROWTH // 1024:,})", growth < MAX_GROWTH),
        (f"the partner's calls that failed: {failed or 'none'}", not failed),
        (
            f"the attack came: {answered:,} answers (at least {MIN_OF_ATTACK:.0%} of what was asked for)",
            answered >= MIN_OF_ATTACK * options.rate * options.seconds,
        ),
    ]
    for text, holds in checks:
        print(f"{'ok  ' if holds else 'MISS'}  {text}")
    return 0 if all(holds for _, holds in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
