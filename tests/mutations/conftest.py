"""A minute of processes: only where `-m mutation` asks for it (`make mutations`, CI)."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "mutation" in str(config.getoption("markexpr")):
        return
    slow = [item for item in items if item.get_closest_marker("mutation")]
    items[:] = [item for item in items if item not in slow]
    config.hook.pytest_deselected(items=slow)
