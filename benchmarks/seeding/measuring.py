"""What a reconciliation of a seeded database costs: in full, with a thousand loans moved, and with nothing moved."""

import os
import random
import time
from pathlib import Path
from typing import Any

from sandbox import databases

FULL_SECONDS, QUICK_SECONDS, MIB = 60.0, 1.0, 200
CLEAR_PEAK = "5"


def measure(*, moved: int) -> int:
    """Reconcile, move some loans, reconcile again; answers 0 where every bound held and nothing was found."""
    import django

    django.setup()
    from chain.rpc.clients import get_client

    engine = databases.TITLES[_engine()]
    get_client().block_number()
    runs = [_run(f"{engine}: in full", FULL_SECONDS)]
    _mine()
    runs.append(_run(f"{engine}: nothing moved", QUICK_SECONDS, quick=True))
    _move(moved)
    _mine()
    runs.append(_run(f"{engine}: {moved:,} loans moved", FULL_SECONDS, quick=True))
    return 0 if all(runs) else 1


def _run(title: str, bound: float, *, quick: bool = False) -> bool:
    from loans.reconciliation.run import reconcile

    before = _reset_peak()
    began, cpu = time.perf_counter(), time.process_time()
    report = reconcile(quick=quick)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    grown = (_memory("VmHWM") - before) / 1024
    holds = seconds < bound and grown < MIB and not report.finding_count and report.is_full is not quick
    print(
        f"{'ok  ' if holds else 'MISS'}  {title}: {seconds:.2f} s (bound {bound:.0f} s), {cpu:.1f} s of CPU here, "
        f"{grown:.0f} MiB more memory (bound {MIB}), {report.finding_count} findings",
        flush=True,
    )
    print("      " + ", ".join(f"{count:,} {kind}s" for kind, count in report.checked.items()), flush=True)
    for sighting in report.sightings[:5]:
        print(f"      {sighting}")
    return holds


def _move(count: int) -> None:
    """Staff marks loans as defaulted: the platform's own act, with its entry in the trail."""
    from loans.models import LoanStatus, PartnerLoan
    from loans.services.lifecycle import mark_defaulted

    active = PartnerLoan.objects.filter(status=LoanStatus.ACTIVE).order_by("created_at")
    keys: list[Any] = list(active.values_list("pk", flat=True)[: count * 20])
    for key in random.Random(5).sample(keys, min(count, len(keys))):  # noqa: S311
        mark_defaulted(loan_id=key, actor="system:bench", reason="seeded")


def _mine() -> None:
    from chain.rpc.clients import get_client

    get_client().call("anvil_mine", ["0x1"])


def _engine() -> str:
    scheme = os.environ["DATABASE_URL"].partition(":")[0]
    return "postgres" if scheme.startswith("postgres") else scheme


def _reset_peak() -> int:
    """Begin to measure the peak of this process's memory; what it has now, KiB (Linux)."""
    Path("/proc/self/clear_refs").write_text(CLEAR_PEAK)
    return _memory("VmRSS")


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
