"""Adding a second factor, for somebody who is signed in and for somebody who may not sign in without one."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.safestring import mark_safe

from authority.acting import staff_of
from partner_platform.core.secrets import crypto
from staff.second_factor import passkeys, totp
from staff.services import factors

SECRET = "new_totp_secret"  # noqa: S105 - a name in the session, which holds the secret encrypted
PASSKEY, CODE, LABEL = "passkey", "code", "label"


def enrolment_context(request: HttpRequest, user: User) -> dict[str, object]:
    """What the page shows: a secret for an app, as text and as QR code, and what a browser signs for a passkey."""
    secret = _secret(request)
    has_app = factors.factors_of(user).has_app
    return {
        "has_app": has_app,
        "secret": secret,
        "qr_code": mark_safe(totp.qr_code(totp.enrolment_address(user, secret))),  # noqa: S308 - a picture of ours
        "passkey_options": passkeys.registration_options(user) if passkeys.is_offered() else "",
        "passkey_field": PASSKEY,
        "code_field": CODE,
        "label_field": LABEL,
    }


def add_factor(request: HttpRequest, user: User) -> list[str]:
    """Add what the form proves; returns the recovery codes of a first factor. Raises 400 where it proves nothing."""
    actor = staff_of(user)
    if credential := request.POST.get(PASSKEY, ""):
        label = request.POST.get(LABEL, "").replace("\x00", "")
        codes = factors.add_passkey(actor=actor, user=user, credential=credential, label=label)
    else:
        codes = factors.add_app(actor=actor, user=user, secret=_secret(request), code=request.POST.get(CODE, ""))
    request.session.pop(SECRET, None)
    return codes


def _secret(request: HttpRequest) -> str:
    """The secret that the app is to be given: the same as long as the page is open."""
    if SECRET not in request.session:
        request.session[SECRET] = crypto.encrypt(totp.new_totp_secret())
    return crypto.decrypt(request.session[SECRET])
