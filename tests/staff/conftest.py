"""Fixtures of the staff API's tests."""

from collections.abc import Iterator

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from tests.staff.world import StaffWorld


@pytest.fixture
def world(db: None) -> Iterator[StaffWorld]:
    """A partner with keys, an endpoint and a loan, and an admin.

    Within, the WSGI application leaves the test's connection open, as Django's test client does.
    """
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield StaffWorld()
    for signal in signals:
        signal.connect(close_old_connections)
