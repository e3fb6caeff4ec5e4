"""What the tests of staff share."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django_redis import get_redis_connection

from staff import second_factor
from tests.support.signing_in import member

CODE = "492039"


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No try was counted yet, and no test crosses from one window of a count into the next."""
    monkeypatch.setattr("django_ratelimit.core._get_window", lambda value, period: 2_000_000_000)
    get_redis_connection("default").flushdb()


@pytest.fixture
def ann(counts: None) -> User:
    """A member of staff who has done nothing yet."""
    return member("ann")


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everybody has a second factor, whose codes are these, each once."""
    left = [CODE]

    def verify(user: Any, otp: str) -> bool:
        if otp not in left:
            return False
        left.remove(otp)
        return True

    monkeypatch.setattr(second_factor, "has_second_factor", lambda user: True)
    monkeypatch.setattr(second_factor, "verify", verify)
    return left
