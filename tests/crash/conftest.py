"""The table at the end of a walk: how many points each flow has, and how many of them a process was killed at."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.webhooks.conftest import start_receiver

__all__ = ["start_receiver"]


@dataclass(frozen=True)
class CrashReport:
    """One flow, killed in one of its processes."""

    flow: str
    killed: str
    points: int
    walked: int
    seconds: float


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [
        CrashReport(**value)  # a plain dict on its way between test processes
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "crash"
    ]
    if not reports:
        return
    terminalreporter.section("killed at every commit and RPC call")
    for report in reports:
        counts = f"{report.points:>4} points, {report.walked:>4} walked"
        terminalreporter.write_line(f"{report.flow:<28} {report.killed:<7} {counts} {report.seconds:6.1f} s")
    points, walked = (sum(getattr(report, name) for report in reports) for name in ("points", "walked"))
    terminalreporter.write_line(f"{points} points found, killed at {walked}, no violation of M1 to M7")


@pytest.fixture(autouse=True)
def _fresh_client() -> Any:
    """Each test has a client of its own settings."""
    from chain.rpc.clients import get_client

    get_client.cache_clear()
    yield
    get_client.cache_clear()
