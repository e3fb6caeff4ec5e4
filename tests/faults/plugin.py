"""A pytest plugin: only the fault suite, and its table at the end."""

from collections import defaultdict
from dataclasses import dataclass

import pytest

from tests.faults.catalog import FAULTS, number_of


@dataclass
class Tally:
    """What the tests of one fault came to."""

    passed: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def result(self) -> str:
        if self.failed:
            return "FAILED"
        return "passed" if self.passed else "MISSING"


class FaultTable:
    """Adds up reports by fault."""

    def __init__(self) -> None:
        self._tallies: dict[int, Tally] = defaultdict(Tally)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        others = [item for item in items if number_of(item.nodeid) is None]
        items[:] = [item for item in items if number_of(item.nodeid) is not None]
        config.hook.pytest_deselected(items=others)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        number = number_of(report.nodeid.partition("[")[0])
        if number is None:
            return
        tally = self._tallies[number]
        if report.when == "call":
            tally.seconds += report.duration  # without what starts the servers
        tally.failed += report.failed
        tally.passed += report.when == "call" and report.passed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """`fault  result  tests  seconds  what`"""
        terminalreporter.section("fault suite")
        for number, what in FAULTS.items():
            tally = self._tallies[number]
            tests = tally.passed + tally.failed
            terminalreporter.write_line(f"F{number:<3} {tally.result:8} {tests:3} tests {tally.seconds:7.2f} s  {what}")
        results = [self._tallies[number].result for number in FAULTS]
        total = sum(tally.seconds for tally in self._tallies.values())
        terminalreporter.write_line(f"{results.count('passed')} of {len(FAULTS)} faults passed, {total:.1f} s")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(FaultTable(), "fault-table")
