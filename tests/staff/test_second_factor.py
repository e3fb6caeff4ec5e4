"""Second factors: each code, step, challenge and recovery code is taken once, and only from its user."""

import json
import threading
from typing import Any

import pyotp
import pytest
from django.contrib.auth.models import User
from django.db import connection

from audit.models import AuditEntry
from authority.acting import staff_of
from authority.rights import Right
from authority.roles import Role
from partner_platform.core import clock
from partner_platform.core.errors import BadRequest, Forbidden
from partner_platform.core.secrets import crypto
from staff.models import Passkey, PasskeyChallenge, RecoveryCode, TotpDevice
from staff.second_factor import has_second_factor, passkeys, recovery, totp, verify
from staff.services import factors
from tests.support.acting import staff
from tests.support.authenticator import PRESENT, Authenticator
from tests.support.clocks import shift_clock
from tests.support.staff_accounts import App, add_app, staff_user

pytestmark = pytest.mark.django_db

NONE = {"authenticatorApp": False, "passkeys": 0, "recoveryCodes": 0}


@pytest.fixture
def ann() -> User:
    return staff_user("ann", Role.SUPPORT)


@pytest.fixture
def still_clock() -> Any:
    """The clock stands at the middle of a step, so that no test crosses into the next one."""
    now = clock.now().timestamp()
    shift_clock(seconds=(now // 30 + 1) * 30 + 10 - now)
    yield
    shift_clock()


def add_passkey(user: User, authenticator: Authenticator) -> list[str]:
    credential = authenticator.create(passkeys.registration_options(user))
    return factors.add_passkey(actor=staff_of(user), user=user, credential=credential, label="laptop")


def test_a_code_is_taken_once_and_none_of_a_step_before_it(ann: User, still_clock: None) -> None:
    app, _ = add_app(ann)
    assert has_second_factor(ann)
    assert verify(ann, app.code(steps=-1)) is False  # it was used when the app was added
    assert verify(ann, app.code(steps=-2)) is False
    assert verify(ann, app.code(steps=2)) is False
    assert verify(ann, f" {app.code()[:3]} {app.code()[3:]} ") is True
    assert verify(ann, app.code()) is False
    assert verify(ann, app.code(steps=1)) is True
    assert verify(ann, app.code()) is False
    assert verify(staff_user("bob"), app.code(steps=1)) is False


@pytest.mark.parametrize("otp", ["", "abcdef", "12345", "１２３４５６", "\x00" * 6, "x" * 5_000, "null", "😀" * 6])  # noqa: RUF001
def test_what_is_no_code_is_refused(ann: User, otp: str) -> None:
    assert verify(ann, otp) is False
    add_app(ann)
    assert verify(ann, otp) is False


def test_the_secret_is_stored_encrypted_and_the_codes_as_hashes(ann: User) -> None:
    app, codes = add_app(ann)
    assert crypto.decrypt(TotpDevice.objects.get().secret) == app.totp.secret
    stored = set(RecoveryCode.objects.values_list("code_hash", flat=True))
    assert len(stored) == 10
    assert not stored & set(codes)
    told = json.dumps(list(AuditEntry.objects.values_list("before", "after")))
    assert [secret for secret in (app.totp.secret, *codes, *stored) if secret in told] == []


def test_an_app_is_added_by_the_code_that_it_shows_and_once(ann: User, still_clock: None) -> None:
    secret = pyotp.random_base32()
    for wrong in ("000000", "", App(secret).code(steps=2)):
        with pytest.raises(BadRequest):
            factors.add_app(actor=staff_of(ann), user=ann, secret=secret, code=wrong)
    assert not has_second_factor(ann)
    codes = factors.add_app(actor=staff_of(ann), user=ann, secret=secret, code=App(secret).code())
    assert len(set(codes)) == 10
    with pytest.raises(BadRequest, match="already"):
        factors.add_app(actor=staff_of(ann), user=ann, secret=secret, code=App(secret).code(steps=1))
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.target) == ("staff:ann", "staff.factor_added", "staff:ann")
    assert entry.after == {"factor": "authenticator app", "authenticatorApp": True, "passkeys": 0, "recoveryCodes": 10}


def test_a_recovery_code_is_taken_once_however_it_is_written(ann: User) -> None:
    _, codes = add_app(ann)
    assert verify(ann, codes[0].upper().replace("-", " ")) is True
    assert verify(ann, codes[0]) is False
    assert verify(staff_user("bob"), codes[1]) is False
    entry = AuditEntry.objects.get(action="staff.recovery_code_used")
    assert (entry.actor, entry.target, entry.before, entry.after) == (
        *("staff:ann", "staff:ann"),
        *({"left": 10}, {"left": 9}),
    )


def test_new_recovery_codes_replace_the_old_ones(ann: User) -> None:
    with pytest.raises(BadRequest, match="add one first"):
        factors.renew_recovery_codes(actor=staff_of(ann), user=ann)
    _, old = add_app(ann)
    new = factors.renew_recovery_codes(actor=staff_of(ann), user=ann)
    assert not set(old) & set(new)
    assert verify(ann, old[0]) is False
    assert verify(ann, new[0]) is True


def test_recovery_codes_alone_are_no_second_factor(ann: User) -> None:
    codes = recovery.replace_codes(ann)
    assert has_second_factor(ann) is False
    assert verify(ann, codes[0]) is False


def test_a_passkey_is_registered_and_signs_in(ann: User) -> None:
    authenticator = Authenticator()
    assert passkeys.authentication_options(ann) == ""
    assert len(add_passkey(ann, authenticator)) == 10
    assert has_second_factor(ann)
    assert Passkey.objects.get().label == "laptop"
    credential = authenticator.get(passkeys.authentication_options(ann))
    assert passkeys.use_passkey(staff_user("bob"), credential) is False
    assert passkeys.use_passkey(ann, credential) is True
    assert Passkey.objects.get().sign_count == 2
    assert passkeys.use_passkey(ann, credential) is False  # its challenge is used up
    assert PasskeyChallenge.objects.count() == 0
    assert add_passkey(ann, Authenticator()) == []  # only the first factor brings recovery codes
    with pytest.raises(BadRequest, match="known already"):
        add_passkey(ann, authenticator)


def lie_about_the_user(authenticator: Authenticator) -> None:
    authenticator.flags = PRESENT


def come_from_elsewhere(authenticator: Authenticator) -> None:
    authenticator.origin = "https://platform.example.evil"


def be_of_another_domain(authenticator: Authenticator) -> None:
    authenticator.rp_id = "platform.example.evil"


LIES = [lie_about_the_user, come_from_elsewhere, be_of_another_domain]


@pytest.mark.parametrize("lie", LIES)
def test_a_passkey_that_is_not_verified_or_not_ours_is_refused(ann: User, lie: Any) -> None:
    liar = Authenticator()
    lie(liar)
    with pytest.raises(BadRequest):
        add_passkey(ann, liar)
    assert not has_second_factor(ann)
    authenticator = Authenticator()
    add_passkey(ann, authenticator)
    lie(authenticator)
    assert passkeys.use_passkey(ann, authenticator.get(passkeys.authentication_options(ann))) is False


def test_a_copied_passkey_or_another_key_is_refused(ann: User) -> None:
    authenticator = Authenticator()
    add_passkey(ann, authenticator)
    authenticator.count = 0  # a copy that signed less often than the original
    assert passkeys.use_passkey(ann, authenticator.get(passkeys.authentication_options(ann))) is False
    other = Authenticator()
    other.credential_id, other.count = authenticator.credential_id, 5
    assert passkeys.use_passkey(ann, other.get(passkeys.authentication_options(ann))) is False


def test_a_challenge_is_for_one_user_one_purpose_and_five_minutes(ann: User) -> None:
    bob, authenticator = staff_user("bob"), Authenticator()
    add_passkey(ann, authenticator)
    assert passkeys.use_passkey(ann, authenticator.get(passkeys.registration_options(ann))) is False
    assert passkeys.use_passkey(ann, authenticator.get(passkeys.registration_options(bob))) is False
    assert passkeys.use_passkey(ann, authenticator.get('{"challenge": "AAAA"}')) is False
    late = authenticator.get(passkeys.authentication_options(ann))
    shift_clock(seconds=301)
    try:
        assert passkeys.use_passkey(ann, late) is False
    finally:
        shift_clock()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"response": 1}', '{"response": {"clientDataJSON": "é"}}', "[" * 9_000]
)
def test_what_is_no_credential_is_refused(ann: User, text: str) -> None:
    add_passkey(ann, Authenticator())
    assert passkeys.use_passkey(ann, text) is False
    assert passkeys.read_registration(ann, text, label="x") is None


def test_a_factor_is_removed_and_the_codes_go_with_the_last_one(ann: User, settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = "optional"
    add_app(ann)
    add_passkey(ann, Authenticator())
    factors.remove_app(actor=staff_of(ann), user=ann)
    assert RecoveryCode.objects.count() == 10
    passkey = Passkey.objects.get()
    with pytest.raises(BadRequest):
        factors.remove_passkey(
            actor=staff_of(staff_user("bob")), user=User.objects.get(username="bob"), passkey_id=passkey.pk
        )
    factors.remove_passkey(actor=staff_of(ann), user=ann, passkey_id=passkey.pk)
    assert (has_second_factor(ann), RecoveryCode.objects.count()) == (False, 0)
    entry = AuditEntry.objects.filter(action="staff.factor_removed").latest("timestamp")
    assert entry.before == {"factor": "passkey laptop", "authenticatorApp": False, "passkeys": 1, "recoveryCodes": 10}
    assert entry.after == NONE


def test_the_last_factor_stays_where_one_is_required(ann: User, settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = "required"
    add_app(ann)
    with pytest.raises(BadRequest, match="required"):
        factors.remove_app(actor=staff_of(ann), user=ann)
    assert has_second_factor(ann)


def test_nobody_adds_or_removes_a_factor_of_somebody_else(ann: User) -> None:
    app, _ = add_app(ann)
    everything = staff("eve")
    acts = [
        lambda: factors.add_app(actor=everything, user=ann, secret=app.totp.secret, code=app.code()),
        lambda: factors.remove_app(actor=everything, user=ann),
        lambda: factors.renew_recovery_codes(actor=everything, user=ann),
        lambda: factors.add_passkey(actor=everything, user=ann, credential="{}", label=""),
    ]
    for act in acts:
        with pytest.raises(Forbidden):
            act()
    assert factors.factors_of(ann) == factors.Factors(has_app=True, passkeys=0, recovery_codes=10)


def test_factors_are_reset_with_the_right_and_never_ones_own_or_a_superusers(ann: User) -> None:
    root, chief = staff_user("root", superuser=True), staff_user("chief", Role.ADMIN)
    for user in (ann, root, chief):
        add_app(user)
    for actor, user in [
        (staff_of(chief), root),
        (staff_of(chief), chief),
        (staff_of(root), root),
        (staff("x", ()), ann),
    ]:
        with pytest.raises(Forbidden):
            factors.reset_factors(actor=actor, user=user)
    assert TotpDevice.objects.count() == 3
    factors.reset_factors(actor=staff_of(chief), user=ann)
    assert (has_second_factor(ann), RecoveryCode.objects.filter(user=ann).count()) == (False, 0)
    entry = AuditEntry.objects.get(action="staff.factors_reset")
    assert (entry.actor, entry.target, entry.after) == ("staff:chief", "staff:ann", NONE)
    assert entry.before == {"authenticatorApp": True, "passkeys": 0, "recoveryCodes": 10}
    assert factors.reset_factors.right == Right.MANAGE_STAFF  # type: ignore[attr-defined]


def test_the_picture_is_an_svg_of_the_address(ann: User) -> None:
    address = totp.enrolment_address(ann, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    assert (
        address
        == "otpauth://totp/Partner%20Platform:ann?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Partner%20Platform"
    )
    assert totp.qr_code(address).lstrip().startswith("<svg")


@pytest.mark.django_db(transaction=True)
def test_of_two_uses_of_a_code_at_the_same_moment_one_is_taken(still_clock: None) -> None:
    ann = staff_user("ann")
    app, codes = add_app(ann)
    for otp in (app.code(), codes[0]):
        taken: list[bool] = []

        def use(otp: str = otp, taken: list[bool] = taken) -> None:
            taken.append(verify(ann, otp))
            connection.close()

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [False, False, False, True]
