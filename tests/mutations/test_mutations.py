"""The suite is worth something: it fails on every engine that is broken on purpose, and passes on ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutations.mutants import MUTANTS

PROJECT = Path(__file__).resolve().parent.parent.parent
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?)(?:\[.*?\])?(?: - .*)?$", re.MULTILINE)


def run(tests: list[str], *options: str, **environment: str) -> tuple[int, set[str]]:
    """The exit code of a pytest process of its own, with servers of its own, and the tests that failed in it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEST_")}
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=no", *options, *tests],
        cwd=PROJECT,
        env={**inherited, **environment},
        timeout=240,
        check=False,
        capture_output=True,
        text=True,
    )
    assert process.returncode in (0, 1), process.stdout[-2000:] + process.stderr[-2000:]
    return process.returncode, set(FAILED.findall(process.stdout))


@pytest.mark.mutation
@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_engine_is_noticed(name: str) -> None:
    tests = MUTANTS[name].noticed_by
    code, failed = run(list(tests), "-p", "tests.mutations.plugin", MUTANT=name)
    assert (code, failed) == (1, set(tests))


@pytest.mark.mutation
def test_the_engine_as_it_is_passes_all_of_them() -> None:
    tests = sorted({test for mutant in MUTANTS.values() for test in mutant.noticed_by})
    assert run(tests) == (0, set())


def test_every_mutant_is_noticed_by_a_fault_test_that_exists() -> None:
    for mutant in MUTANTS.values():
        for test in mutant.noticed_by:
            file, _, function = test.partition("::")
            assert f"def {function}(" in (PROJECT / file).read_text()
