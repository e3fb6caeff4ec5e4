"""Sessions of the console: they end by themselves, are listed and ended, and ask again before something dangerous."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from audit.models import AuditEntry
from authority.acting import staff_of
from authority.roles import Role
from partner_platform.core import clock
from partner_platform.core.console.step_up import proved_lately
from partner_platform.core.errors import Forbidden
from partners.models import ApiKey, Partner
from staff.models import ApiSession, ConsoleSession, TotpDevice
from staff.services import accounts, factors, sessions
from tests.factories import ApiKeyFactory, PartnerFactory
from tests.support.clocks import shift_clock
from tests.support.console import act, hidden_fields, new_token
from tests.support.staff_accounts import PASSWORD, add_app, give_password, is_signed_in, staff_user

pytestmark = pytest.mark.django_db

PARTNERS = "/console/partners/partner/"
CODE, TYPED = "step_up_code", "step_up_password"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("django_ratelimit.core._get_window", lambda value, period: 2_000_000_000)
    get_redis_connection("default").flushdb()
    yield
    shift_clock()


@pytest.fixture
def ann() -> User:
    return staff_user("ann", Role.ADMIN)


@pytest.fixture
def browser(client: Client, ann: User) -> Client:
    give_password(client)
    return client


def why_ended() -> list[str]:
    return list(ConsoleSession.objects.order_by("opened_at").values_list("ended_because", flat=True))


def test_a_session_ends_after_half_an_hour_without_use(browser: Client) -> None:
    shift_clock(seconds=29 * 60)
    assert is_signed_in(browser)
    shift_clock(seconds=58 * 60)
    assert is_signed_in(browser)
    shift_clock(seconds=89 * 60)
    assert not is_signed_in(browser)
    assert why_ended() == ["idle for too long"]
    entry = AuditEntry.objects.filter(action="staff.session_ended").get()
    assert (entry.actor, entry.target, entry.after["because"]) == ("system:console", "staff:ann", "idle for too long")
    shift_clock()
    assert not is_signed_in(browser)


def test_a_session_ends_after_twelve_hours_however_much_it_is_used(browser: Client) -> None:
    ConsoleSession.objects.update(last_seen_at=clock.now(), opened_at=clock.now())
    shift_clock(seconds=12 * 3600 - 60)
    ConsoleSession.objects.update(last_seen_at=clock.now())
    assert is_signed_in(browser)
    shift_clock(seconds=12 * 3600 + 1)
    assert not is_signed_in(browser)
    assert why_ended() == ["too old"]


def test_a_request_costs_one_query_for_its_session_and_a_write_once_a_minute(browser: Client) -> None:
    def about_sessions() -> list[str]:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert is_signed_in(browser)
        return [query["sql"] for query in queries if "console" in query["sql"] and "staff_" in query["sql"]]

    assert len(about_sessions()) == 1
    shift_clock(seconds=61)
    assert len(about_sessions()) == 2
    assert len(about_sessions()) == 1


def test_a_request_to_the_api_with_a_cookie_of_the_console_costs_nothing(browser: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        browser.get("/health/live")
    assert len(queries) == 0


def test_a_session_of_djangos_without_a_row_or_with_another_users_is_none(client: Client, ann: User) -> None:
    client.force_login(ann)
    session = client.session
    bobs = ConsoleSession.objects.create(user=staff_user("bob"))
    for row in (None, "x", "0" * 32, bobs.pk.hex):
        client.force_login(ann)
        session = client.session
        session.pop("console_session")
        if row is not None:
            session["console_session"] = row
        session.save()
        assert not is_signed_in(client), row


def test_where_a_factor_is_required_a_session_without_one_ends(browser: Client, settings: Any) -> None:
    assert is_signed_in(browser)
    settings.STAFF_SECOND_FACTOR = "required"
    assert not is_signed_in(browser)
    assert why_ended() == ["without second factor"]


def test_ones_own_sessions_are_listed_and_ended(browser: Client, ann: User) -> None:
    other = Client(HTTP_USER_AGENT="Lynx", REMOTE_ADDR="203.0.113.5")
    give_password(other)
    page = browser.get("/console/account/").content.decode()
    assert "Lynx" in page
    assert "203.0.113.5" in page
    row = ConsoleSession.objects.get(user_agent="Lynx")
    assert browser.post(f"/console/account/sessions/{row.pk}/end/").status_code == 302
    assert (is_signed_in(browser), is_signed_in(other)) == (True, False)
    assert "Lynx" not in browser.get("/console/account/").content.decode()


def test_nobody_ends_a_session_of_others_from_their_own_page(browser: Client) -> None:
    staff_user("bob", Role.VIEWER)
    bob = Client()
    give_password(bob, "bob")
    row = ConsoleSession.objects.get(user__username="ann")
    assert bob.post(f"/console/account/sessions/{row.pk}/end/").status_code == 404
    with pytest.raises(Forbidden):
        sessions.end_own_session(actor=staff_of(User.objects.get(username="bob")), session=row)
    with pytest.raises(Forbidden):
        sessions.end_session(actor=staff_of(User.objects.get(username="bob")), session=row)
    assert is_signed_in(browser)


def test_sessions_of_others_are_seen_with_one_right_and_ended_with_another(browser: Client) -> None:
    staff_user("eve", Role.AUDITOR)
    auditor, path = Client(), "/console/staff/consolesession/"
    give_password(auditor, "eve")
    assert "ann" in auditor.get(path).content.decode()
    row = ConsoleSession.objects.get(user__username="eve")
    data = {"action": "end_sessions", "_selected_action": [str(row.pk)], "index": "0"}
    auditor.post(path, data)
    assert is_signed_in(auditor)
    browser.post(path, data)
    assert not is_signed_in(auditor)
    entry = AuditEntry.objects.get(action="staff.session_ended")
    assert (entry.actor, entry.target) == ("staff:ann", "staff:eve")
    staff_user("val", Role.VIEWER)
    viewer = Client()
    give_password(viewer, "val")
    assert viewer.get(path).status_code == 403


def change_password(browser: Client) -> int:
    new = "quite another password"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    return browser.post("/console/password_change/", form).status_code


def test_a_new_password_ends_the_other_sessions_and_those_of_the_api(browser: Client, ann: User) -> None:
    other = Client()
    give_password(other)
    now = clock.now()
    ApiSession.objects.create(user=ann, means="password", password_mark="x", ends_at=now.replace(year=now.year + 1))
    assert change_password(browser) == 302
    assert (is_signed_in(browser), is_signed_in(other)) == (True, False)
    assert sorted(why_ended()) == ["", "the password was changed"]
    assert ApiSession.objects.get().ended_because == "the password was changed"
    entry = AuditEntry.objects.get(action="staff.password_changed")
    assert (entry.actor, entry.target, entry.after) == ("staff:ann", "staff:ann", {"usable": True})


def test_a_reset_of_factors_and_a_closed_account_end_every_session(browser: Client, ann: User) -> None:
    root = staff_of(staff_user("root", superuser=True))
    factors.reset_factors(actor=root, user=ann)
    assert not is_signed_in(browser)
    give_password(browser)
    accounts.close_account(actor=root, user=ann)
    accounts.reopen_account(actor=root, user=ann)
    assert not is_signed_in(browser)
    assert sorted(why_ended()) == ["second factors were reset", "the account was closed"]


def later(seconds: float = 11 * 60) -> None:
    """So much later, with the session in use."""
    shift_clock(seconds=seconds)
    ConsoleSession.objects.update(last_seen_at=clock.now())


def test_a_dangerous_action_asks_for_the_factor_and_then_goes_on(client: Client, ann: User) -> None:
    app, codes = add_app(ann)
    give_password(client)
    used = app.code()
    client.post("/console/login/factor/", {CODE: used})
    old = ApiKeyFactory.create()
    later()
    page = act(client, PARTNERS, "rotate_key_now", old.partner)
    assert "Is it you?" in page.content.decode()
    assert ApiKey.objects.count() == 1
    sent = {name: values[0] for name, values in hidden_fields(page).items()}
    for wrong in ({}, {CODE: "000000"}, {TYPED: PASSWORD}, {CODE: used}):
        page = client.post(PARTNERS, {**sent, **wrong})
        assert "Is it you?" in page.content.decode(), wrong
    assert ApiKey.objects.count() == 1
    assert client.post(PARTNERS, {**sent, CODE: codes[0]}).status_code == 302
    assert ApiKey.objects.count() == 2
    failed = AuditEntry.objects.filter(action="staff.sign_in_failed")
    assert {(entry.target, entry.after["step"]) for entry in failed} == {("staff:ann", "step_up")}
    assert AuditEntry.objects.filter(action="staff.proved_again").count() == 1
    act(client, PARTNERS, "rotate_key_now", old.partner)  # within ten minutes nothing is asked
    assert ApiKey.objects.count() == 3


def test_without_a_factor_the_password_is_asked_for(browser: Client) -> None:
    old = ApiKeyFactory.create()
    later()
    page = act(browser, PARTNERS, "rotate_key_now", old.partner)
    sent = {name: values[0] for name, values in hidden_fields(page).items()}
    assert "Is it you?" in browser.post(PARTNERS, {**sent, TYPED: "wrong"}).content.decode()
    assert ApiKey.objects.count() == 1
    assert browser.post(PARTNERS, {**sent, TYPED: PASSWORD}).status_code == 302
    assert ApiKey.objects.count() == 2


def test_guesses_of_a_stolen_session_are_counted(browser: Client) -> None:
    later()
    data = {"action": "activate", "_selected_action": ["0" * 32], "index": "0"}
    answers = [browser.post(PARTNERS, {**data, TYPED: f"guess {number}"}).status_code for number in range(11)]
    assert answers == [200] * 10 + [429]
    assert browser.post(PARTNERS, {**data, TYPED: PASSWORD}).status_code == 429


DANGEROUS = ("activate", "rotate_key_with_grace", "rotate_signing_secret", "stop_requiring_signing")
HARMLESS = ("suspend", "require_signing")


def test_what_is_dangerous_asks_and_what_protects_does_not(browser: Client) -> None:
    partner = PartnerFactory.create()
    later()
    for action in DANGEROUS:
        assert "Is it you?" in act(browser, PARTNERS, action, partner).content.decode(), action
    for action in HARMLESS:
        assert "Is it you?" not in act(browser, PARTNERS, action, partner).content.decode(), action
    hidden_first = {"action": ["suspend", "rotate_key_now"], "_selected_action": [str(partner.pk)], "index": "1"}
    page = browser.post(PARTNERS, {**hidden_first, "form_token": new_token()})
    assert "Is it you?" in page.content.decode()
    assert ApiKey.objects.count() == 0


def form_of(browser: Client, path: str) -> dict[str, Any]:
    form = browser.get(path).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    texts = {name: form[name].value() for name in values}
    keys = {"api_keys-TOTAL_FORMS": "0", "api_keys-INITIAL_FORMS": "0"}
    return {name: value for name, value in texts.items() if value is not None and value is not False} | keys


@pytest.mark.parametrize(
    ("field", "value", "asks"),
    [
        ("settlement_address", "0x7d650b01ea0700f7553d9260a76546ab1a97a1d7", True),
        ("daily_borrow_limit", "50001", True),
        ("tier", "PREMIUM", True),
        ("contact_email", "new@partner.example", False),
    ],
)
def test_a_change_that_money_depends_on_asks(browser: Client, field: str, value: str, asks: bool) -> None:
    partner = PartnerFactory.create()
    path = f"{PARTNERS}{partner.pk}/change/"
    later()
    form = {**form_of(browser, path), field: value, "form_token": new_token()}
    page = browser.post(path, form)
    assert ("Is it you?" in page.content.decode()) is asks
    if asks:
        assert getattr(Partner.objects.get(pk=partner.pk), field) == getattr(partner, field)
        sent = {name: values[0] for name, values in hidden_fields(page).items()}
        page = browser.post(path, {**sent, TYPED: PASSWORD})
    assert page.status_code == 302
    assert getattr(Partner.objects.get(pk=partner.pk), field) != getattr(partner, field)


def test_adding_or_removing_a_factor_asks_first_and_leads_back(browser: Client, ann: User) -> None:
    app, _ = add_app(ann)
    later()
    for path in ("/console/account/factors/app/remove/", "/console/account/recovery_codes/"):
        assert "Is it you?" in browser.post(path).content.decode(), path
    assert TotpDevice.objects.count() == 1
    path = "/console/account/factors/add/"
    page = browser.get(path)
    assert "Is it you?" in page.content.decode()
    sent = {name: values[0] for name, values in hidden_fields(page).items()}
    answer = browser.post(path, {**sent, CODE: app.code()})
    assert (answer.status_code, answer["Location"]) == (302, path)
    assert "You have an authenticator app already" in browser.get(path).content.decode()


def test_a_password_that_is_typed_is_in_no_page_that_asks(client: Client) -> None:
    root, bob = staff_user("root", superuser=True), staff_user("bob")
    give_password(client, root.username)
    later()
    path = f"/console/auth/user/{bob.pk}/password/"
    page = client.post(path, {"password1": "the new password", "password2": "the new password"})
    assert "Is it you?" in page.content.decode()
    assert "the new password" not in page.content.decode()


def test_a_dangerous_page_without_the_middleware_is_refused() -> None:
    from django.core.exceptions import PermissionDenied

    @proved_lately
    def page(request: Any) -> Any:
        raise AssertionError

    with pytest.raises(PermissionDenied):
        page(RequestFactory().post("/"))
