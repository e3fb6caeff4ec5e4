"""The web process or the worker is killed at every commit and every post of a flow; a new one brings it to its end.

`make crash` walks every point; `make test` a sample of each flow. A point that fails is named by its number, so that
`CRASH_POINTS=17 pytest tests/crash -k borrow-web` walks it alone.
"""

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from tests.crash.conftest import CrashReport
from tests.crash.flows import ACCEPTED, CONFLICT, FLOWS, Flow, World, open_world, work
from tests.crash.processes import run
from tests.support.chain import Chain
from tests.support.clocks import shift_clock
from tests.support.invariants import Invariants
from tests.support.snapshots import RESTART_SECONDS, Snapshot, pass_time_in_redis

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLE = 3


@pytest.mark.parametrize("killed", ["web", "worker"])
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_killed_at_any_point_nothing_is_lost_and_nothing_doubled(
    flow: Flow, killed: str, chain: Chain, record_property: Callable[[str, object], None]
):
    began = time.monotonic()
    invariants, world = Invariants(chain), open_world(chain)
    _warm_up(flow, world)
    flow.prepare(world)
    if killed == "worker":
        run(lambda: _ask(flow, world))
        flow.between(world)
    life: Callable[[], None] = (lambda: work(chain)) if killed == "worker" else (lambda: _ask(flow, world))
    snapshot = Snapshot(chain)

    points = run(life).points
    chosen = _chosen(len(points))
    for number in chosen:
        snapshot.restore()
        ended = run(life, kill_at=number)
        name = f"{number}: {ended.points[-1]}"
        assert ended.killed, f"not reached in this run, {name}"
        pass_time_in_redis()
        if killed == "web":
            run(lambda: _restarted(lambda: _ask(flow, world)))
            flow.between(world)
        run(lambda: _restarted(lambda: work(chain)))
        assert invariants.violations_at_rest() == [], name
        assert flow.end() == flow.expected, name

    report = CrashReport(flow.name, killed, len(points), len(chosen), time.monotonic() - began)
    record_property("crash", asdict(report))


def _warm_up(flow: Flow, world: World) -> None:
    """Once through everything in this process: what is imported, compiled and cached at the first use, forks find."""
    snapshot = Snapshot(world.chain)
    flow.prepare(world)
    _ask(flow, world)
    work(world.chain)
    snapshot.restore()


def _ask(flow: Flow, world: World) -> None:
    """The partner's request; after a crash the same once more, for it saw no answer."""
    assert flow.ask(world) in (ACCEPTED, CONFLICT)


def _restarted(life: Callable[[], Any]) -> None:
    shift_clock(seconds=RESTART_SECONDS)
    life()


def _chosen(count: int) -> list[int]:
    """All points, those asked for, or a sample spread over the flow."""
    asked = os.environ.get("CRASH_POINTS", "")
    if asked == "all":
        return list(range(count))
    if asked:
        return [int(number) for number in asked.split(",") if int(number) < count]
    return sorted({round(step * (count - 1) / (SAMPLE - 1)) for step in range(SAMPLE)})
