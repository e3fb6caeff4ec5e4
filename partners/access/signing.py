"""Signed calls: `X-Signature`, an HMAC-SHA256 with the partner's signing secret, in one of two versions.

Version 2 covers the whole request: `v2=` and the hex HMAC of the time, the method, path and query, the
`Idempotency-Key` (or nothing) and the raw body, with line feeds between them. Version 1, the plan's, is the hex HMAC of
`{X-Timestamp}.{raw body}`: whoever has an unused one can send its body to another path. So it is accepted only where
the partner is allowed to use it (`Partner.signature_v1_allowed`).

The secret is not the API key, whose hash could verify nothing. A signature is valid once, within five minutes of its
timestamp. Source: plan, Request Signing; docs/security.md, Signatures.
"""

import hashlib
import hmac
import re
import secrets

from django.http import HttpRequest

from partner_platform.core import clock
from partner_platform.core.errors import ErrorCode, Unauthorized
from partner_platform.core.secrets import crypto
from partner_platform.core.web.request_target import request_target
from partners.access.rate_limit import Once
from partners.keys import ALPHABET
from partners.models import Partner

WINDOW_SECONDS = 300
SECRET_LENGTH = 48
_TIMESTAMP = re.compile(r"[0-9]{13}", re.ASCII)  # milliseconds
_SIGNATURE = re.compile(r"(v2=)?([0-9a-fA-F]{64})", re.ASCII)


def new_signing_secret(label: str, environment: str) -> str:
    """A signing secret: `sk_{label}_{environment}_{48 characters}`, some 248 bits."""
    return f"sk_{label}_{environment}_" + "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))


def verify_signature(request: HttpRequest, partner: Partner) -> Once:
    """Verify the signature; returns the mark that makes it count once. Raises 401 where it is missing, wrong or
    expired.
    """
    timestamp = request.headers.get("X-Timestamp", "")
    signature = request.headers.get("X-Signature", "")
    if not timestamp or not signature:
        raise Unauthorized(ErrorCode.MISSING_SIGNATURE, "This partner's requests need X-Timestamp and X-Signature")
    written = _SIGNATURE.fullmatch(signature)
    if not _TIMESTAMP.fullmatch(timestamp) or written is None:
        raise _invalid()
    prefix, given = written[1], written[2].lower()  # the same signature in upper or lower case
    if prefix is None and not partner.signature_v1_allowed:
        raise _version_1_not_allowed()
    signed = _v1(timestamp, request.body) if prefix is None else _v2_of(request, timestamp)
    if not any(hmac.compare_digest(_hmac(secret, signed), given) for secret in _secrets(partner)):
        raise _invalid()
    age = clock.now().timestamp() - int(timestamp) / 1000
    if abs(age) > WINDOW_SECONDS:
        raise Unauthorized(ErrorCode.REQUEST_EXPIRED, "Request expired")
    # Remembered until it has expired in any case, also where the partner's clock is ahead of ours.
    return Once(f"{partner.pk}:{given}", 2 * WINDOW_SECONDS + 1)


def replayed() -> Unauthorized:
    """401: this very signature came before."""
    return Unauthorized(ErrorCode.REPLAYED_SIGNATURE, "This signature was used before")


def _v2_of(request: HttpRequest, timestamp: str) -> bytes:
    return _v2(
        timestamp,
        request.method or "",
        request_target(request),
        request.headers.get("Idempotency-Key", ""),
        request.body,
    )


def _v1(timestamp: str, body: bytes) -> bytes:
    return timestamp.encode() + b"." + body


def _v2(timestamp: str, method: str, target: bytes, idempotency_key: str, body: bytes) -> bytes:
    # None of the first four holds a line feed, so no two requests are signed alike.
    key = idempotency_key.encode("latin-1", "backslashreplace")  # as WSGI has headers
    return b"\n".join((timestamp.encode(), method.upper().encode(), target, key, body))


def _hmac(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _secrets(partner: Partner) -> list[str]:
    found = [crypto.decrypt(partner.signing_secret)] if partner.signing_secret else []
    until = partner.previous_signing_secret_until
    if partner.previous_signing_secret and until is not None and until > clock.now():
        found.append(crypto.decrypt(partner.previous_signing_secret))
    return found


def _invalid() -> Unauthorized:
    return Unauthorized(ErrorCode.INVALID_SIGNATURE, "Invalid signature")


def _version_1_not_allowed() -> Unauthorized:
    return Unauthorized(
        ErrorCode.INVALID_SIGNATURE,
        "Signatures of version 1 are not taken from this partner; sign version 2",
        details={"X-Signature": ["Must be v2= and 64 hex digits."]},
    )
