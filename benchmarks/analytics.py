"""Analytics of staff (endpoint 15 and the overall figures) at a million loans beside ten thousand, on each database.

    python -m benchmarks analytics [--engine sqlite|postgres|mongodb|all] [--loans 1000000] [--few 10000] [--turns 30]

Each size has a database of its own with a year of business (`benchmarks.seeding`), lent by the same number of partners,
and a process that asks for every period through the whole stack. The two take turns, so that whatever else the machine
does meets them alike. Printed are the medians over the turns; an answer at the larger size takes less than 1.3 times as
long, and the rows that it is made of equal what the partner's loans and repayments add up to.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.world import running_servers
from sandbox import databases
from sandbox.folder import PROJECT
from sandbox.servers.ports import LOOPBACK

if TYPE_CHECKING:
    from partners.models import Partner

LOANS, FEW = 1_000_000, 10_000
MAX_RATIO = 1.3
PARTNERS = 20
ASKED_A_TURN = 5  # times each
PERIODS = ("7d", "30d", "90d", "365d")
FIRST_BLOCK = 10_000_000
HOUR = 3_600
MILLISECONDS = 1000


def main() -> int:
    """Compare the sizes; answers 0 where every bound held."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loans", type=int, default=LOANS)
    parser.add_argument("--few", type=int, default=FEW)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--engine", choices=(*databases.ENGINES, "all"), default="all")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)  # one size, in a process of its own
    options = parser.parse_args()
    if options.serve:
        return _serve(options.engine, options.serve)
    engines = databases.ENGINES if options.engine == "all" else [options.engine]
    return max(_compare(engine, options) for engine in engines)


def _compare(engine: str, options: argparse.Namespace) -> int:
    with _process(engine, options.few) as few, _process(engine, options.loans) as many:
        for process in (few, many):
            if not _line(process)["agrees"]:
                print(f"MISS  {databases.TITLES[engine]}: the rows are not what the loans add up to")
                return 1
        turns = [(_turn(few), _turn(many)) for _ in range(options.turns + 1)][1:]  # the first warms up
    wrong = 0
    for path in turns[0][0]:
        small, large = (statistics.median(turn[size][path] for turn in turns) * MILLISECONDS for size in (0, 1))
        ratio = statistics.median(turn[1][path] / turn[0][path] for turn in turns)
        holds = ratio < MAX_RATIO
        wrong += not holds
        print(
            f"{'ok  ' if holds else 'MISS'}  {databases.TITLES[engine]}: {path}: {small:.1f} ms with {options.few:,} "
            f"loans, {large:.1f} ms with {options.loans:,}: {ratio:.2f} times (bound {MAX_RATIO})",
            flush=True,
        )
    return 1 if wrong else 0


@contextmanager
def _process(engine: str, loans: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "benchmarks", "analytics", "--engine", engine, "--serve", str(loans)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()  # it ends, with its servers


def _turn(process: "subprocess.Popen[str]") -> dict[str, float]:
    assert process.stdin is not None
    process.stdin.write("turn\n")
    process.stdin.flush()
    return _line(process)


def _line(process: "subprocess.Popen[str]") -> dict[str, float]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            found: dict[str, float] = json.loads(line)
            return found
    raise RuntimeError("the process of one size has ended")


# --- One size -----------------------------------------------------------------------


def _serve(engine: str, loans: int) -> int:
    """Seed, then answer each line of the input with the seconds of every call."""
    with running_servers(engine, first_block=FIRST_BLOCK):
        partner = _seed(loans)
        from loans.reconciliation.activity import activity_of, check_activity

        print(json.dumps({"agrees": not check_activity(activity_of(partner.pk), [partner])}), flush=True)
        calls, headers = _calls(partner.partner_id), _headers()
        for _ in sys.stdin:
            print(json.dumps({name: _seconds(path, headers) for name, path in calls.items()}), flush=True)
    return 0


def _seed(loans: int) -> "Partner":
    from django.core.management import call_command

    from benchmarks.seed import furnish_world, seeded_models, seeded_partner
    from benchmarks.seeding.bulk import without_indexes
    from benchmarks.seeding.history import History
    from benchmarks.seeding.rows import Books
    from chain.rpc.clients import get_client
    from chain.wallet.wallets import platform_wallet
    from partners.models import Partner

    call_command("migrate", verbosity=0)
    world = furnish_world()
    history = History(loans=loans, end=int(time.time()) - HOUR, last_block=FIRST_BLOCK - 1, partners=PARTNERS)
    partners = [seeded_partner(number) for number in range(PARTNERS)]
    addresses = {**world.contracts, "executor": world.contracts["platformExecutor"]}
    books = Books(history, partners, platform_wallet(get_client()), addresses)
    with without_indexes(seeded_models()):
        books.write()
    books.finish()
    return Partner.objects.get(pk=partners[0].pk)


def _calls(partner_id: str) -> dict[str, str]:
    """The paths by their names."""
    of_partner = {f"a partner, {period}": f"partners/{partner_id}/analytics?period={period}" for period in PERIODS}
    return {**of_partner, **{f"all partners, {period}": f"analytics?period={period}" for period in PERIODS}}


def _headers() -> dict[str, str]:
    from django.contrib.auth.models import User

    from staff.access.api_sessions import Device, open_api_session

    user = User.objects.create_superuser("bench", "bench@example.com")
    device = Device("127.0.0.1", "bench")
    pair = open_api_session(user=user, means="password", with_factor=False, device=device)
    return {"Authorization": f"Bearer {pair.access}"}


def _seconds(path: str, headers: dict[str, str]) -> float:
    """The median of some calls."""
    from django.test import Client

    took = []
    for _ in range(ASKED_A_TURN):
        began = time.perf_counter()
        answer = Client(SERVER_NAME=LOOPBACK).get(f"/admin/{path}", headers=headers)
        took.append(time.perf_counter() - began)
        assert answer.status_code == 200, answer.content
    return statistics.median(took)


if __name__ == "__main__":
    sys.exit(main())
