"""Signing in to the console: the password, then the second factor; before both are right nobody is signed in."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse
from django_redis import get_redis_connection

from audit.models import AuditEntry
from authority.acting import staff_of
from authority.roles import Role
from staff.access import guessing
from staff.models import ConsoleSession, Passkey, TotpDevice
from staff.second_factor import passkeys
from staff.services import factors
from tests.console.permission_table import OWN_PAGES
from tests.support.authenticator import Authenticator
from tests.support.clocks import shift_clock
from tests.support.staff_accounts import (
    CODES,
    ENROL,
    FACTOR,
    LOGIN,
    PASSWORD,
    App,
    add_app,
    give_password,
    is_signed_in,
    staff_user,
)

pytestmark = pytest.mark.django_db

OPTIONS = re.compile(r'data-passkey-options="([^"]+)"')
SECRET = re.compile(r'<code id="secret">([A-Z2-7]+)</code>')
CODE = "step_up_code"


@pytest.fixture(autouse=True)
def fresh_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_ratelimit.core._get_window", lambda value, period: 2_000_000_000)
    get_redis_connection("default").flushdb()


@pytest.fixture
def ann() -> User:
    return staff_user("ann", Role.SUPPORT)


@pytest.fixture
def required(settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = "required"


def options_in(page: Any) -> str:
    return OPTIONS.search(page.content.decode()).group(1).replace("&quot;", '"')


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("timestamp", "id").values_list("action", flat=True))


def test_without_a_factor_where_none_is_required_the_password_signs_in(client: Client, ann: User) -> None:
    answer = give_password(client, HTTP_USER_AGENT="Firefox\x00", REMOTE_ADDR="203.0.113.9")
    assert (answer.status_code, answer["Location"]) == (302, "/console/")
    assert is_signed_in(client)
    session = ConsoleSession.objects.get()
    assert (session.user, session.address, session.user_agent) == (ann, "203.0.113.9", "Firefox\ufffd")
    assert session.with_factor is False
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.target) == ("staff:ann", "staff.signed_in", "staff:ann")
    assert entry.after["address"] == "203.0.113.9"


def test_after_the_password_the_factor_is_asked_for_and_until_then_nobody_is_signed_in(
    client: Client, ann: User
) -> None:
    app, _ = add_app(ann)
    assert give_password(client)["Location"] == FACTOR
    assert "_auth_user_id" not in client.session
    assert not is_signed_in(client)
    for name in OWN_PAGES:
        path = reverse(
            name, args=["0" * 8 + "-0000-0000-0000-" + "0" * 12] if name.endswith(("y_remove", "n_end")) else []
        )
        assert client.post(path)["Location"].startswith(LOGIN), path
    assert ConsoleSession.objects.count() == 0
    answer = client.post(FACTOR, {CODE: app.code()})
    assert (answer.status_code, answer["Location"]) == (302, "/console/")
    assert is_signed_in(client)
    assert ConsoleSession.objects.get().with_factor is True
    assert actions() == ["staff.factor_added", "staff.signed_in"]


def test_a_wrong_or_used_factor_does_not_sign_in_and_is_recorded(client: Client, ann: User) -> None:
    app, codes = add_app(ann)
    code = app.code()
    other = Client()
    give_password(other)
    assert other.post(FACTOR, {CODE: code}).status_code == 302
    give_password(client)
    for wrong in ("000000", "", code):
        page = client.post(FACTOR, {CODE: wrong, "step_up_password": PASSWORD})
        assert (page.status_code, "This is not right" in page.content.decode()) == (200, True)
    assert not is_signed_in(client)
    failed = AuditEntry.objects.filter(action="staff.sign_in_failed")
    assert [(entry.target, entry.after["step"]) for entry in failed] == [("staff:ann", "second_factor")] * 3
    assert client.post(FACTOR, {CODE: codes[0]}).status_code == 302
    assert is_signed_in(client)


def test_after_five_wrong_factors_the_password_is_asked_for_again(client: Client, ann: User) -> None:
    app, _ = add_app(ann)
    give_password(client)
    answers = [client.post(FACTOR, {CODE: "000000"}).status_code for _ in range(5)]
    assert answers == [200, 200, 200, 200, 302]
    answer = client.post(FACTOR, {CODE: app.code()})
    assert answer["Location"] == LOGIN
    assert not is_signed_in(client)


def test_many_wrong_factors_are_refused_from_there_and_the_person_comes_in_from_elsewhere(ann: User) -> None:
    app, _ = add_app(ann)
    attackers = [Client(REMOTE_ADDR="203.0.113.9") for _ in range(3)]
    for attacker in attackers:
        give_password(attacker)
    answers = [attacker.post(FACTOR, {CODE: "000000"}).status_code for attacker in attackers[:2] for _ in range(5)]
    assert answers == [200, 200, 200, 200, 302] * 2
    assert attackers[2].post(FACTOR, {CODE: app.code()}).status_code == 429
    for number in range(30):
        request = RequestFactory().post(FACTOR, REMOTE_ADDR=f"203.0.113.{10 + number // 10}")
        guessing.is_one_too_many(request, "ann")
    person = Client(REMOTE_ADDR="198.51.100.7")
    give_password(person)
    assert person.post(FACTOR, {CODE: app.code()}).status_code == 302
    assert [is_signed_in(client) for client in (*attackers, person)] == [False, False, False, True]


def test_a_passkey_is_a_second_factor(client: Client, ann: User) -> None:
    authenticator = Authenticator()
    credential = authenticator.create(passkeys.registration_options(ann))
    factors.add_passkey(actor=staff_of(ann), user=ann, credential=credential, label="key")
    give_password(client)
    signed = authenticator.get(options_in(client.get(FACTOR)))
    assert client.post(FACTOR, {"step_up_passkey": signed}).status_code == 302
    assert is_signed_in(client)
    again = Client()
    give_password(again)
    assert again.post(FACTOR, {"step_up_passkey": signed}).status_code == 200
    assert not is_signed_in(again)


def test_who_needs_a_factor_and_has_none_adds_one_before_anything_else(
    client: Client, ann: User, required: None
) -> None:
    assert give_password(client)["Location"] == ENROL
    assert not is_signed_in(client)
    assert client.get(FACTOR)["Location"] == LOGIN
    page = client.get(ENROL)
    secret = SECRET.search(page.content.decode()).group(1)
    assert secret not in str(dict(client.session.items()))
    assert "<svg" in page.content.decode()
    assert client.post(ENROL, {"code": "000000"}).status_code == 200
    assert not is_signed_in(client)
    page = client.post(ENROL, {"code": App(secret).code()})
    assert len(set(CODES.findall(page.content.decode()))) == 10
    assert "no-store" in page["Cache-Control"]
    assert is_signed_in(client)
    assert (TotpDevice.objects.get().user, ConsoleSession.objects.get().with_factor) == (ann, True)
    assert actions() == ["staff.factor_added", "staff.signed_in"]


def test_a_passkey_is_added_instead_of_an_app(client: Client, ann: User, required: None) -> None:
    give_password(client)
    credential = Authenticator().create(options_in(client.get(ENROL)))
    assert client.post(ENROL, {"passkey": credential, "label": "phone"}).status_code == 200
    assert is_signed_in(client)
    assert Passkey.objects.get().label == "phone"


def test_who_has_a_factor_cannot_add_another_one_with_the_password_alone(
    client: Client, ann: User, required: None
) -> None:
    give_password(client)
    page = client.get(ENROL)
    add_app(ann)
    secret = SECRET.search(page.content.decode()).group(1)
    assert client.post(ENROL, {"code": App(secret).code()})["Location"] == LOGIN
    assert not is_signed_in(client)


def test_a_sign_in_that_began_ends_after_ten_minutes_and_with_the_password_or_the_account(
    client: Client, ann: User
) -> None:
    app, _ = add_app(ann)
    give_password(client)
    shift_clock(seconds=601)
    try:
        assert client.post(FACTOR, {CODE: app.code()})["Location"] == LOGIN
    finally:
        shift_clock()
    give_password(client)
    ann.set_password("another long password")
    ann.save()
    assert client.post(FACTOR, {CODE: app.code()})["Location"] == LOGIN
    give_password(client, password="another long password")
    User.objects.update(is_active=False)
    assert client.post(FACTOR, {CODE: app.code()})["Location"] == LOGIN
    assert ConsoleSession.objects.count() == 0


def test_a_wrong_password_is_recorded_and_what_was_typed_as_an_unknown_name_is_not(client: Client, ann: User) -> None:
    give_password(client, password="wrong")
    give_password(client, username="my secret password")
    client.post(LOGIN, {"username": "ann"})
    entries = AuditEntry.objects.filter(action="staff.sign_in_failed").order_by("timestamp")
    assert [entry.target for entry in entries] == ["staff:ann", "staff:?"]
    assert all("password" not in entry.target and "wrong" not in str(entry.after) for entry in entries)


def test_signing_in_anew_ends_the_session_of_before_and_the_key_of_the_cookie_changes(
    client: Client, ann: User
) -> None:
    give_password(client)
    key = client.session.session_key
    staff_user("bob", Role.VIEWER)
    give_password(client, "bob")
    assert client.session.session_key != key
    ended = ConsoleSession.objects.get(user=ann)
    assert (ended.ended_because, ended.ended_at is None) == ("signed in anew", False)
    old = Client()
    old.cookies["sessionid"] = str(key)
    assert not is_signed_in(old)


def test_a_page_of_another_site_is_not_where_a_sign_in_leads(client: Client, ann: User) -> None:
    for path in ("//evil.example", "https://evil.example/"):
        data = {"username": "ann", "password": PASSWORD, "next": path}
        assert client.post(LOGIN, data)["Location"] == "/console/"


def test_logging_out_ends_the_session(client: Client, ann: User) -> None:
    give_password(client)
    assert client.post("/console/logout/").status_code == 200
    assert not is_signed_in(client)
    assert ConsoleSession.objects.get().ended_because == "signed out"
    assert actions() == ["staff.signed_in", "staff.session_ended"]
