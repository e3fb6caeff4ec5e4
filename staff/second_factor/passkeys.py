"""Passkeys (WebAuthn, by the library `webauthn`): the browser signs a challenge of ours for our origin.

The library checks origin, RP id, user verification, signature and sign count. Ours is that a challenge is used once,
within five minutes, by the user it was made for, and that a sign count is taken once.
"""

import datetime as dt
import json

import webauthn
from django.conf import settings
from django.contrib.auth.models import User
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from partner_platform.core import clock
from staff.models import Passkey, PasskeyChallenge

USE_WITHIN = dt.timedelta(minutes=5)
VERIFIED = UserVerificationRequirement.REQUIRED


def is_offered() -> bool:
    """Whether this platform takes passkeys: a domain is set."""
    return bool(settings.STAFF_PASSKEY_RP_ID)


def registration_options(user: User) -> str:
    """What `navigator.credentials.create` is given, as JSON; its challenge is stored."""
    options = webauthn.generate_registration_options(
        rp_id=settings.STAFF_PASSKEY_RP_ID,
        rp_name="Partner Platform",
        user_name=user.get_username(),
        user_id=str(user.pk).encode(),
        exclude_credentials=_known_to(user),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=VERIFIED
        ),
    )
    _keep_challenge(user, options.challenge, is_registration=True)
    return options_to_json(options)


def authentication_options(user: User) -> str:
    """What `navigator.credentials.get` is given, as JSON; its challenge is stored. Empty where the user has none."""
    known = _known_to(user)
    if not known or not is_offered():
        return ""
    options = webauthn.generate_authentication_options(
        rp_id=settings.STAFF_PASSKEY_RP_ID, allow_credentials=known, user_verification=VERIFIED
    )
    _keep_challenge(user, options.challenge, is_registration=False)
    return options_to_json(options)


def read_registration(user: User, credential: str, *, label: str) -> Passkey | None:
    """The passkey, not stored yet, that the browser made; None where it did not sign our challenge as it must."""
    challenge = _take_challenge(user, credential, is_registration=True)
    if challenge is None:
        return None
    try:
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=settings.STAFF_PASSKEY_RP_ID,
            expected_origin=list(settings.STAFF_PASSKEY_ORIGINS),
            require_user_verification=True,
        )
    except WebAuthnException:
        return None
    return Passkey(
        user=user,
        credential_id=bytes_to_base64url(made.credential_id),
        public_key=bytes_to_base64url(made.credential_public_key),
        sign_count=made.sign_count,
        label=label.strip()[:60] or "passkey",
    )


def use_passkey(user: User, credential: str) -> bool:
    """Whether one of the user's passkeys signed a challenge of ours, which is used up by this."""
    challenge = _take_challenge(user, credential, is_registration=False)
    passkey = Passkey.objects.filter(user=user, credential_id=_text_of(credential, "id")).first()
    if challenge is None or passkey is None:
        return False
    try:
        proved = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=settings.STAFF_PASSKEY_RP_ID,
            expected_origin=list(settings.STAFF_PASSKEY_ORIGINS),
            credential_public_key=base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except WebAuthnException:
        return False
    unchanged = Passkey.objects.filter(pk=passkey.pk, sign_count=passkey.sign_count)
    return unchanged.update(sign_count=proved.new_sign_count, last_used_at=clock.now()) == 1


def _known_to(user: User) -> list[PublicKeyCredentialDescriptor]:
    ids = Passkey.objects.filter(user=user).order_by("created_at").values_list("credential_id", flat=True)
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(credential_id)) for credential_id in ids]


def _keep_challenge(user: User, challenge: bytes, *, is_registration: bool) -> None:
    PasskeyChallenge.objects.filter(user=user, created_at__lte=clock.now() - USE_WITHIN).delete()
    PasskeyChallenge.objects.create(user=user, challenge=bytes_to_base64url(challenge), is_registration=is_registration)


def _take_challenge(user: User, credential: str, *, is_registration: bool) -> bytes | None:
    """The challenge that the credential says it signed, deleted: of two callers at the same moment one finds it."""
    challenge = _signed_challenge(credential)
    given = PasskeyChallenge.objects.filter(
        user=user,
        challenge=challenge,
        is_registration=is_registration,
        created_at__gt=clock.now() - USE_WITHIN,
    )
    deleted, _ = given.delete()
    return base64url_to_bytes(challenge) if deleted == 1 else None


def _signed_challenge(credential: str) -> str:
    try:
        response = json.loads(credential)["response"]
        client_data = base64url_to_bytes(response["clientDataJSON"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return _text_of(client_data.decode("utf-8", "replace"), "challenge")


def _text_of(text: str, name: str) -> str:
    """A text of a JSON object; empty where it is none, or one that no row can hold."""
    try:
        value = json.loads(text)[name]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return value if isinstance(value, str) and "\x00" not in value else ""
