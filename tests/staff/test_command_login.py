"""`manage.py login`, and the token with which commands then act on a live platform."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from audit.models import AuditEntry
from authority import command_tokens
from authority.acting import staff_of
from partner_platform.core.secrets import crypto
from partners.models import Partner, PartnerStatus
from staff.access.api_sessions import Device
from staff.models import Passkey, TotpDevice
from staff.services import accounts, factors
from staff.services.sessions import end_all_sessions, end_own_session, end_session, open_session
from tests.factories import PartnerFactory
from tests.support.acting import group_of, staff
from tests.support.clocks import shift_clock

pytestmark = pytest.mark.django_db
PASSWORD, CODE = "a long password indeed", "the code that the app shows now"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture(autouse=True)
def live(settings: Settings, tmp_path: Path) -> None:
    """A live platform."""
    settings.IS_SANDBOX, settings.STAFF_SECOND_FACTOR = False, "required"
    settings.STAFF_TOKEN_FILE = str(tmp_path / "state" / "token")


@pytest.fixture
def ann() -> User:
    """With an authenticator app."""
    user = support_user("ann")
    TotpDevice.objects.create(user=user, secret=crypto.encrypt(SECRET), last_step=0)
    return user


def support_user(username: str) -> User:
    user = User.objects.create_user(username, f"{username}@platform.example", PASSWORD, is_staff=True)
    user.groups.add(group_of("support"))
    return user


def log_in(monkeypatch: pytest.MonkeyPatch, *lines: str, as_user: str = "ann", **options: bool) -> str:
    typed = [pyotp.TOTP(SECRET).now() if line == CODE else line for line in lines]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
    out = io.StringIO()
    call_command("login", as_user=as_user, stdout=out, **options)
    return out.getvalue()


def suspend(partner: Partner, as_user: str = "ann") -> str:
    out = io.StringIO()
    call_command("suspend_partner", partner.partner_id, as_user=as_user, stdout=out)
    return out.getvalue()


def refusal_of(partner: Partner, as_user: str = "ann") -> str:
    with pytest.raises(CommandError) as refused:
        suspend(partner, as_user)
    partner.refresh_from_db()
    assert partner.status == PartnerStatus.ACTIVE
    return str(refused.value)


def test_who_logged_in_acts_for_fifteen_minutes(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    partner = PartnerFactory.create()
    assert refusal_of(partner) == "Nobody is logged in here; run: manage.py login --as ann."
    said = log_in(monkeypatch, PASSWORD, CODE)
    assert said.startswith("ann is logged in here until ")
    path = command_tokens.token_file()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() not in said
    shift_clock(seconds=15 * 60 + 1)
    try:
        assert refusal_of(partner) == (
            "The token has ended, 15 minutes after it was made; run: manage.py login --as ann."
        )
    finally:
        shift_clock()
    assert suspend(partner) == f"{partner.partner_id} is suspended.\n"
    actions = list(AuditEntry.objects.order_by("timestamp", "id").values_list("actor", "action", "target"))
    assert actions == [
        ("staff:ann", "staff.signed_in", "staff:ann"),
        ("staff:ann", "partner.suspended", f"partner:{partner.partner_id}"),
    ]


def test_as_json_it_says_until_when_and_never_the_token(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.loads(log_in(monkeypatch, PASSWORD, CODE, json=True))
    assert sorted(said) == ["expiresAt", "username"]
    assert said["username"] == "ann"


@pytest.mark.parametrize(
    ("name", "lines", "why"),
    [
        ("ann", ["wrong", CODE], "wrong name or password"),
        ("ann", [PASSWORD, "65432"], "wrong second factor"),
        ("ann", [PASSWORD], "wrong second factor"),
        ("nobody", [PASSWORD, CODE], "wrong name or password"),
    ],
)
def test_what_was_wrong_is_in_the_trail_and_not_on_the_screen(
    ann: User, monkeypatch: pytest.MonkeyPatch, name: str, lines: list[str], why: str
) -> None:
    with pytest.raises(CommandError, match=r"^Name, password or second factor is wrong\.$"):
        log_in(monkeypatch, *lines, as_user=name)
    assert not command_tokens.token_file().exists()
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.target) == ("system:sign-in", "staff.sign_in_failed", f"staff:{name}")
    assert entry.after == {"door": "command", "means": "password", "reason": why}


def test_an_account_without_a_second_factor_sets_one_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    support_user("bob")
    with pytest.raises(CommandError, match="sign in to the console and set one up first"):
        log_in(monkeypatch, PASSWORD, as_user="bob")
    assert not command_tokens.token_file().exists()


def test_a_customer_of_nothing_is_no_staff(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.filter(pk=ann.pk).update(is_staff=False)
    with pytest.raises(CommandError, match=r"^Name, password or second factor is wrong\.$"):
        log_in(monkeypatch, PASSWORD, CODE)


def test_a_closed_account_and_a_changed_password_end_it(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    partner = PartnerFactory.create()
    log_in(monkeypatch, PASSWORD, CODE)
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert refusal_of(partner) == "'ann' is no open account of staff: ask an admin, or act as somebody else."
    User.objects.filter(pk=ann.pk).update(is_active=True)
    ann.set_password("another long password")
    ann.save()
    assert refusal_of(partner) == "The password was changed since; run: manage.py login --as ann."


def remove_one_of_two_factors(ann: User) -> None:
    Passkey.objects.create(user=ann, credential_id="x", label="x")
    factors.remove_app(actor=staff_of(ann), user=ann)


def close_and_reopen(ann: User) -> None:
    accounts.close_account(actor=staff("root"), user=ann)
    accounts.reopen_account(actor=staff("root"), user=ann)


def end_a_session(ann: User) -> None:
    session = open_session(user=ann, device=Device("203.0.113.9", ""), with_factor=True)
    end_session(actor=staff("root"), session=session)


ENDED: dict[str, Callable[[User], None]] = {
    "factors reset": lambda ann: factors.reset_factors(actor=staff("root"), user=ann),
    "factor removed": remove_one_of_two_factors,
    "closed and opened again": close_and_reopen,
    "session ended": end_a_session,
    "all ended, though none was open": lambda ann: end_all_sessions(actor=staff("root"), user=ann),
}


@pytest.mark.parametrize("how", ENDED)
def test_a_token_ends_with_what_ends_the_accounts_sessions(
    ann: User, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    log_in(monkeypatch, PASSWORD, CODE)
    partner = PartnerFactory.create()
    ENDED[how](ann)
    with pytest.raises(CommandError, match="second factors were ended since"):
        suspend(partner)
    assert Partner.objects.get(pk=partner.pk).status == PartnerStatus.ACTIVE


def test_a_token_stays_where_one_ends_a_session_of_ones_own(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(monkeypatch, PASSWORD, CODE)
    session = open_session(user=ann, device=Device("203.0.113.9", ""), with_factor=True)
    end_own_session(actor=staff_of(ann), session=session)
    assert "is suspended" in suspend(PartnerFactory.create())


def test_nobody_acts_with_anothers_token(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    partner = PartnerFactory.create()
    support_user("bob")
    log_in(monkeypatch, PASSWORD, CODE)
    assert refusal_of(partner, "bob") == "The token is somebody else's; run: manage.py login --as bob."


@pytest.mark.parametrize("change", [lambda token: token[:-1], lambda token: "", lambda token: "x" + token])
def test_a_token_that_was_written_by_hand_is_none(ann: User, monkeypatch: pytest.MonkeyPatch, change: object) -> None:
    partner = PartnerFactory.create()
    log_in(monkeypatch, PASSWORD, CODE)
    path = command_tokens.token_file()
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    assert refusal_of(partner) == "The token is not one of this platform; run: manage.py login --as ann."


def test_a_token_that_others_can_read_is_refused(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    partner = PartnerFactory.create()
    log_in(monkeypatch, PASSWORD, CODE)
    path = command_tokens.token_file()
    path.chmod(0o640)
    assert refusal_of(partner) == f"Others can read {path}: delete it, and run: manage.py login --as ann."


def test_a_new_token_takes_nothing_over_from_the_file_that_was_there(
    ann: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere, path = tmp_path / "elsewhere", command_tokens.token_file()
    elsewhere.write_text("mine")
    path.parent.mkdir()
    path.symlink_to(elsewhere)
    log_in(monkeypatch, PASSWORD, CODE)
    assert elsewhere.read_text() == "mine"
    assert not path.is_symlink()


def test_logging_out_deletes_the_token(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    partner = PartnerFactory.create()
    log_in(monkeypatch, PASSWORD, CODE)
    assert log_in(monkeypatch, end=True) == "Nobody is logged in here any more.\n"
    assert refusal_of(partner) == "Nobody is logged in here; run: manage.py login --as ann."


def test_without_a_setting_it_is_below_the_state_directory(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.STAFF_TOKEN_FILE = ""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert command_tokens.token_file() == tmp_path / "partner-platform" / "staff-token"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    assert command_tokens.token_file() == Path("/home/ann/.local/state/partner-platform/staff-token")
