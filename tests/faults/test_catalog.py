"""The suite is whole: no fault without a test, no test without a fault, and docs/faults.md says the same."""

import re
from collections import defaultdict

import pytest

from tests.faults import page
from tests.faults.catalog import FAULTS, suite

ROW = re.compile(r"^\| F(\d+) \| ([^|]+) \| [^|]+ \| ([^|]+) \|$")


def test_every_fault_has_its_tests_and_every_test_its_fault() -> None:
    assert list(FAULTS) == list(range(1, 52))
    assert sorted(suite()) == list(FAULTS)


def test_the_documentation_names_every_fault_and_exactly_its_tests() -> None:
    rows = [match.groups() for line in page.PAGE.read_text().splitlines() if (match := ROW.match(line))]
    named: dict[tuple[int, str], list[str]] = defaultdict(list)
    for number, what, tests in rows:
        named[int(number), what] += re.findall(r"`(\w+)`", tests)
    proven = suite()
    assert named == {(number, what): proven[number] for number, what in FAULTS.items()}


def test_the_documentation_is_what_make_fault_table_writes() -> None:
    text = page.PAGE.read_text()
    assert page.written(text) == text


def test_a_page_without_its_markers_is_refused_and_not_written_over() -> None:
    with pytest.raises(ValueError, match=r"faults.md has lost its markers"):
        page.written("# The fault suite\n")
