"""Guessing at the sign-in API: the same rule as at the console's login, and the same counts."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from audit.models import AuditEntry
from staff.access import guessing
from tests.support.signing_in import PASSWORD, member, outcome, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ann")]

ELSEWHERE = "198.51.100.7"
FULL_WIDTH = "\uff41\uff44\uff4d\uff49\uff4e"
SPELLINGS = ("admin", "  admin", "ADMIN", FULL_WIDTH, f"\u3000{FULL_WIDTH}\t")
TOO_MANY, WRONG = (429, "too_many_sign_ins"), (401, "invalid_credentials")


@pytest.fixture(autouse=True)
def no_other_limit(settings: Any) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "PUBLIC": 1_000}


def guess(tries: int, address: str, name: str = "admin") -> list[tuple[int, str]]:
    return [outcome(sign_in(name, "wrong", address=address)) for _ in range(tries)]


def test_31_wrong_tries_from_one_address_do_not_lock_the_person_out_from_another() -> None:
    member("admin")
    assert guess(31, "203.0.113.1") == [WRONG] * 10 + [TOO_MANY] * 21
    assert sign_in("admin", address=ELSEWHERE).status_code == 200
    refused = sign_in("admin", address="203.0.113.1")
    assert (outcome(refused), refused["Retry-After"], refused.json()["retryable"]) == (TOO_MANY, "300", True)
    assert AuditEntry.objects.filter(action="staff.sign_in_failed").count() == 10  # what is refused unread is no try


def test_31_wrong_tries_from_several_addresses_do_not_either_and_all_spellings_are_one_name() -> None:
    member("admin")
    for number, spelling in enumerate(SPELLINGS[:3]):
        assert guess(10, f"203.0.113.{number}", spelling) == [WRONG] * 10
    for number, spelling in enumerate(SPELLINGS[3:], 10):
        assert guess(4, f"203.0.113.{number}", spelling) == [WRONG] * 3 + [TOO_MANY]
    assert sign_in("admin", address=ELSEWHERE).status_code == 200


def test_tries_at_the_consoles_login_and_here_are_counted_together() -> None:
    form = {"username": "admin", "password": "wrong"}
    for _ in range(5):
        Client().post("/console/login/?next=/console/", form, REMOTE_ADDR="203.0.113.1")
    assert guess(6, "203.0.113.1") == [WRONG] * 5 + [TOO_MANY]
    assert Client().post("/console/login/?next=/console/", form, REMOTE_ADDR="203.0.113.1").status_code == 429


def test_who_signs_in_again_and_again_is_not_refused_and_gives_nobody_more_guesses(ann: User) -> None:
    for _ in range(11):
        assert sign_in(address="203.0.113.1").status_code == 200
    assert guess(11, "203.0.113.1") == [WRONG] * 10 + [TOO_MANY]


def test_codes_are_guessed_no_more_often_than_passwords(codes: list[str]) -> None:
    answers = [outcome(sign_in(otp=f"{number:06d}", address="203.0.113.1")) for number in range(11)]
    assert answers == [WRONG] * 10 + [TOO_MANY]
    assert outcome(sign_in(otp=codes[0], address="203.0.113.1")) == TOO_MANY
    assert len(codes) == 1


def test_a_missing_code_is_no_guess(codes: list[str]) -> None:
    answers = {outcome(sign_in(address="203.0.113.1")) for _ in range(11)}
    assert answers == {(401, "second_factor_required")}


def test_public_calls_of_an_address_are_limited_here_too(settings: Any) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "PUBLIC": 2}
    answers = [sign_in(password=PASSWORD, address="203.0.113.1") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert (answers[2].json()["code"], answers[1]["RateLimit"]) == ("rate_limited", answers[1]["RateLimit"])
    assert answers[1]["RateLimit"].startswith('"public";r=0;')


def test_without_redis_staff_come_in(settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    assert sign_in().status_code == 200


def test_the_password_page_of_a_session_that_was_left_open_is_no_way_to_guess(ann: User) -> None:
    browser = Client(REMOTE_ADDR="203.0.113.1")
    browser.post("/console/login/?next=/console/", {"username": "ann", "password": PASSWORD})

    def change(old: str, new: str = "another long password") -> int:
        form = {"old_password": old, "new_password1": new, "new_password2": new}
        return browser.post("/console/password_change/", form).status_code

    assert [change(PASSWORD, new="short") for _ in range(11)] == [200] * 11  # no guess: the old one is right
    assert [change("wrong") for _ in range(11)] == [200] * 10 + [429]
    assert change(PASSWORD) == 429
    assert User.objects.get(pk=ann.pk).check_password(PASSWORD)
    failures = AuditEntry.objects.filter(action="staff.sign_in_failed", target="staff:ann")
    assert [entry.after["step"] for entry in failures] == ["password_change"] * 10


def test_however_many_tries_there_are_the_person_comes_in_from_where_they_were_before(ann: User) -> None:
    assert sign_in(address=ELSEWHERE).status_code == 200
    for number in range(100):
        request = RequestFactory().post("/auth/token", REMOTE_ADDR=f"2001:db8:0:{number:x}::1")
        assert [guessing.is_one_too_many(request, "ann") for _ in range(3)] == [False] * 3
    assert outcome(sign_in(address="203.0.113.1")) == TOO_MANY
    assert sign_in(address=ELSEWHERE).status_code == 200
    assert guess(4, ELSEWHERE, "ann") == [WRONG] * 3 + [TOO_MANY]
