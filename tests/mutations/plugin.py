"""A pytest plugin that breaks the engine before any test runs: `MUTANT=name pytest -p tests.mutations.plugin …`."""

import os

import pytest

from tests.mutations.mutants import MUTANTS


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Django is set up and all is imported by now."""
    MUTANTS[os.environ["MUTANT"]].change()
