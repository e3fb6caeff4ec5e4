"""Signed calls: `X-Signature` = hex HMAC-SHA256 of `"{X-Timestamp}.{raw body}"` with the partner's signing secret.

The secret is not the API key, whose hash could verify nothing. A signature holds five minutes around its time and once.
Source: plan, Request Signing; docs/api.md, Authentication.
"""

import hashlib
import hmac
import re
import secrets

from django.http import HttpRequest

from partner_platform.core import clock, crypto
from partner_platform.core.errors import ErrorCode, Unauthorized
from partners.keys import ALPHABET
from partners.models import Partner
from partners.rate_limit import Once

WINDOW_SECONDS = 300
SECRET_LENGTH = 48
_TIMESTAMP = re.compile(r"[0-9]{13}", re.ASCII)  # milliseconds
_SIGNATURE = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


def new_secret(label: str, environment: str) -> str:
    """A signing secret: `sk_{label}_{environment}_{48 characters}`, some 248 bits."""
    return f"sk_{label}_{environment}_" + "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))


def sign(*, secret: str, timestamp: str, body: bytes) -> str:
    """What a partner computes; `timestamp` in milliseconds, as the header has it."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify(request: HttpRequest, partner: Partner) -> Once:
    """The signature as a mark that may be set once; raises 401 where it is missing, wrong or out of time."""
    timestamp = request.headers.get("X-Timestamp", "")
    signature = request.headers.get("X-Signature", "")
    if not timestamp or not signature:
        raise Unauthorized(ErrorCode.MISSING_SIGNATURE, "This partner's requests need X-Timestamp and X-Signature")
    if not _TIMESTAMP.fullmatch(timestamp) or not _SIGNATURE.fullmatch(signature):
        raise _invalid()
    given = signature.lower()  # one signature, however it is written
    body = request.body
    if not any(
        hmac.compare_digest(sign(secret=secret, timestamp=timestamp, body=body), given) for secret in _secrets(partner)
    ):
        raise _invalid()
    age = clock.now().timestamp() - int(timestamp) / 1000
    if abs(age) > WINDOW_SECONDS:
        raise Unauthorized(ErrorCode.REQUEST_EXPIRED, "Request expired")
    # Remembered until its time has passed in any case, a clock ahead of ours included.
    return Once(f"{partner.pk}:{given}", 2 * WINDOW_SECONDS + 1)


def replayed() -> Unauthorized:
    """401: this very signature came before."""
    return Unauthorized(ErrorCode.REPLAYED_SIGNATURE, "This signature was used before")


def _secrets(partner: Partner) -> list[str]:
    found = [crypto.decrypt(partner.signing_secret)] if partner.signing_secret else []
    until = partner.previous_signing_secret_until
    if partner.previous_signing_secret and until is not None and until > clock.now():
        found.append(crypto.decrypt(partner.previous_signing_secret))
    return found


def _invalid() -> Unauthorized:
    return Unauthorized(ErrorCode.INVALID_SIGNATURE, "Invalid signature")
