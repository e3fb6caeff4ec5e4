"""Sessions of the API: access tokens that end with them, refresh tokens that are exchanged once."""

import datetime as dt
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jwt
import pytest
from django.conf import settings as platform
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from partner_platform.core import clock
from partner_platform.core.errors import Unauthorized
from partners import keys
from staff.access import api_sessions, tokens
from staff.models import ApiSession, RefreshToken, UsedNonce
from staff.tasks import sweep_sign_ins
from tests.core.concurrency import at_once
from tests.support.acting import staff
from tests.support.signing_in import ADDRESS, PASSWORD, member, outcome, post, tokens_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counts")]

INVALID, EXPIRED = (401, "invalid_token"), (401, "expired_token")
MINUTE = dt.timedelta(minutes=1)


def logout(access: str) -> Any:
    return post("/auth/logout", token=access)


def refresh(token: str) -> Any:
    return post("/auth/token/refresh", {"refresh": token})


def is_taken(access: str) -> bool:
    """Whether the platform takes the token now; it is not used up."""
    with suppress(Unauthorized):
        return bool(tokens.read_access_token(access))
    return False


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("timestamp").values_list("action", flat=True))


def later(monkeypatch: pytest.MonkeyPatch, by: dt.timedelta) -> None:
    """The platform's clock goes on; the library's of access tokens does not."""
    now = clock.now() + by
    monkeypatch.setattr("partner_platform.core.clock.now", lambda: now)


def test_an_access_token_costs_one_query(ann: User) -> None:
    pair = tokens_of(ann)
    with CaptureQueriesContext(connection) as queries:
        session = tokens.read_access_token(pair.access)
        assert session.user == ann
    assert len(queries.captured_queries) == 1


def change_password(user: User) -> None:
    user.set_password("another one indeed")
    user.save()


ENDS: dict[str, Callable[[User, ApiSession], object]] = {
    "signed out": lambda user, session: api_sessions.sign_out(session),
    "ended by staff": lambda user, session: api_sessions.end_api_sessions(user=user, actor=staff(), because="test"),
    "account closed": lambda user, session: User.objects.update(is_active=False),
    "no longer staff": lambda user, session: User.objects.update(is_staff=False),
    "another password": lambda user, session: change_password(user),
    "absolute end": lambda user, session: ApiSession.objects.update(ends_at=clock.now()),
    "session deleted": lambda user, session: ApiSession.objects.all().delete(),
}


@pytest.mark.parametrize("how", ENDS)
def test_both_tokens_of_a_session_that_is_over_are_refused_at_once(ann: User, how: str) -> None:
    pair = tokens_of(ann)
    assert is_taken(pair.access)
    ENDS[how](ann, ApiSession.objects.get())
    assert not is_taken(pair.access)
    assert outcome(refresh(pair.refresh)) == INVALID
    assert outcome(logout(pair.access)) == INVALID


def test_a_session_without_second_factor_is_over_once_one_is_required(ann: User, settings: Settings) -> None:
    pair = tokens_of(ann)
    settings.STAFF_SECOND_FACTOR = "required"
    assert not is_taken(pair.access)
    assert outcome(refresh(pair.refresh)) == INVALID
    ApiSession.objects.update(with_factor=True)
    assert is_taken(pair.access)


def test_no_other_token_than_an_access_token_of_ours_is_taken(ann: User) -> None:
    pair = tokens_of(ann)
    claims = jwt.decode(pair.access, options={"verify_signature": False})
    key = str(platform.SIMPLE_JWT["SIGNING_KEY"])

    def signed(key: str = key, algorithm: str = "HS256", **others: object) -> str:
        return jwt.encode({**claims, **others}, key, algorithm=algorithm)

    assert is_taken(signed())  # the control
    wrong = {
        "Django's key": signed(platform.SECRET_KEY),
        "no signature": signed("", "none"),
        "another algorithm": signed(key, "HS512"),
        "another audience": signed(aud="partners"),
        "another issuer": signed(iss="somebody"),
        "another type": signed(token_type="refresh"),
        "no session": signed(sid=""),
        "somebody's id": signed(sid=str(ann.pk)),
        "a session that is none": signed(sid="9f0c1d3e-6a54-4c0f-8d6b-3b1f0f3f5a10"),
        "a letter more": pair.access + "A",
        "long": "a." * 2_000,
        "refresh token": pair.refresh,
        "API key": keys.generate("test", "sandbox").key,
    }
    assert [name for name, token in wrong.items() if outcome(logout(token)) != INVALID] == []
    assert outcome(post("/auth/logout")) == (401, "missing_token")
    assert outcome(logout(signed(exp=claims["iat"] - 60))) == EXPIRED
    assert is_taken(pair.access)


def test_an_access_token_does_not_outlive_its_session(ann: User) -> None:
    tokens_of(ann)
    session = ApiSession.objects.get()
    session.ends_at = clock.now() + MINUTE
    claims = jwt.decode(tokens.new_access_token(session), options={"verify_signature": False})
    assert claims["exp"] == int(session.ends_at.timestamp())


def test_signing_out_ends_this_session_and_no_other_and_is_recorded(ann: User) -> None:
    pair, other = tokens_of(ann), tokens_of(ann)
    answer = logout(pair.access)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert is_taken(other.access)
    entry = AuditEntry.objects.get(action="staff.signed_out")
    ended = ApiSession.objects.exclude(ended_at=None).get()
    assert (entry.actor, entry.target) == ("staff:ann", "staff:ann")
    assert entry.after == {"door": "api", "session": str(ended.pk)}
    assert ended.ended_because == "signed out"


def test_a_refresh_token_is_exchanged_for_a_new_pair_of_the_same_session(ann: User) -> None:
    pair = tokens_of(ann)
    answer = refresh(pair.refresh)
    assert answer.status_code == 200
    new = answer.json()
    assert new["refresh"] != pair.refresh
    assert is_taken(new["access"])
    assert is_taken(pair.access)  # for what is left of its ten minutes
    assert ApiSession.objects.count() == 1
    assert refresh(new["refresh"]).status_code == 200
    assert actions() == ["staff.signed_in"]


def test_only_the_hash_of_a_refresh_token_is_stored(ann: User) -> None:
    pair = tokens_of(ann)
    row = RefreshToken.objects.get()
    assert row.token_hash == keys.hash_key(pair.refresh)
    assert pair.refresh not in str(RefreshToken.objects.values().get())


def test_a_refresh_token_that_comes_twice_ends_the_session_and_is_recorded_once(ann: User) -> None:
    pair, other = tokens_of(ann), tokens_of(ann)
    stolen = pair.refresh
    new = refresh(stolen).json()
    assert outcome(refresh(stolen)) == INVALID
    assert not is_taken(new["access"])
    assert not is_taken(pair.access)
    assert outcome(refresh(new["refresh"])) == INVALID
    assert outcome(refresh(stolen)) == INVALID
    assert is_taken(other.access)  # of another sign-in
    entry = AuditEntry.objects.get(action="staff.refresh_token_reused")
    ended = ApiSession.objects.exclude(ended_at=None).get()
    assert (entry.actor, entry.target) == ("system:sign-in", "staff:ann")
    assert entry.after == {"door": "api", "session": str(ended.pk), "address": ADDRESS}
    assert ended.ended_because == "refresh token used twice"


def test_a_session_that_was_refreshed_long_ago_cannot_be_refreshed_and_one_that_was_just_can(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = tokens_of(ann)
    later(monkeypatch, 29 * MINUTE)
    new = refresh(pair.refresh)
    assert new.status_code == 200
    later(monkeypatch, 30 * MINUTE)
    assert outcome(refresh(new.json()["refresh"])) == EXPIRED


def test_refreshing_prolongs_no_session_beyond_its_twelve_hours(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = tokens_of(ann)
    ApiSession.objects.update(ends_at=clock.now() + 10 * MINUTE)
    new = refresh(pair.refresh).json()
    newest = RefreshToken.objects.get(used_at=None)
    assert newest.expires_at == ApiSession.objects.get().ends_at
    later(monkeypatch, 10 * MINUTE)
    assert outcome(refresh(new["refresh"])) == INVALID


@pytest.mark.parametrize("token", ["x", "rt_", "\u00e9" * 40, "x" * 200])
def test_an_unknown_refresh_token_is_refused(ann: User, token: str) -> None:
    assert outcome(refresh(token)) == INVALID
    assert outcome(post("/auth/token/refresh", {"refresh": ["x"]})) == (400, "invalid_request")


@pytest.mark.django_db(transaction=True)
def test_of_exchanges_at_the_same_moment_exactly_one_has_tokens_and_the_session_ends(ann: User) -> None:
    pair = tokens_of(ann)
    answers = at_once(6, lambda _: refresh(pair.refresh))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401, 401]
    assert {outcome(answer) for answer in answers if answer.status_code == 401} == {INVALID}
    assert RefreshToken.objects.count() <= 2  # none of those who lost made another
    assert not is_taken(pair.access)
    assert actions().count("staff.refresh_token_reused") == 1


def test_all_sessions_of_a_person_are_ended_together_and_nobody_elses(ann: User) -> None:
    pairs, others = [tokens_of(ann), tokens_of(ann)], tokens_of(member("bob"))
    assert api_sessions.end_api_sessions(user=ann, actor=staff("eve"), because="second factor reset") == 2
    assert not any(is_taken(pair.access) for pair in pairs)
    assert is_taken(others.access)
    entry = AuditEntry.objects.get(action="staff.session_ended")
    assert (entry.actor, entry.target) == ("staff:eve", "staff:ann")
    assert entry.after == {"door": "api", "sessions": 2, "because": "second factor reset"}
    assert api_sessions.end_api_sessions(user=ann, actor=staff("eve"), because="again") == 0
    assert AuditEntry.objects.filter(action="staff.session_ended").count() == 1


def test_what_ended_long_ago_is_deleted_and_what_is_in_use_is_not(ann: User) -> None:
    old, day = tokens_of(ann), dt.timedelta(days=1)
    RefreshToken.objects.update(expires_at=clock.now() - day)
    ApiSession.objects.update(ends_at=clock.now() - 31 * day)
    UsedNonce.objects.create(nonce="a" * 56, used_at=clock.now() - day)
    UsedNonce.objects.create(nonce="b" * 56)
    pair = tokens_of(ann)
    assert sweep_sign_ins() == 3
    assert not is_taken(old.access)
    assert (ApiSession.objects.count(), RefreshToken.objects.count(), UsedNonce.objects.count()) == (1, 1, 1)
    assert refresh(pair.refresh).status_code == 200
    assert PASSWORD not in str(list(ApiSession.objects.values()))
