"""A minute of processes: only where `-m mutation` asks for it (`make mutations-named`, CI)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.mutations.nursery import Nursery

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Imports once what each run of pytest needs."""
    nursery = Nursery(PROJECT, tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "mutation" in str(config.getoption("markexpr")):
        return
    slow = [item for item in items if item.get_closest_marker("mutation")]
    items[:] = [item for item in items if item not in slow]
    config.hook.pytest_deselected(items=slow)
