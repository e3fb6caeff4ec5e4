"""What the checks of the API count, for the line that `make api-check` ends in."""

from collections import Counter
from typing import Any

import pytest

COUNTS: pytest.StashKey[Counter[str]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COUNTS] = Counter()


@pytest.fixture
def api_counts(request: pytest.FixtureRequest) -> Counter[str]:
    """Counters of the whole run, by what they count: `api_counts["permission cells"] += 1`."""
    return request.config.stash[COUNTS]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    counts = config.stash[COUNTS]
    if counts:
        terminalreporter.write_line("api: " + ", ".join(f"{number} {what}" for what, number in sorted(counts.items())))
