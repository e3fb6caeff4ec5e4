"""What parts of our own save beside what Django and its backends bring: each with and without, in short turns.

    python -m benchmarks parts [--only lookup] [--turns 9]

lookup       a loan read, its SQL made once a thread (`core.database.lookup`), or anew for each read; processor time
interpreter  updates of 4 threads beside some that compute: threads change after 0.5 ms (`core.interpreter`), or after 5
sqlite       guarded updates of 12 threads that queue for the write lock (`core.sqlite`), or sleep in SQLite
postgres     a request's first query, its connection checked without a query before (`core.postgres`), or with one
mongodb      a row by a unique column, and 1,000 rows, by the engine of `core.mongodb`, or by the stock backend

Each part runs in a process of its own with its own servers. Printed are medians over the turns of the rates a second,
and of the ratio within a turn. The exit code is 1 where one of them saves nothing: then it is to go.
"""

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from benchmarks.reads import LOAN_ID, furnish_loan
from benchmarks.world import running_servers
from sandbox import databases
from sandbox.servers.ports import LOOPBACK

Rate = Callable[[], float]
READS = 60  # a turn
SECONDS = 1.5  # a turn of threads
SWITCH_SECONDS = 0.005  # Python's own
ROWS = 10_000
ROWS_AT_ONCE = 1_000  # MongoDB ends a transaction after six seconds


def main() -> int:
    """Measure the parts, print a line for each; answers 0 where each saves something."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=PARTS, help="this part alone, in this process")
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args()
    if options.only:
        engine, measure = PARTS[options.only]
        with running_servers(engine):
            return max(_tell(name, ours, without, options.turns) for name, ours, without in measure())
    turns = ["--turns", str(options.turns)]
    command = [sys.executable, "-m", "benchmarks", "parts", *turns, "--only"]
    return max(subprocess.run([*command, name], check=False).returncode for name in PARTS)


def _tell(name: str, ours: Rate, without: Rate, turns: int) -> int:
    pairs = [(ours(), without()) for _ in range(turns + 1)][1:]  # the first one warms up
    ratio = statistics.median(mine / its for mine, its in pairs)
    mine, its = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    print(f"{'ok  ' if ratio > 1 else 'MISS'}  {name:44} with {mine:9,.1f}/s  without {its:9,.1f}/s  ratio {ratio:.2f}")
    return 0 if ratio > 1 else 1


# --- Reads of a loan, in this process ---------------------------------------------------------


class _Reader:
    """A partner that reads its loan through all of the platform but the web server."""

    def __init__(self) -> None:
        from django.test import Client

        key = furnish_loan()
        self._client = Client(SERVER_NAME=LOOPBACK, headers={"Authorization": f"Bearer {key}"})

    def read(self) -> None:
        answer = self._client.get(f"/partners/loan/{LOAN_ID}")
        assert answer.status_code == 200, answer.content

    def rate(self) -> float:
        """Reads a second of processor time."""
        began = time.process_time()
        for _ in range(READS):
            self.read()
        return READS / (time.process_time() - began)


def _lookup() -> Iterator[tuple[str, Rate, Rate]]:
    from partner_platform.core.database.lookup import Listing, Lookup

    reader = _Reader()

    def anew() -> float:
        with (
            patch.object(Lookup, "get", lambda self, **values: self._rows().get(**values)),
            patch.object(Listing, "all", _listed_anew),
        ):
            return reader.rate()

    yield "lookup: loan reads, processor time", reader.rate, anew


def _listed_anew(listing: Any, **values: Any) -> list[Any]:
    rows = listing._rows().filter(**values)  # noqa: SLF001 - what it does itself on MongoDB
    return list(rows.order_by(*listing._order)[: listing._limit])  # noqa: SLF001


# --- Statements, beside the stock backend's -----------------------------------------------------


def _postgres() -> Iterator[tuple[str, Rate, Rate]]:
    from django.db import close_old_connections

    from loans.models import PartnerLoan
    from partner_platform.core.postgres.base import DatabaseWrapper

    furnish_loan()

    def look_up() -> float:
        began = time.perf_counter()
        for _ in range(10 * READS):
            close_old_connections()  # as before each request
            assert len(PartnerLoan.objects.values_list("pk")) == 1
        return 10 * READS / (time.perf_counter() - began)

    def asked() -> float:
        with patch.object(DatabaseWrapper, "_is_fresh", lambda _: False):
            return look_up()

    yield "postgres: the first query of a request", look_up, asked


@contextmanager
def _stock(engine: str, **more: Any) -> Iterator[str]:
    """An alias of the same database, or of another `NAME` on the same server, by another engine."""
    from django.db import connections

    connections.settings["stock"] = {**connections.settings["default"], "ENGINE": engine, **more}
    yield "stock"


def _update(alias: str = "default") -> None:
    from django.db.models import F

    from partner_platform.core.database.transactions import atomic
    from partners.models import Partner

    with atomic(using=alias):
        rows = Partner.objects.using(alias).filter(total_borrowed__lte=10**15)
        assert rows.update(total_borrowed=F("total_borrowed") + 1) == 1


def _sqlite() -> Iterator[tuple[str, Rate, Rate]]:
    furnish_loan()
    with _stock("django.db.backends.sqlite3") as stock:
        yield (
            "sqlite: guarded updates of 12 threads",
            lambda: _in_threads(12, _update),
            lambda: _in_threads(12, lambda: _update(stock)),
        )


def _interpreter() -> Iterator[tuple[str, Rate, Rate]]:
    from partner_platform.core.interpreter import share_fairly

    def after(set_interval: Callable[[], None], threads: int) -> float:
        set_interval()
        with _computing(threads):
            return _in_threads(4, _update)

    def as_it_comes() -> None:
        sys.setswitchinterval(SWITCH_SECONDS)

    furnish_loan()
    for computing in (1, 3):
        yield (
            f"interpreter: updates beside {computing} that compute",
            partial(after, share_fairly, computing),
            partial(after, as_it_comes, computing),
        )


@contextmanager
def _computing(threads: int) -> Iterator[None]:
    """So many threads beside that never wait."""
    is_over = threading.Event()

    def compute() -> None:
        while not is_over.is_set():
            sum(number * number for number in range(1_000))

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            pool.submit(compute)
        try:
            yield
        finally:
            is_over.set()


def _mongodb() -> Iterator[tuple[str, Rate, Rate]]:
    from django.core.management import call_command

    from chain.models import Operation

    with _stock("django_mongodb_backend", NAME="stock") as stock:
        for alias in ("default", stock):
            call_command("migrate", database=alias, verbosity=0)
            for start in range(0, ROWS, ROWS_AT_ONCE):
                numbers = range(start, start + ROWS_AT_ONCE)
                rows = [Operation(key=f"key-{n}", uid=f"0x{n:064x}", calls=[], effect=[]) for n in numbers]
                Operation.objects.using(alias).bulk_create(rows)

        def find(alias: str, count: int) -> float:
            began = time.perf_counter()
            for number in range(count):
                Operation.objects.using(alias).get(key=f"key-{number}")
            return count / (time.perf_counter() - began)

        def read(alias: str) -> float:
            began = time.perf_counter()
            assert len(Operation.objects.using(alias).all()[:ROWS_AT_ONCE]) == ROWS_AT_ONCE
            return 1 / (time.perf_counter() - began)

        yield f"mongodb: one of {ROWS:,} rows by a unique column", lambda: find("default", 50), lambda: find(stock, 50)
        yield "mongodb: 1,000 rows", lambda: read("default"), lambda: read(stock)


def _in_threads(threads: int, act: Callable[[], None]) -> float:
    """How often a second so many threads do it together."""
    from django.db import connections

    ends = time.perf_counter() + SECONDS
    begin = threading.Barrier(threads)

    def work(_: int) -> int:
        begin.wait()
        done = 0
        while time.perf_counter() < ends:
            act()
            done += 1
        connections.close_all()
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(work, range(threads)))
    return done / (time.perf_counter() - began)


PARTS: dict[str, tuple[str, Callable[[], Iterator[tuple[str, Rate, Rate]]]]] = {
    "lookup": ("postgres", _lookup),
    "interpreter": (databases.SQLITE, _interpreter),
    "sqlite": (databases.SQLITE, _sqlite),
    "postgres": ("postgres", _postgres),
    "mongodb": ("mongodb", _mongodb),
}


if __name__ == "__main__":
    sys.exit(main())
