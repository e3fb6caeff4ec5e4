"""Signing in to the staff API with name, password and second factor."""

import datetime as dt
from typing import Any

import jwt
import pytest
from django.conf import settings as platform
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User

from audit.models import ApiLog, AuditEntry
from partner_platform.core import clock
from staff.models import ApiSession, RefreshToken
from tests.support.signing_in import ADDRESS, PASSWORD, outcome, post, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counts")]

FULL_WIDTH = "\uff41\uff4e\uff4e"
WRONG = (401, "invalid_credentials")


def entries() -> list[tuple[str, str, str, Any]]:
    return [(e.actor, e.action, e.target, e.after) for e in AuditEntry.objects.order_by("timestamp")]


def test_a_name_and_a_password_are_answered_with_two_tokens_and_leave_a_session_and_an_entry(ann: User) -> None:
    before = clock.now()
    answer = post("/auth/token", {"username": "ann", "password": PASSWORD}, **{"User-Agent": "curl/8"})

    assert answer.status_code == 200
    assert sorted(answer.json()) == ["access", "refresh"]
    session = ApiSession.objects.get()
    assert (session.user, session.means, session.with_factor) == (ann, "password", False)
    assert (session.address, session.user_agent, session.ended_at) == (ADDRESS, "curl/8", None)
    assert session.ends_at - session.opened_at == dt.timedelta(hours=12)
    token = RefreshToken.objects.get()
    assert token.expires_at - token.created_at == dt.timedelta(minutes=30)
    how = {"door": "api", "means": "password", "secondFactor": False, "session": str(session.pk), "address": ADDRESS}
    assert entries() == [("staff:ann", "staff.signed_in", "staff:ann", how)]
    ann.refresh_from_db()
    assert ann.last_login is not None
    assert before <= ann.last_login <= clock.now()
    assert not ApiLog.objects.exists()


def test_the_access_token_lasts_ten_minutes_and_says_for_whom_it_is_and_nothing_of_rights(ann: User) -> None:
    access = sign_in().json()["access"]
    claims = jwt.decode(access, options={"verify_signature": False})
    assert sorted(claims) == ["aud", "exp", "iat", "iss", "jti", "sid", "sub", "token_type"]
    assert (claims["iss"], claims["aud"]) == ("partner-platform", "partner-platform-staff")
    assert (claims["sub"], claims["sid"]) == (str(ann.pk), str(ApiSession.objects.get().pk))
    assert claims["exp"] - claims["iat"] == 600
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(access, platform.SECRET_KEY, algorithms=["HS256"], audience="partner-platform-staff")


@pytest.mark.parametrize("spelling", ["  ann", "ann\t", FULL_WIDTH, f" {FULL_WIDTH} "])
def test_a_name_is_read_as_the_consoles_form_reads_it(ann: User, spelling: str) -> None:
    assert sign_in(spelling).status_code == 200


@pytest.mark.parametrize(
    ("columns", "name", "password"),
    [
        ({}, "ann", "wrong"),
        ({}, "nobody", PASSWORD),
        ({}, "ANN", PASSWORD),
        ({"is_staff": False}, "ann", PASSWORD),
        ({"is_active": False}, "ann", PASSWORD),
        ({"password": "!"}, "ann", "!"),
    ],
    ids=["wrong password", "unknown name", "another case", "not staff", "closed account", "no password"],
)
def test_whatever_is_wrong_the_answer_is_the_same_nobody_is_in_and_it_is_recorded(
    ann: User, columns: dict[str, Any], name: str, password: str
) -> None:
    User.objects.filter(pk=ann.pk).update(**columns)
    answer = sign_in(name, password)
    assert outcome(answer) == WRONG
    assert (answer.json()["message"], answer.json()["details"]) == ("Name, password or second factor is wrong", {})
    assert (ApiSession.objects.count(), RefreshToken.objects.count()) == (0, 0)
    how = {"door": "api", "means": "password", "reason": "wrong name or password", "address": ADDRESS}
    assert entries() == [("system:sign-in", "staff.sign_in_failed", f"staff:{name.lower()}", how)]
    ann.refresh_from_db()
    assert ann.last_login is None


def test_a_name_that_is_tried_is_recorded_normalized_and_shortened_and_the_password_nowhere(ann: User) -> None:
    name = f" {FULL_WIDTH.upper()}{'x' * 140}"
    assert outcome(sign_in(name, "planted-password-5d")) == WRONG
    (entry,) = AuditEntry.objects.all()
    assert entry.target == "staff:ann" + "x" * 57
    assert "planted" not in str(vars(entry))


class CountingHasher(MD5PasswordHasher):
    """Counts the hashes that it makes."""

    made = 0

    def encode(self, password: str, salt: str) -> str:
        type(self).made += 1
        return super().encode(password, salt)


def test_an_unknown_name_and_an_account_that_may_not_cost_as_many_hashes_as_a_wrong_password(
    ann: User, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    User.objects.create_user("bob", password=PASSWORD)  # not of staff
    made = []
    for name, password in (("ann", "wrong"), ("nobody", "wrong"), ("bob", PASSWORD), ("ann", PASSWORD)):
        CountingHasher.made = 0
        sign_in(name, password)
        made.append(CountingHasher.made)
    assert made == [1, 1, 1, 1]


def test_who_has_a_second_factor_must_give_it_even_where_it_is_optional(ann: User, codes: list[str]) -> None:
    missing = sign_in()
    assert outcome(missing) == (401, "second_factor_required")
    assert missing.json()["details"] == {"hasSecondFactor": True}
    assert outcome(sign_in(otp="000000")) == WRONG
    assert not ApiSession.objects.exists()
    assert sign_in(otp=codes[0]).status_code == 200
    assert ApiSession.objects.get().with_factor is True
    assert [(action, after.get("reason")) for _, action, _, after in entries()] == [
        ("staff.sign_in_failed", "no second factor"),
        ("staff.sign_in_failed", "wrong second factor"),
        ("staff.signed_in", None),
    ]


def test_a_wrong_password_is_told_apart_from_a_missing_code_only_by_who_has_the_right_one(
    ann: User, codes: list[str]
) -> None:
    assert outcome(sign_in(password="wrong")) == WRONG
    assert outcome(sign_in(password="wrong", otp=codes[0])) == WRONG
    assert codes == ["492039"]  # it is not used up


def test_where_it_is_required_an_account_without_a_second_factor_is_not_let_in(ann: User, settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = "required"
    for more in ({}, {"otp": "492039"}):
        answer = sign_in(**more)
        assert outcome(answer) == (401, "second_factor_required")
        assert answer.json()["details"] == {"hasSecondFactor": False}
    assert not ApiSession.objects.exists()


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, ["username", "password"]),
        ({"username": 1, "password": None}, ["username", "password"]),
        ({"username": "a\x00", "password": "x"}, ["username"]),
        ({"username": "ann", "password": "x" * 1001}, ["password"]),
        ({"username": "ann", "password": PASSWORD, "otp": 123456}, ["otp"]),
        ({"username": "ann", "password": PASSWORD, "code": "1"}, ["code"]),
    ],
)
def test_a_malformed_body_is_refused_by_field_and_is_no_try(ann: User, body: Any, names: list[str]) -> None:
    answer = post("/auth/token", body)
    assert (answer.status_code, list(answer.json()["details"])) == (400, names)
    assert PASSWORD not in answer.content.decode()
    assert not AuditEntry.objects.exists()
