"""A form of the console does what it does once, and a secret that it made is shown once."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import IntegrityError
from django.test import Client
from django_redis import get_redis_connection

from audit.models import AuditEntry
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.secrets import crypto
from partners import keys, services, tasks
from partners.console import sent_forms
from partners.models import ApiKey, Partner, PartnerStatus, SentForm
from tests.core.concurrency import at_once
from tests.factories import ApiKeyFactory, PartnerFactory
from tests.support.acting import group_of, staff
from tests.support.console import NEW_PARTNER, act, hidden_fields, new_token, send, token_in

pytestmark = pytest.mark.django_db

LIST = "/console/partners/partner/"
ADD = f"{LIST}add/"
NEW_KEY = "/console/partners/apikey/add/"
SECRET = re.compile(r"[ps]k_[a-z0-9]+_sandbox_[a-z0-9]{32,48}")


def secrets_in(page: Any) -> list[str]:
    return SECRET.findall(page.content.decode())


def rotate(action: str) -> Callable[[Client, Partner], dict[str, Any]]:
    """The form that a browser sends to run an action on one partner."""

    def form(console: Client, partner: Partner) -> dict[str, Any]:
        token = token_in(console.get(LIST))
        return {"action": action, "_selected_action": [str(partner.pk)], "index": "0", "form_token": token}

    return form


def open_partner(console: Client, partner: Partner) -> dict[str, Any]:
    return {**NEW_PARTNER, "form_token": token_in(console.get(ADD))}


def make_key(console: Client, partner: Partner) -> dict[str, Any]:
    return {"partner": str(partner.pk), "scopes": ["read"], "form_token": token_in(console.get(NEW_KEY))}


MAKERS = [
    pytest.param(ADD, open_partner, id="add a partner"),
    pytest.param(NEW_KEY, make_key, id="add a key"),
    pytest.param(LIST, rotate("rotate_key_now"), id="rotate the key"),
    pytest.param(LIST, rotate("rotate_key_with_grace"), id="rotate the key with grace"),
    pytest.param(LIST, rotate("rotate_signing_secret"), id="new signing secret"),
    pytest.param(LIST, rotate("rotate_signing_secret_with_grace"), id="new signing secret with grace"),
]


def made() -> tuple[Any, ...]:
    """All that one of the forms could have made or ended."""
    return (
        sorted(Partner.objects.values_list("pk", "signing_secret")),
        sorted(ApiKey.objects.values_list("pk", "revoked_at")),
        AuditEntry.objects.count(),
    )


@pytest.mark.parametrize(("path", "form_of"), MAKERS)
def test_what_a_form_made_is_shown_on_a_page_of_its_own_once(console: Client, path: str, form_of: Any) -> None:
    sent = console.post(path, form_of(console, ApiKeyFactory.create().partner))
    assert sent.status_code == 302
    page = console.get(sent["Location"])
    (secret,) = secrets_in(page)
    assert "no-store" in page["Cache-Control"]
    after = made()

    again = console.get(sent["Location"])

    assert again.status_code == 200
    assert secrets_in(again) == []
    assert "was shown already" in again.content.decode()
    assert secret not in str(list(SentForm.objects.values()))
    assert made() == after


@pytest.mark.parametrize(("path", "form_of"), MAKERS)
def test_a_form_that_is_sent_again_makes_nothing_and_leads_to_the_same_page(
    console: Client, path: str, form_of: Any
) -> None:
    form = form_of(console, ApiKeyFactory.create().partner)
    first = console.post(path, form)
    after = made()

    second = console.post(path, form)

    assert second["Location"] == first["Location"]
    assert made() == after
    # The answer to the first may have been lost: what it made is still there to be seen, once.
    assert len(secrets_in(console.get(second["Location"]))) == 1
    third = console.post(path, form, follow=True)
    assert secrets_in(third) == []
    assert "was shown already" in third.content.decode()
    assert made() == after


def test_the_key_that_is_shown_is_the_one_that_works_after_a_reload(console: Client) -> None:
    partner = ApiKeyFactory.create().partner
    form = rotate("rotate_key_now")(console, partner)
    (key,) = secrets_in(console.post(LIST, form, follow=True))
    console.post(LIST, form, follow=True)
    assert [row.key_hash for row in ApiKey.objects.filter(revoked_at=None)] == [keys.hash_key(key)]


def test_until_it_is_shown_a_secret_is_encrypted_in_the_database_and_nowhere_else(console: Client) -> None:
    sent = act(console, LIST, "rotate_key_now", ApiKeyFactory.create().partner, follow=False)
    stored = SentForm.objects.get().secret
    told = [str(list(SentForm.objects.values())), sent["Location"], str(console.cookies)]
    told += [str(session.get_decoded()) for session in Session.objects.all()]
    redis = get_redis_connection("default")
    told += [str(redis.dump(name)) for name in redis.keys("*")]

    (key,) = secrets_in(console.get(sent["Location"]))

    assert crypto.decrypt(stored) == key
    assert [text for text in told if key in text] == []
    assert SentForm.objects.get().secret == ""
    assert cache.get(key) is None


def test_only_who_sent_the_form_is_shown_what_it_made(console: Client) -> None:
    sent = act(console, LIST, "rotate_key_now", ApiKeyFactory.create().partner, follow=False)
    other = Client()
    other.force_login(User.objects.create_superuser("bob", "bob@platform.example", "a long password indeed"))

    assert other.get(sent["Location"]).status_code == 404
    assert Client().get(sent["Location"]).status_code == 302
    assert console.head(sent["Location"]).status_code == 405
    assert console.post(sent["Location"]).status_code == 405
    assert console.get(f"{LIST}sent/{new_token()}/").status_code == 404
    assert len(secrets_in(console.get(sent["Location"]))) == 1


@pytest.mark.usefixtures("groups_of_one_right")
def test_who_may_make_keys_and_see_no_partner_is_led_where_he_may_go(client: Client) -> None:
    partner = PartnerFactory.create()
    user = User.objects.create(username="kim", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_apikey"))
    user.groups.add(group_of(Right.CREATE_API_KEYS))
    client.force_login(user)

    page = client.post(NEW_KEY, make_key(client, partner), follow=True)

    assert len(secrets_in(page)) == 1
    assert f"{LIST}{partner.pk}/change/" not in page.content.decode()
    assert client.get(page.context["back"]).status_code == 200


def test_who_sends_anothers_token_is_shown_nothing_and_does_nothing(console: Client) -> None:
    form = rotate("rotate_key_now")(console, ApiKeyFactory.create().partner)
    console.post(LIST, form)
    after = made()
    other = Client()
    other.force_login(User.objects.create_superuser("bob", "bob@platform.example", "a long password indeed"))

    page = other.post(LIST, form, follow=True)

    assert secrets_in(page) == []
    assert "This form was sent before: nothing was done again." in page.content.decode()
    assert made() == after


def test_a_secret_is_not_shown_after_ten_minutes_and_then_forgotten(console: Client) -> None:
    sent = act(console, LIST, "rotate_key_now", ApiKeyFactory.create().partner, follow=False)
    SentForm.objects.update(created_at=clock.now() - dt.timedelta(minutes=9))
    assert tasks.sweep_sent_forms() == 0
    SentForm.objects.update(created_at=clock.now() - dt.timedelta(minutes=10))

    page = console.get(sent["Location"])

    assert secrets_in(page) == []
    assert "was not asked for within ten minutes" in page.content.decode()
    assert SentForm.objects.get().secret != ""
    assert tasks.sweep_sent_forms() == 1
    assert SentForm.objects.get().secret == ""
    SentForm.objects.update(created_at=clock.now() - dt.timedelta(days=30))
    assert tasks.sweep_sent_forms() == 1
    assert not SentForm.objects.exists()


@pytest.mark.parametrize("token", [{}, {"form_token": ""}, {"form_token": "x"}, {"form_token": "\x00"}])
def test_a_form_without_a_token_does_nothing(console: Client, token: dict[str, str]) -> None:
    partner = ApiKeyFactory.create().partner
    before = made()

    action = {"action": "rotate_key_now", "_selected_action": [str(partner.pk)], "index": "0"}
    assert console.post(LIST, {**action, **token}).status_code in (302, 400)
    drawn_again = console.post(ADD, {**NEW_PARTNER, **token})

    assert made() == before
    assert "The form was incomplete: nothing was done. Send it again." in drawn_again.content.decode()
    assert console.post(ADD, {**NEW_PARTNER, "form_token": token_in(drawn_again)}).status_code == 302
    assert Partner.objects.count() == 2


def test_a_form_with_a_mistake_in_it_can_be_sent_again_with_the_same_token(console: Client) -> None:
    token = token_in(console.get(ADD))
    wrong = console.post(ADD, {**NEW_PARTNER, "daily_borrow_limit": "0", "form_token": token})
    assert token_in(wrong) == token
    assert not SentForm.objects.exists()
    assert console.post(ADD, {**NEW_PARTNER, "form_token": token}).status_code == 302
    assert Partner.objects.count() == 1


def test_a_refused_key_does_not_use_its_form_up(console: Client) -> None:
    partner = ApiKeyFactory.create().partner
    ApiKeyFactory.create(partner=partner)
    form = make_key(console, partner)

    page = console.post(NEW_KEY, form, follow=True)

    assert "2 keys are live; revoke one first." in page.content.decode()
    assert (ApiKey.objects.count(), SentForm.objects.count()) == (2, 0)
    ApiKey.objects.first().delete()
    assert len(secrets_in(console.post(NEW_KEY, form, follow=True))) == 1


def test_terms_that_are_sent_again_do_not_undo_what_came_after(console: Client) -> None:
    partner = PartnerFactory.create()
    change = f"{LIST}{partner.pk}/change/"
    form = {**NEW_PARTNER, "api_keys-TOTAL_FORMS": "0", "api_keys-INITIAL_FORMS": "0"}
    form["form_token"] = token_in(console.get(change))
    assert console.post(change, form).status_code == 302
    services.update_partner(partner=partner, actor=staff("bob"), daily_borrow_limit="7")

    page = console.post(change, form, follow=True)

    assert "This form was sent before: nothing was done again." in page.content.decode()
    assert Partner.objects.get().daily_borrow_limit == 7


def test_an_action_that_is_sent_again_does_nothing_again(console: Client) -> None:
    partner = PartnerFactory.create()
    form = rotate("suspend")(console, partner)
    console.post(LIST, form)
    services.activate_partner(partner=partner, actor=staff("bob"))

    page = console.post(LIST, form, follow=True)

    assert "This form was sent before: nothing was done again." in page.content.decode()
    assert Partner.objects.get().status == PartnerStatus.ACTIVE


def test_a_question_does_not_use_its_form_up_and_its_answer_counts_once(console: Client) -> None:
    partner = PartnerFactory.create(status=PartnerStatus.SUSPENDED)
    form = rotate("activate")(console, partner)
    console.post(LIST, form)
    question = console.post(LIST, form)
    answer = hidden_fields(question)
    assert answer["form_token"] != [form["form_token"]]
    console.post(LIST, answer)
    assert Partner.objects.get().status == PartnerStatus.ACTIVE
    services.suspend_partner(partner=partner, actor=staff("bob"))

    page = console.post(LIST, answer, follow=True)

    assert "This form was sent before" in page.content.decode()
    assert Partner.objects.get().status == PartnerStatus.SUSPENDED


def test_a_click_that_came_before_the_first_was_done_makes_no_second_key(
    console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked whether the form was sent, and it was not yet: the database decides."""
    form = make_key(console, PartnerFactory.create())
    first = console.post(NEW_KEY, form)
    look, looks = sent_forms.is_sent, iter([False])
    monkeypatch.setattr(sent_forms, "is_sent", lambda token: next(looks, True) and look(token))

    second = console.post(NEW_KEY, form)

    assert second["Location"] == first["Location"]
    assert (ApiKey.objects.count(), AuditEntry.objects.count()) == (1, 1)


def test_what_another_took_at_the_same_moment_is_said_and_the_form_can_be_sent_again(
    console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(**terms: Any) -> None:
        raise IntegrityError("partners_partner_partner_id_key")

    form = open_partner(console, PartnerFactory.create())
    with monkeypatch.context() as patch:
        patch.setattr(services, "create_partner", lose)
        page = console.post(ADD, form, follow=True)

    assert "Somebody else saved the same id or settlement address at this moment" in page.content.decode()
    assert (Partner.objects.count(), SentForm.objects.count()) == (1, 0)
    assert len(secrets_in(console.post(ADD, form, follow=True))) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("path", "form_of"), [(ADD, open_partner), (LIST, rotate("rotate_key_now"))])
def test_a_form_that_is_sent_twice_at_the_same_moment_acts_once(console: Client, path: str, form_of: Any) -> None:
    form = form_of(console, ApiKeyFactory.create().partner)
    partners, live = Partner.objects.count(), ApiKey.objects.count()
    cookies = console.cookies

    def click(number: int) -> Any:
        browser = Client()
        browser.cookies = cookies
        return browser.post(path, form)

    answers = at_once(2, click)

    assert [answer.status_code for answer in answers] == [302, 302]
    is_add = path == ADD
    assert Partner.objects.count() == partners + is_add
    assert ApiKey.objects.filter(revoked_at=None).count() == live + is_add
    assert AuditEntry.objects.count() == 1
    shown = [secrets_in(console.get(answer["Location"])) for answer in answers]
    assert sum(len(secrets) for secrets in shown) == 1


def test_a_name_that_another_partner_has_is_asked_about(console: Client) -> None:
    PartnerFactory.create(partner_id="partner_old", partner_name="New Lending  Platform")
    form = {**NEW_PARTNER, "partner_name": " new lending platform "}

    page = send(console, ADD, form)

    assert page.context["adminform"].form.errors == {
        "partner_name": ["partner_old has this name already. Is this another partner?"]
    }
    assert '<input type="checkbox" name="same_name" id="id_same_name">' in page.content.decode()
    assert Partner.objects.count() == 1
    assert len(secrets_in(send(console, ADD, {**form, "same_name": "on"}))) == 1
    assert Partner.objects.count() == 2


def test_a_partner_that_keeps_its_name_is_not_asked_about_it(console: Client) -> None:
    first, second = PartnerFactory.create_batch(2, partner_name="Twin Lending")
    form = {**NEW_PARTNER, "partner_name": "Twin Lending", "api_keys-TOTAL_FORMS": "0", "api_keys-INITIAL_FORMS": "0"}
    assert send(console, f"{LIST}{first.pk}/change/", form, follow=False).status_code == 302
    page = send(console, f"{LIST}{second.pk}/change/", {**form, "partner_name": "Twin lending"}, follow=False)
    assert list(page.context["adminform"].form.errors) == ["partner_name", "settlement_address"]
    assert 'type="checkbox" name="same_name"' not in console.get(ADD).content.decode()
