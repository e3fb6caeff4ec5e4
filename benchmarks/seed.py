"""A million loans and five million logged calls on each database, and what it costs to reconcile them.

    python -m benchmarks seed [--engine sqlite|postgres|mongodb|all] [--loans 1000000] [--logs 5000000] [--keep FOLDER]

Writes a year of business in bulk (`benchmarks.seeding`), puts the chain where it left it, and lets the reconciliation
judge both: it must find nothing, in full within 60 s and 200 MiB, and within 1 s where nothing moved since. `--keep`
leaves database and chain in a folder of their own; `--open FOLDER` starts their servers again and tells how to reach
them. Sizes below the defaults have the same bounds.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.world import Bench, running_servers
from sandbox import databases

if TYPE_CHECKING:
    from sandbox.world import World

LOANS, LOGS = 1_000_000, 5_000_000
FIRST_BLOCK = 10_000_000  # of the chain; the seeded past lies below
HOUR = 3_600
TOLD = (
    *("DATABASE_URL", "REDIS_URL", "CHAIN_RPC_URLS", "DJANGO_SETTINGS_MODULE", "DJANGO_SECRET_KEY"),
    *("FIELD_ENCRYPTION_KEYS", "PLATFORM_ENVIRONMENT", "DJANGO_ALLOWED_HOSTS"),
)
ENVIRONMENT = "seed.json"  # in the folder: the settings that point at the chain's contracts


def main() -> int:
    """Seed and measure; answers 0 where every bound held."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loans", type=int, default=LOANS)
    parser.add_argument("--logs", type=int, default=LOGS)
    parser.add_argument("--engine", choices=(*databases.ENGINES, "all"), default="all")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave everything there")
    parser.add_argument("--open", type=Path, metavar="FOLDER", help="start what was left there, until interrupted")
    parser.add_argument("--again", action="store_true", help="with --open: measure again, and end")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.measure:
        from benchmarks.seeding.measuring import measure

        return measure(moved=min(1_000, options.loans // 20))
    if options.engine == "all":
        return max(_in_a_process(engine) for engine in databases.ENGINES)
    folder = options.open or options.keep
    with running_servers(options.engine, folder=folder, first_block=FIRST_BLOCK) as bench:
        if options.open:
            environment = _reopen(bench)
        else:
            environment = _seed(options.loans, options.logs, options.engine)
            (bench.folder / ENVIRONMENT).write_text(json.dumps(environment))
        if options.open and not options.again:
            return _wait(environment)
        command = [sys.executable, "-m", "benchmarks", "seed", "--measure", "--loans", str(options.loans)]
        code = subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
        if options.keep:
            print(f"left in {options.keep}: python -m benchmarks seed --engine {options.engine} --open {options.keep}")
        return code


def _reopen(bench: Bench) -> dict[str, str]:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    environment: dict[str, str] = json.loads((bench.folder / ENVIRONMENT).read_text())
    return environment


def _in_a_process(engine: str) -> int:
    command = [sys.executable, "-m", "benchmarks", "seed", *sys.argv[1:], "--engine", engine]
    return subprocess.run(command, check=False).returncode


def _seed(loans: int, logs: int, engine: str) -> dict[str, str]:
    """Everything into the database and onto the chain; answers the settings that point at the chain's contracts."""
    from django.core.management import call_command

    from benchmarks.seeding.api_logs import api_logs
    from benchmarks.seeding.bulk import Table, without_indexes
    from benchmarks.seeding.history import History
    from benchmarks.seeding.rows import Books
    from chain.rpc.clients import get_client
    from chain.wallet.wallets import platform_wallet

    call_command("migrate", verbosity=0)
    world = furnish_world()
    history = History(loans=loans, end=int(time.time()) - HOUR, last_block=FIRST_BLOCK - 1)
    partners = [seeded_partner(number) for number in range(history.partners)]
    began = time.monotonic()
    wallet = platform_wallet(get_client())
    books = Books(history, partners, wallet, {**world.contracts, "executor": world.contracts["platformExecutor"]})
    with without_indexes(seeded_models()):
        books.write()
        calls = Table(_api_log(), user_agent="bench/1.0")
        count = calls.insert(calls.row(**call) for call in api_logs(logs, partners, history.end, loans))
        written = time.monotonic() - began
    books.finish()
    indexed = time.monotonic() - began
    _ground(world, history, books)
    total = sum(books.count.values()) + count
    print(f"{databases.TITLES[engine]}: {total:,} rows in {written:.0f} s ({total / written:,.0f} a second), ", end="")
    print(f"with their indexes {indexed:.0f} s, with the chain {time.monotonic() - began:.0f} s")
    print("  " + ", ".join(f"{n:,} {name}" for name, n in {**books.count, "ApiLog": count}.items()), flush=True)
    return world.environment()


def seeded_models() -> list[Any]:
    """Those with so many rows that their indexes are built afterwards."""
    from audit.models import ApiLog
    from chain.models import ChainEvent, ChainTransaction, FundingTransfer, Operation
    from loans.models import OaidCredit, PartnerLoan, Repayment, SolvencyPosition

    return [
        *(PartnerLoan, Repayment, SolvencyPosition, OaidCredit),
        *(Operation, ChainTransaction, FundingTransfer, ChainEvent, ApiLog),
    ]


def _api_log() -> Any:
    from audit.models import ApiLog

    return ApiLog


def furnish_world() -> "World":
    """The sandbox's contracts, and the settings of this process pointed at them."""
    from django.conf import settings

    from sandbox.furnish import build_world

    world = build_world(partners=["bench"])
    for name, value in world.environment().items():
        setattr(settings, name, value)
    return world


def seeded_partner(number: int) -> Any:
    """A new partner whose limits nothing reaches."""
    from partners.services import create_partner
    from sandbox.keys import key_pair

    return create_partner(
        actor="system:bench",
        partner_name=f"Seeded Lender {number}",
        key_label=f"seed{number}",
        tier="ENTERPRISE",
        daily_borrow_limit=str(10**16),
        total_borrow_limit=str(10**17),
        settlement_address=key_pair(f"settlement:seed-{number}").address,
        contact_email="bench@example.com",
    ).partner


def _ground(world: "World", history: Any, books: Any) -> None:
    """The chain's storage, the platform account's balance, its nonces, and the watcher's cursor at the head."""
    from django.conf import settings

    from benchmarks.seeding import ground
    from chain.models import SYSTEM_CURSOR, Executor, WatchCursor
    from chain.rpc.clients import get_client
    from loans.models import SolvencyPosition

    def words() -> Any:
        for row in SolvencyPosition.objects.order_by("position_id").iterator(chunk_size=5_000):
            yield from ground.position_words(world.contracts, row)
        yield ground.balance_word(world.contracts["usdc"], world.contracts["platformExecutor"], books.balance)

    get_client().call("anvil_setNonce", [world.accounts["operator"], hex(books.nonces)])
    head = ground.write_storage(words())
    Executor.objects.create(address=world.contracts["platformExecutor"], chain_id=settings.CHAIN_ID)
    WatchCursor.objects.create(name=SYSTEM_CURSOR, next_block=head + 1, verified_block=head)


def _wait(environment: dict[str, str]) -> int:
    """Tell how to reach everything, as lines for a shell, until interrupted."""
    for name, value in {**{name: os.environ[name] for name in TOLD}, **environment}.items():
        print(f"export {name}='{value}'")
    print("# running until interrupted", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main())
