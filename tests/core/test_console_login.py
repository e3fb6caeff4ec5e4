"""Guessing passwords at the console."""

from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django_redis import get_redis_connection

from staff.access import guessing

pytestmark = pytest.mark.django_db

LOGIN = "/console/login/?next=/console/"
PASSWORD = "a long password indeed"
FULL_WIDTH = "\uff41\uff4e\uff4e"
SPELLINGS = ("ann", "ANN", "  ann", "ann\t", "\u3000ann", FULL_WIDTH, f" {FULL_WIDTH} ", "a\uff4en")


@pytest.fixture(autouse=True)
def staff(monkeypatch: pytest.MonkeyPatch) -> None:
    # No test crosses from one of its windows into the next.
    monkeypatch.setattr("django_ratelimit.core._get_window", lambda value, period: 2_000_000_000)
    get_redis_connection("default").flushdb()
    User.objects.create_superuser("ann", "ann@platform.example", PASSWORD)
    User.objects.create_superuser("bob", "bob@platform.example", PASSWORD)


def attempt(password: str, address: str = "203.0.113.9", name: str = "ann") -> Any:
    return Client().post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address)


def statuses(tries: int, **where: str) -> Counter[int]:
    """What so many wrong tries are answered."""
    return Counter(attempt("wrong", **where).status_code for _ in range(tries))


def refused(tries: int, address: str, name: str = "ann") -> int:
    """How many of so many tries are refused: only counted, for the form's page takes its time."""
    data = {"username": name, "password": "wrong"}
    requests = (RequestFactory().post(LOGIN, data, REMOTE_ADDR=address) for _ in range(tries))
    return sum(guessing.is_one_too_many(request, name) for request in requests)


def test_the_eleventh_try_of_an_address_is_refused_even_with_the_right_password() -> None:
    assert statuses(10) == {200: 10}
    answer = attempt(PASSWORD)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "300"
    assert attempt(PASSWORD, "203.0.113.10").status_code == 302
    assert Client().get(LOGIN, REMOTE_ADDR="203.0.113.9").status_code == 200


def test_an_address_that_is_refused_does_not_use_up_the_tries_for_a_name() -> None:
    assert statuses(31) == {200: 10, 429: 21}
    # The name has twenty tries left; an address that has more than its first three finds that out.
    assert refused(10, "203.0.113.10") == 0
    assert refused(9, "203.0.113.11") == 0
    assert attempt(PASSWORD, "203.0.113.11").status_code == 302
    assert refused(4, "203.0.113.12") == 1


def test_the_right_person_comes_in_from_elsewhere_while_a_name_is_tried_from_several_addresses() -> None:
    assert [refused(31, f"203.0.113.{number}") for number in range(4)] == [21, 21, 21, 28]
    assert statuses(4, address="203.0.113.50") == {200: 3, 429: 1}  # its first three, though the thirty are used up
    assert attempt(PASSWORD, "203.0.113.50").status_code == 429
    assert attempt(PASSWORD, "203.0.113.51").status_code == 302
    assert attempt(PASSWORD, "203.0.113.50", "bob").status_code == 302  # of another name nothing was counted


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_name_is_counted_as_that_name(spelling: str) -> None:
    assert [refused(10, f"203.0.113.{number}", spelling) for number in range(3)] == [0, 0, 0]
    assert refused(4, "203.0.113.50") == 1


def test_a_name_is_not_guessed_from_very_many_addresses_either() -> None:
    spellings = [SPELLINGS[number % len(SPELLINGS)] for number in range(300)]
    assert [refused(1, f"198.18.{n // 250}.{n % 250}", name) for n, name in enumerate(spellings)] == [0] * 300
    assert attempt(PASSWORD, "203.0.113.99").status_code == 429
    assert attempt(PASSWORD, "203.0.113.99", FULL_WIDTH).status_code == 429
    assert attempt(PASSWORD, "203.0.113.99", "bob").status_code == 302


def test_addresses_of_one_ipv6_network_are_one_address() -> None:
    assert sum(refused(1, f"2001:db8:0:1::{number:x}") for number in range(12)) == 2
    assert attempt(PASSWORD, "2001:db8:0:2::1").status_code == 302


def test_a_name_is_one_in_all_its_spellings_and_another_is_another() -> None:
    assert {guessing.account_name(spelling) for spelling in SPELLINGS} == {"ann"}
    assert guessing.account_name("ann e") == "ann e"
    assert guessing.account_name("\x00ann") != "ann"


def test_a_try_that_was_right_counts_for_nobody() -> None:
    assert [attempt(PASSWORD).status_code for _ in range(11)] == [302] * 11
    assert statuses(11) == {200: 10, 429: 1}


def test_without_redis_staff_come_in(settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    assert attempt(PASSWORD).status_code == 302
