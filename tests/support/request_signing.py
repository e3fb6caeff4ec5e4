"""Signatures as a partner computes them, by docs/signatures.md: written apart from the code that verifies them."""

import hashlib
import hmac


def sign_v1(*, secret: str, timestamp: str, body: bytes) -> str:
    """A signature of version 1; `timestamp` in milliseconds, as the header has it."""
    return _hmac(secret, timestamp.encode() + b"." + body)


def sign_v2(
    *, secret: str, timestamp: str, method: str, target: bytes, idempotency_key: str = "", body: bytes = b""
) -> str:
    """A signature of version 2; `target` is path and query as they are sent."""
    key = idempotency_key.encode("latin-1", "backslashreplace")  # as a header is sent
    return "v2=" + _hmac(secret, b"\n".join((timestamp.encode(), method.upper().encode(), target, key, body)))


def _hmac(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
