"""The suite is whole: no fault without a test, no test without a fault, and docs/settlement.md says the same."""

import re

from tests.faults.catalog import FAULTS, TESTS, suite

ROW = re.compile(r"^\| F(\d+) \| ([^|]+) \| ([^|]+) \|$")


def test_every_fault_has_its_tests_and_every_test_its_fault() -> None:
    assert list(FAULTS) == list(range(1, 52))
    assert sorted(suite()) == list(FAULTS)


def test_the_documentation_names_every_fault_and_exactly_its_tests() -> None:
    lines = (TESTS.parent / "docs" / "settlement.md").read_text().splitlines()
    rows = [match.groups() for line in lines if (match := ROW.match(line))]
    documented = {int(number): (what, re.findall(r"`(\w+)`", tests)) for number, what, tests in rows}
    proven = suite()
    assert documented == {number: (what, proven[number]) for number, what in FAULTS.items()}
