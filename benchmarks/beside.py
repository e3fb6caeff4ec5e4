"""Reconciling beside lending: 20 borrows a second for five minutes, and what healthy books are found to be meanwhile.

    python -m benchmarks beside [--seconds 300] [--rate 20] [--engine sqlite|postgres|mongodb]

The platform's processes run as the sandbox runs them, blocks come every two seconds. Partners borrow and repay at the
rate, users repay at the pool, a stranger sends dust. Beside that the reconciliation runs again and again, quickly and
in full, allowed to repair and to freeze. Where one run finds anything, anything was frozen or repaired, or a loan is
not ACTIVE in the end, the exit code is 1.
"""

import argparse
import itertools
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.settlement import furnished
from benchmarks.world import Bench, running_platform, running_servers
from sandbox import databases

if TYPE_CHECKING:
    from sandbox.world import World

LOAN = 10 * 10**6
POSTING = 8  # threads
DUST_SECONDS = 3.0
REPAID_EVERY = 5  # one call of so many repays the loan before it
SETTLED_SECONDS = 120.0
NAMES = ("quick", "full")


def main() -> int:
    """Lend and reconcile; answers 0 where nothing was found and nothing done."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rate", type=float, default=20.0, help="borrows a second (%(default)g)")
    parser.add_argument("--engine", choices=databases.ENGINES, default=databases.SQLITE)
    options = parser.parse_args()
    with running_servers(options.engine) as bench:
        world = furnished(bench)
        from django.core.management import call_command

        from benchmarks.furnish import create_bench_partner

        call_command("migrate", verbosity=0)
        key = create_bench_partner(world)
        with running_platform(bench):
            lending = _Lending(bench, world, key, options.rate)
            runs = _reconcile_beside(lending, options.seconds)
            _wait_until_settled()
        last = _reconcile("full")
        return _report(databases.TITLES[options.engine], lending, [*runs, last])


def _reconcile_beside(lending: "_Lending", seconds: float) -> list[dict[str, object]]:
    ends = time.monotonic() + seconds
    dust = threading.Thread(target=lending.send_dust, args=(ends,))
    with ThreadPoolExecutor(POSTING) as pool:
        dust.start()
        posting = [pool.submit(lending.post, index, ends) for index in range(POSTING)]
        runs = []
        for name in itertools.cycle(NAMES):
            if time.monotonic() >= ends:
                break
            runs.append(_reconcile(name))
        for done in posting:
            done.result()
    dust.join()
    return runs


def _reconcile(name: str) -> dict[str, object]:
    """One run's figures."""
    from loans.reconciliation.run import reconcile

    report = reconcile(freeze=True, repair=True, quick=name == "quick")
    return {
        "kind": "full" if report.is_full else "quick",
        "block": report.block_number,
        "seconds": report.seconds,
        "findings": [str(sighting) for sighting in report.sightings],
        "done": [*report.frozen, *report.repaired],
    }


class _Lending:
    """What goes on meanwhile: `POSTING` threads that share the rate, and a stranger."""

    def __init__(self, bench: Bench, world: "World", key: str, rate: float) -> None:
        self._bench, self._world, self._key, self._every = bench, world, key, POSTING / rate
        self._numbers = itertools.count()
        self.answers: dict[int, int] = {}

    def post(self, index: int, ends: float) -> None:
        """Borrow at this thread's share of the rate, and repay a part of some of it."""
        due = time.monotonic() + index * self._every / POSTING
        while due < ends:
            time.sleep(max(due - time.monotonic(), 0))
            due += self._every
            number = next(self._numbers)
            user = self._world.users[number % len(self._world.users)]
            self._call(
                "/partners/borrow",
                oaidTokenId=user.oaid_token_id,
                userWallet=user.wallet,
                borrowAmount=str(LOAN),
                partnerLoanId=f"beside-{number}",
            )
            if number % REPAID_EVERY == 0 and number > 10 * REPAID_EVERY * POSTING:
                earlier = number - 10 * REPAID_EVERY * POSTING
                self._call("/partners/repay", partnerLoanId=f"beside-{earlier}", repaymentAmount=str(10**6))

    def send_dust(self, ends: float) -> None:
        """A stranger's base unit to the platform account, now and then."""
        from benchmarks.furnish import send_dust

        while time.monotonic() < ends:
            send_dust(self._world)
            time.sleep(DUST_SECONDS)

    def _call(self, path: str, **body: Any) -> None:
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Prefer": "respond-async",
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(self._bench.web + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status = int(answer.status)
        except urllib.error.HTTPError as error:
            status = error.code
        self.answers[status] = self.answers.get(status, 0) + 1


def _wait_until_settled() -> None:
    from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus

    ends = time.monotonic() + SETTLED_SECONDS
    while (
        PartnerLoan.objects.filter(status=LoanStatus.PENDING).exists()
        or Repayment.objects.filter(status=RepaymentStatus.PENDING).exists()
    ) and time.monotonic() < ends:
        time.sleep(0.5)


def _report(title: str, lending: _Lending, runs: list[dict[str, Any]]) -> int:
    from collections import Counter

    from loans.models import PartnerLoan, SolvencyPosition
    from partners.models import Partner

    loans = Counter(PartnerLoan.objects.values_list("status", flat=True))
    print(f"{title}: answers {lending.answers}, loans {dict(loans)}")
    for kind in ("full", "quick"):
        seconds = sorted(run["seconds"] for run in runs if run["kind"] == kind)
        if seconds:
            middle, longest = seconds[len(seconds) // 2], seconds[-1]
            print(f"{len(seconds)} {kind} runs: {middle:.2f} s in the middle, {longest:.2f} s the longest")
    wrong = [f"block {run['block']}: {text}" for run in runs for text in (*run["findings"], *run["done"])]
    wrong += [f"{count} loans are {status}" for status, count in loans.items() if status != "ACTIVE"]
    wrong += [f"{number} answers of {status}" for status, number in lending.answers.items() if status != 202]
    wrong += [f"{row} is frozen" for row in SolvencyPosition.objects.filter(frozen=True)]
    wrong += [f"{row} is {row.status}" for row in Partner.objects.exclude(status="ACTIVE")]
    for text in wrong:
        print(f"MISS  {text}")
    if not wrong:
        print(f"ok    {len(runs)} runs at {len({run['block'] for run in runs})} blocks: nothing found, nothing frozen")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
