"""A world of rows with bystanders, at a moment of its own."""

import datetime as dt
from types import SimpleNamespace

import pytest
from pytest_django.fixtures import Settings

from partner_platform.core import clock
from partner_platform.core.ethereum import parse_address
from tests.support.books_rows import BooksRows

NOW = dt.datetime(2026, 1, 6, 9, 30, tzinfo=dt.UTC)
EXECUTOR, POOL = parse_address("0x" + "e1" * 20), "0x" + "b0" * 20


@pytest.fixture
def world(db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> BooksRows:
    """The platform's clock stands at `NOW`; one of everything of another partner is there already."""
    monkeypatch.setattr(clock, "timezone", SimpleNamespace(now=lambda: NOW))
    settings.PLATFORM_EXECUTOR_ADDRESS = EXECUTOR
    settings.SENIOR_POOL_ADDRESS = POOL
    rows = BooksRows()
    rows.bystanders()
    return rows
