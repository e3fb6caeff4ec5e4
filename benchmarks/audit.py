"""A million audit entries verified, and one flipped byte among them found, on each database.

    python -m benchmarks audit [--entries 1000000] [--database sqlite|postgres|mongodb|all] [--processes 2]

Prints seconds, entries a second and processor seconds; the exit code says whether each flip was found and named
within the bound. Creating the trail is not what is measured: it is written in bulk, in blocks made by the sealer's
own function. What the sealer does a second is measured beside it.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sandbox.servers import mongodb, postgres, valkey
from sandbox.servers.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from audit.models import AuditBlock, AuditEntry

DATABASES = ("sqlite", "postgres", "mongodb")
MAX_SECONDS = 60.0
BLOCK_SIZE = 500
SEALED_BY_SEALER = 10_000
_random = random.Random()  # noqa: S311 - picks victims
COLUMNS = ("actor", "action", "target", "before", "after", "request_id", "mac")


def main() -> int:
    """Run for one database in this process; for `all` in a process each, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--database", choices=(*DATABASES, "all"), default="all")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--flips", type=int, default=2)
    options = parser.parse_args()
    if options.database == "all":
        command = [sys.executable, "-m", "benchmarks", "audit", *sys.argv[1:], "--database"]
        return max(subprocess.run([*command, name], check=False).returncode for name in DATABASES)
    with _prepared(options.database):
        return _measure(options)


def _measure(options: argparse.Namespace) -> int:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)

    def tell(text: str) -> None:
        print(f"{options.database:9} {text}", flush=True)

    began = time.perf_counter()
    _create(options.entries)
    tell(f"{options.entries:,} entries written in {time.perf_counter() - began:.0f} s")
    tell(_seal())
    whole = _verify(options.processes)
    ok, worst = not whole.findings, whole.seconds
    tell(f"verified in {whole}, {whole.entries / whole.seconds:,.0f} entries/s, {len(whole.findings)} findings")
    for column in _random.sample(COLUMNS, options.flips):
        run, key = _flip_and_find(column, options.entries, options.processes)
        ok = ok and [finding.entry_id for finding in run.findings] == [key]
        worst = max(worst, run.seconds)
        tell(f"one byte of `{column}` flipped: {run.findings[0] if run.findings else 'NOT FOUND'}; {run}")
    ok = ok and worst < MAX_SECONDS
    print(
        f"{'ok  ' if ok else 'MISS'}  {options.database} slowest {worst:.1f} s (bound {MAX_SECONDS:.0f} s)", flush=True
    )
    return 0 if ok else 1


@dataclass(frozen=True)
class VerificationRun:
    """One verification: how long it took, and the processor time of it and its processes."""

    seconds: float
    cpu: float
    entries: int
    findings: list[Any]

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.cpu:.1f} s of processor)"


def _verify(processes: int) -> VerificationRun:
    from audit.trail.verification import verify_trail

    began, cpu = time.perf_counter(), sum(os.times()[:4])
    result = verify_trail(processes=processes, with_anchors=False)
    return VerificationRun(time.perf_counter() - began, sum(os.times()[:4]) - cpu, result.entries, result.findings)


def _flip_and_find(column: str, entries: int, processes: int) -> tuple[VerificationRun, str]:
    from django.db.models import QuerySet

    from audit.models import AuditBlock, AuditEntry

    block = AuditBlock.objects.get(number=_random.randint(1, entries // BLOCK_SIZE))
    key = _random.choice(block.members)[0]
    one: QuerySet[AuditEntry] = QuerySet(AuditEntry).filter(pk=key)
    stored = getattr(one.get(), column)
    one.update(**{column: _flipped(stored)})
    run = _verify(processes)
    one.update(**{column: stored})
    return run, key


def _flipped(stored: Any) -> object:
    """The value with one bit of one byte changed."""
    if isinstance(stored, dict):
        name = _random.choice(list(stored))
        return {**stored, name: _flipped(stored[name])}
    place = _random.randrange(len(stored))
    return stored[:place] + chr(ord(stored[place]) ^ 1) + stored[place + 1 :]


# --- The trail ------------------------------------------------------------


def _create(entries: int) -> None:
    from audit.models import AuditBlock, AuditEntry
    from partner_platform.core.database.transactions import atomic

    previous: AuditBlock | None = None
    at_once = 20
    for start in range(0, entries, at_once * BLOCK_SIZE):
        blocks, rows = [], []
        for first in range(start, min(start + at_once * BLOCK_SIZE, entries), BLOCK_SIZE):
            previous, mine = _block(previous, range(first, min(first + BLOCK_SIZE, entries)))
            blocks.append(previous)
            rows += mine
        with atomic():
            AuditBlock.objects.bulk_create(blocks)
            for first in range(0, len(rows), 1_000):
                AuditEntry.objects.bulk_create(rows[first : first + 1_000])


def _block(previous: "AuditBlock | None", numbers: range) -> "tuple[AuditBlock, list[AuditEntry]]":
    from audit.services import digest_of_entry
    from audit.trail.sealing import make_block

    entries = [_entry(number) for number in numbers]
    block = make_block(previous, [(entry.pk.hex, digest_of_entry(entry)) for entry in entries])
    for entry in entries:
        entry.block = block.number
    return block, entries


def _entry(number: int) -> "AuditEntry":
    from audit.models import AuditEntry
    from audit.services import digest_of_entry
    from audit.trail.canonical import entry_mac
    from audit.trail.keys import signing_key

    entry = AuditEntry(
        actor=f"partner:partner_lender_{number % 50}",
        action="loan.settled",
        target=f"loan:{number}",
        before={"status": "PENDING", "principalAmount": str(number), "outstanding": "0"},
        after={"status": "ACTIVE", "principalAmount": str(number), "transactionHash": f"0x{number:064x}"},
        request_id=f"{number:032x}",
    )
    entry.mac = entry_mac(digest_of_entry(entry), signing_key())
    return entry


def _seal() -> str:
    """What the sealer does in a second; its blocks stay."""
    from audit.models import AuditEntry
    from audit.trail.sealing import seal_due

    AuditEntry.objects.bulk_create([_entry(number) for number in range(SEALED_BY_SEALER)])
    began, sealed = time.perf_counter(), 0
    while sealed < SEALED_BY_SEALER:
        sealed += seal_due().entries
    seconds = time.perf_counter() - began
    return f"{sealed:,} entries sealed in {seconds:.1f} s, {sealed / seconds:,.0f} a second"


# --- Servers ------------------------------------------------------------


@contextmanager
def _prepared(database: str) -> Iterator[None]:
    """A Redis and a database of their own, and Django set up on them; all ends with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="partner-platform-bench-")))
        folder.chmod(0o711)  # PostgreSQL's user must reach its own folder in it
        redis_port, port = free_port(), free_port()
        redis = valkey.valkey(port=redis_port, folder=folder / "redis", log=folder / "redis.log").start()
        stack.callback(redis.stop)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "partner_platform.settings",
            "DJANGO_SECRET_KEY": "only-for-benchmarks-0123456789-0123456789-0123456789",
            "FIELD_ENCRYPTION_KEYS": "b25seS1mb3ItYmVuY2htYXJrcy0zMi1ieXRlcy1rZXk=",
            "PLATFORM_ENVIRONMENT": "sandbox",
            "REDIS_URL": f"redis://{LOOPBACK}:{redis_port}/0",
            "DATABASE_URL": _start(stack, database, port, folder),
            "LOG_LEVEL": "WARNING",
        }
        import django

        django.setup()
        yield


def _start(stack: ExitStack, database: str, port: int, folder: Path) -> str:
    if database == "postgres":
        server = postgres.postgres(port=port, folder=folder / "postgres").start()
        stack.callback(server.stop)
        _create_database(port)
        return postgres.postgres_url(port, "bench")
    if database == "mongodb":
        server = mongodb.mongodb(port=port, folder=folder / "mongodb").start()
        stack.callback(server.stop)
        mongodb.initiate(port)
        return mongodb.mongodb_url(port, "bench")
    return f"sqlite:///{folder / 'bench.sqlite3'}"


def _create_database(port: int) -> None:
    import psycopg

    with psycopg.connect(postgres.postgres_url(port, "postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench")


if __name__ == "__main__":
    sys.exit(main())
