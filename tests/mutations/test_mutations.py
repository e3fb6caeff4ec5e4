"""The suite is worth something: it fails on every engine that is broken on purpose, and passes on ours."""

from pathlib import Path

import pytest

from tests.mutations.mutants import MUTANTS
from tools.mutations.nursery import Nursery

PROJECT = Path(__file__).resolve().parent.parent.parent
LIMIT_SECONDS = 240


def run(nursery: Nursery, tests: list[str], *options: str, **environment: str) -> tuple[int, set[str]]:
    """The exit code of a pytest process of its own, with servers of its own, and the tests that failed in it."""
    process = nursery.pytest(["--tb=no", *options, *tests], limit=LIMIT_SECONDS, env=environment)
    assert process.code in (0, 1), process.output
    return process.code, {test.partition("[")[0] for test, _ in process.failed}


@pytest.mark.mutation
@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_engine_is_noticed(nursery: Nursery, name: str) -> None:
    tests = MUTANTS[name].noticed_by
    code, failed = run(nursery, list(tests), "-p", "tests.mutations.plugin", MUTANT=name)
    assert (code, failed) == (1, set(tests))


@pytest.mark.mutation
def test_the_engine_as_it_is_passes_all_of_them(nursery: Nursery) -> None:
    tests = sorted({test for mutant in MUTANTS.values() for test in mutant.noticed_by})
    assert run(nursery, tests) == (0, set())


def test_every_mutant_is_noticed_by_a_fault_test_that_exists() -> None:
    for mutant in MUTANTS.values():
        for test in mutant.noticed_by:
            file, _, function = test.partition("::")
            assert f"def {function}(" in (PROJECT / file).read_text()
