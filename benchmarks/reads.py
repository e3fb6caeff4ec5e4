"""An authenticated loan read, with its exact rate limit and its durable row in the log of calls, two ways.

1. ours: `GET /partners/loan/{partnerLoanId}` of the platform.
2. rival: the same loan read on plain DRF with djangorestframework-api-key, django-ratelimit and drf-api-tracking, as
   their documentation shows them (`benchmarks/rival`); Django's default makes a database connection for each request.
3. rival, persistent: the same with CONN_MAX_AGE set, as ours has it.
4. empty: a Django view that does nothing, in the rival's project.

One PostgreSQL (fsync on, a database each), one Redis, one web server (`partner_platform.server`, the same processes and
threads), the same clients; the four take short turns, so that whatever else the machine does meets them alike. Printed
are the medians over the turns of the requests a second, of the processor time of the web processes per request, and of
the ratio within a turn. In the end PostgreSQL is crashed and started again: each read that was answered must have its
row. The exit code says whether ours serves 2.5 times the requests of the rival.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import load
from benchmarks.load import Target
from benchmarks.world import cpu_seconds
from sandbox.folder import PROJECT
from sandbox.servers import postgres, valkey
from sandbox.servers.ports import LOOPBACK, accepts, free_port
from sandbox.servers.process import Server

MIN_RATIO = 2.5
LOAN_ID = "loan-1"
RIVAL_PACKAGES = PROJECT / ".tools" / "bench"
OURS, RIVAL = "bench_ours", "bench_rival"
CONN_MAX_AGE = "600"


@dataclass
class Contestant:
    """A running web server, what it is asked, and what came of it."""

    name: str
    server: Server
    target: Target
    answered: int = 0
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # milliseconds a request

    def take_turn(self, *, seconds: float, clients: int) -> None:
        """Be asked for so long."""
        cpu = cpu_seconds(self.server.pid)
        count, took = load.run(self.target, seconds=seconds, clients=clients)
        self.cpu.append((cpu_seconds(self.server.pid) - cpu) * 1000 / count)
        self.rates.append(count / took)
        self.answered += count

    def times(self, other: "Contestant") -> float:
        """How many times the requests of the other it serves."""
        return statistics.median(mine / its for mine, its in zip(self.rates, other.rates, strict=True))


def main() -> int:
    """Run the turns, print the table, answer 0 where the bound holds and every row is there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8)
    options = parser.parse_args()
    with _stores() as stores, _contestants(stores, options) as contestants:
        for contestant in contestants:  # warm up
            contestant.answered += load.run(contestant.target, seconds=1.0, clients=options.clients)[0]
        for _ in range(options.turns):
            for contestant in contestants:
                contestant.take_turn(seconds=options.seconds, clients=options.clients)
        stores.crash_database()
        return _report(contestants, stores)


def _report(contestants: list["Contestant"], stores: "Stores") -> int:
    ours, rival, persistent, _ = contestants
    print(f"{'':18}  requests/s   CPU ms/request")
    for contestant in contestants:
        rate, cpu = statistics.median(contestant.rates), statistics.median(contestant.cpu)
        print(f"{contestant.name:18}  {rate:10,.0f}   {cpu:14.2f}")
    rows = {"ours": _our_rows(), "rival": int(stores.rival("count"))}
    asked = {"ours": ours.answered, "rival": rival.answered + persistent.answered}
    print(f"rows of the log after a crash of PostgreSQL: {rows}; reads answered: {asked}")
    ratio = ours.times(rival)
    print(f"ours / rival {ratio:.2f} (with persistent connections: {ours.times(persistent):.2f})")
    checks = {f"ours / rival at least {MIN_RATIO}": ratio >= MIN_RATIO, "no row lost": rows == asked}
    for name, holds in checks.items():
        print(f"{'ok  ' if holds else 'MISS'}  {name}")
    return 0 if all(checks.values()) else 1


# --- Stores and servers ------------------------------------------------------------


@dataclass(frozen=True)
class Stores:
    """One PostgreSQL and one Redis for all, and the environment that names them."""

    postgres_port: int
    database: Server
    environment: dict[str, str]

    def rival(self, *arguments: str, given: str = "") -> str:
        """What a command of the rival's project prints."""
        command = [sys.executable, "-m", "benchmarks.rival.furnish", *arguments]
        done = subprocess.run(
            command, input=given, env=self.rival_environment(), cwd=PROJECT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def rival_environment(self, **more: str) -> dict[str, str]:
        """The environment of the rival's processes."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.rival.settings",
            "PYTHONPATH": str(RIVAL_PACKAGES),
            "RIVAL_DATABASE": RIVAL,
            "RIVAL_DATABASE_PORT": str(self.postgres_port),
            "RIVAL_DATABASE_USER": postgres.SUPERUSER,
            **more,
        }

    def crash_database(self) -> None:
        """SIGQUIT is PostgreSQL's immediate shutdown: what is not in the written-ahead log by now is lost."""
        assert self.database.popen is not None
        self.database.popen.send_signal(signal.SIGQUIT)
        self.database.popen.wait(30)
        self.database.start()


@contextmanager
def _stores() -> Iterator[Stores]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="partner-platform-bench-")))
        folder.chmod(0o711)  # PostgreSQL's user must reach its own folder in it
        redis_port, port = free_port(), free_port()
        redis = valkey.valkey(port=redis_port, folder=folder / "redis", log=folder / "redis.log").start()
        stack.callback(redis.stop)
        database = postgres.postgres(port=port, folder=folder / "postgres")
        # The tests' server does without what makes rows durable; the last word counts.
        database.command = [*database.command, *("-c", "fsync=on", "-c", "full_page_writes=on")]
        stack.callback(database.stop)
        database.start()
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "partner_platform.settings",
            "DJANGO_SECRET_KEY": "only-for-benchmarks-0123456789-0123456789-0123456789",
            "FIELD_ENCRYPTION_KEYS": "b25seS1mb3ItYmVuY2htYXJrcy0zMi1ieXRlcy1rZXk=",
            "DJANGO_ALLOWED_HOSTS": LOOPBACK,
            "PLATFORM_ENVIRONMENT": "sandbox",
            "REDIS_URL": f"redis://{LOOPBACK}:{redis_port}/0",
            "DATABASE_URL": postgres.postgres_url(port, OURS),
            "DATABASE_CONN_MAX_AGE": CONN_MAX_AGE,
            "LOG_LEVEL": "WARNING",
            "RATE_LIMIT_ENTERPRISE": "1000000",  # counted as ever, and not what is measured
        }
        _create_databases(port)
        import django

        django.setup()
        yield Stores(port, database, dict(os.environ))


def _create_databases(port: int) -> None:
    import psycopg

    with psycopg.connect(postgres.postgres_url(port, "postgres"), autocommit=True) as connection:
        for name in (OURS, RIVAL):
            connection.execute(f"CREATE DATABASE {name}")


@contextmanager
def _contestants(stores: Stores, options: argparse.Namespace) -> Iterator[list[Contestant]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="partner-platform-bench-")))

        def serve(name: str, application: str, environment: dict[str, str]) -> tuple[Server, int]:
            port = free_port()
            server = _web(folder / f"{name}.log", application, environment, port, options)
            stack.callback(server.stop)
            return server.start(), port

        path = f"/partners/loan/{LOAN_ID}"
        key = furnish_loan()
        all_threads = {"PARTNER_THREADS": str(options.threads)}  # the one partner there is may use them all
        server, port = serve("ours", "partner_platform.wsgi", {**os.environ, **all_threads})
        ours = Contestant("ours", server, Target(port, path, {"Authorization": f"Bearer {key}"}))
        ours.answered = 1
        key = stores.rival(given=load.fetch_body(ours.target).decode())
        found = [ours]
        for name, age in (("rival", "0"), ("rival, persistent", CONN_MAX_AGE)):
            environment = stores.rival_environment(RIVAL_CONN_MAX_AGE=age)
            server, port = serve(name, "benchmarks.rival.wsgi", environment)
            found.append(Contestant(name, server, Target(port, path, {"Authorization": f"Api-Key {key}"})))
        found.append(Contestant("empty view", server, Target(port, "/empty", {})))
        yield found


def _web(log: Path, application: str, environment: dict[str, str], port: int, options: argparse.Namespace) -> Server:
    command = [
        *(sys.executable, "-m", "partner_platform.server", application, "--bind", f"{LOOPBACK}:{port}"),
        *("--processes", str(options.processes), "--threads", str(options.threads), "--grace", "1"),
    ]
    return Server(name="web", command=command, log=log, env=environment, cwd=PROJECT, ready=lambda: accepts(port))


# --- Our rows ------------------------------------------------------------


def furnish_loan() -> str:
    """The tables, a partner and a loan that it drew and repaid a part of; answers the partner's key."""
    from django.core.management import call_command

    from partners.services import create_partner

    call_command("migrate", verbosity=0)
    partner, key, _ = create_partner(
        actor="system:bench",
        partner_name="Bench",
        key_label="bench",
        tier="ENTERPRISE",
        daily_borrow_limit="1000000000000",
        total_borrow_limit="1000000000000",
        settlement_address="0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
        contact_email="bench@example.com",
    )
    assert key is not None, "the benchmark runs in a sandbox"
    _draw(partner)
    return key


def _draw(partner: Any) -> None:
    from chain.models import Operation
    from loans.models import FundingSource, LoanStatus, PartnerLoan, Repayment, RepaymentStatus
    from partner_platform.core import clock

    tx_hash = "0x" + "ab" * 32
    operation = Operation.objects.create(key="bench", uid="0x" + "cd" * 32, kind="borrow", calls=[], effect=[])
    now = clock.now()
    loan = PartnerLoan.objects.create(
        partner=partner,
        partner_loan_id=LOAN_ID,
        partner_name=partner.partner_name,
        user_wallet="0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
        oaid_token_id=7,
        solvency_position_id=7,
        principal_amount=1_000_000_000,
        outstanding_principal=900_000_000,
        bearing_principal=900_000_000,
        total_repaid=100_000_000,
        platform_fee_charged=5_000_000,
        net_amount=995_000_000,
        remaining_credit=9_000_000_000,
        settlement_address=partner.settlement_address,
        status=LoanStatus.ACTIVE,
        borrow_operation=operation,
        borrow_tx_hash=tx_hash,
        daily_usage_day=clock.today(),
        borrowed_at=now,
        last_repayment_at=now,
        metadata={"customer": "c-1"},
    )
    paid = {"amount": 100_000_000, "status": RepaymentStatus.SETTLED, "funding": FundingSource.PULLED}
    Repayment.objects.create(loan=loan, partner=partner, **paid, chain_order=1, tx_hash=tx_hash, settled_at=now)


def _our_rows() -> int:
    from django.db import connection

    from audit.models import ApiLog

    connection.close()  # of before the crash
    count: int = ApiLog.objects.filter(status_code=200).count()
    return count


if __name__ == "__main__":
    sys.exit(main())
