"""Signing in to the API: the first factor (password or wallet), the second one, then a session.

Every failure is audited and counted (`staff.access.guessing`); whatever was wrong with name, password or code, the
answer is the same, and an unknown name costs the same slow hash as a known one.
"""

import unicodedata
from dataclasses import dataclass
from typing import NoReturn

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.http import HttpRequest

from authority.backend import RoleBackend
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Unauthorized, invalid_fields
from staff import second_factor
from staff.access import api_sessions, guessing, nonces, recording, wallets
from staff.access.api_sessions import DOOR, Device, TokenPair
from staff.access.siwe import SignInMessage, parse_message

PASSWORD, WALLET = "password", "wallet"
NOT_A_MESSAGE = "Is not a message of EIP-4361."


@dataclass(frozen=True)
class SignInAttempt:
    """Who is tried, by which first factor, and from where."""

    request: HttpRequest
    name: str
    means: str

    @property
    def device(self) -> Device:
        return api_sessions.device_of(self.request)


def sign_in_with_password(request: HttpRequest, *, username: str, password: str, otp: str) -> TokenPair:
    """Tokens for the member of staff of that name; `otp` is empty where none was sent.

    Raises 401 `invalid_credentials` or `second_factor_required`, 429 `too_many_sign_ins`.
    """
    attempt = SignInAttempt(request, username, PASSWORD)
    guessing.require_try(request, username)
    # Django's login form reads a name so. The backend hashes the password of an unknown name, too.
    name = unicodedata.normalize("NFKC", username).strip()
    user = RoleBackend().authenticate(None, username=name, password=password)
    if not isinstance(user, User) or not user.is_staff:
        _refuse(attempt, "wrong name or password")
    return _open(attempt, user, with_factor=_require_second_factor(attempt, user, otp))


def sign_in_with_wallet(request: HttpRequest, *, text: str, signature: bytes, otp: str) -> TokenPair:
    """Tokens for the member of staff whom the wallet is linked to that signed the message `text`.

    Raises as `sign_in_with_password`, and 400 naming `message` where it is malformed. A message signs in once; so does
    one with a wrong `otp`.
    """
    try:
        message = parse_message(text)
    except ValueError as error:
        raise invalid_fields({"message": [NOT_A_MESSAGE]}) from error
    attempt = SignInAttempt(request, message.address, WALLET)
    if problems := wallets.problems_of(message):
        _refuse(attempt, "message not for here and now", problems)
    if not wallets.is_signed(message, text, signature):
        _refuse(attempt, "wrong signature")
    user = wallets.user_of_wallet(message.address)
    if user is None or not (user.is_active and user.is_staff):
        _refuse(attempt, "wallet of nobody")
    attempt = SignInAttempt(request, user.get_username(), WALLET)
    guessing.require_try(request, attempt.name)
    if otp or not second_factor.has_second_factor(user):
        _use_up(attempt, message)
    return _open(attempt, user, with_factor=_require_second_factor(attempt, user, otp))


def _use_up(attempt: SignInAttempt, message: SignInMessage) -> None:
    try:
        run_in_transaction(lambda: nonces.use_nonce(message.nonce))
    except IntegrityError:
        _refuse(attempt, "nonce used before", ["Its nonce was used before."])


def _require_second_factor(attempt: SignInAttempt, user: User, otp: str) -> bool:
    """Whether a second factor was given; raises 401 where it is wrong, or missing and needed."""
    has_one = second_factor.has_second_factor(user)
    if not has_one and settings.STAFF_SECOND_FACTOR != "required":
        return False
    if not has_one or not otp:
        guessing.forgive_try(attempt.request, attempt.name)  # the first factor was right: no guess
        _record_failure(attempt, "no second factor")
        text = "The second factor is missing: send otp" if has_one else "This account needs a second factor first"
        details = {"hasSecondFactor": has_one}
        raise Unauthorized(ErrorCode.SECOND_FACTOR_REQUIRED, text, details=details)
    if not second_factor.verify(user, otp):
        _refuse(attempt, "wrong second factor")
    return True


def _open(attempt: SignInAttempt, user: User, *, with_factor: bool) -> TokenPair:
    pair = api_sessions.open_api_session(user=user, means=attempt.means, with_factor=with_factor, device=attempt.device)
    guessing.forgive_try(attempt.request, attempt.name)
    return pair


def _refuse(attempt: SignInAttempt, reason: str, problems: list[str] | None = None) -> NoReturn:
    """Audit the failure and raise 401. `problems` are of the message: what its sender may know."""
    _record_failure(attempt, reason)
    details = {"message": problems} if problems else None
    raise Unauthorized(ErrorCode.INVALID_CREDENTIALS, "Name, password or second factor is wrong", details=details)


def _record_failure(attempt: SignInAttempt, reason: str) -> None:
    how = {"door": DOOR, "means": attempt.means, "reason": reason, "address": attempt.device.address}
    run_in_transaction(lambda: recording.record_failed_try(attempt.name, **how))
