"""Guessing passwords at the console."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_redis import get_redis_connection

pytestmark = pytest.mark.django_db

LOGIN = "/console/login/?next=/console/"
PASSWORD = "a long password indeed"


@pytest.fixture(autouse=True)
def staff() -> None:
    get_redis_connection("default").flushdb()
    User.objects.create_superuser("ann", "ann@platform.example", PASSWORD)


def attempt(password: str, address: str = "203.0.113.9", name: str = "ann") -> Any:
    return Client().post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address)


def test_the_eleventh_try_of_an_address_is_refused_even_with_the_right_password() -> None:
    assert [attempt(f"wrong {number}").status_code for number in range(10)] == [200] * 10
    refused = attempt(PASSWORD)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "300"
    assert attempt(PASSWORD, "203.0.113.10").status_code == 302
    assert Client().get(LOGIN, REMOTE_ADDR="203.0.113.9").status_code == 200


def test_a_name_is_not_guessed_from_many_addresses_either() -> None:
    for number in range(30):
        assert attempt("wrong", f"198.51.100.{number}", "ANN" if number % 2 else "ann").status_code == 200
    assert attempt(PASSWORD, "198.51.100.200").status_code == 429


def test_without_redis_staff_come_in(settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    assert attempt(PASSWORD).status_code == 302
