"""`make test` in two processes: which tests go to which (pytest-xdist).

Each process has servers of its own, started once, where a test asks for them (tests/settings.py, tests/conftest.py).
A file's tests stay together, for they share what the file sets up. What starts the platform's own processes, or forks
and kills, runs one after another in one process, and the other files beside it: two platforms at once are more than two
cores can carry. It begins first, for it takes the longest.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ONE_AFTER_ANOTHER = ("tests/journeys/", "tests/crash/", "tests/fuzz/")


class Scheduling(LoadScopeScheduling):
    """Files as units of work, in the order of `first_things_first`."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return "one after another" if nodeid.startswith(ONE_AFTER_ANOTHER) else nodeid.partition("::")[0]


def first_things_first(items: list[pytest.Item]) -> None:
    """Put what takes the longest at the beginning; the others keep their order."""
    items.sort(key=lambda item: not item.nodeid.startswith(ONE_AFTER_ANOTHER))
