"""Makes request data safe to store: no secrets, a few KiB at most, nothing that a database refuses. Pure.

All functions accept hostile input and never raise.
"""

import math
import re
from typing import Any

from audit.calls.shortening import shortened
from partner_platform.core.secrets.masking import MASK, mask_keys

MAX_DEPTH = 8
MAX_ITEMS = 50
MAX_TEXT = 500
MAX_NAME = 100
MAX_TOTAL = 8 * 1024

_SECRET_NAME = re.compile(
    r"key|secret|token|passw|passphrase|auth|signature|credential|mnemonic|seed|cookie|jwt", re.IGNORECASE
)
# Names that hold one of those words and no secret.
_HARMLESS_NAMES = frozenset({"oaidtokenid", "tokenid", "tokentype", "collateraltoken", "publickey", "apikeyprefix"})
# Names of secrets that would be found in too many other names: what staff sign in with.
_SECRET_NAMES = frozenset({"otp", "access", "refresh"})
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")  # PostgreSQL refuses NUL, and UTF-8 lone surrogates
_MAX_INTEGER = 2**63 - 1


def sanitize(payload: object) -> Any:
    """A JSON value with secrets masked, size and depth bounded, storable in all three databases."""
    return shortened(_value(payload, MAX_DEPTH), MAX_TOTAL)


def clean_text(text: object, limit: int = MAX_TEXT) -> str:
    """Text without API keys and what a database cannot hold, at most `limit` characters."""
    # Cut first, far enough out that a key is not cut in two and missed: the work stays bounded.
    bounded = _UNSTORABLE.sub("\ufffd", str(text)[: limit + 200])
    return mask_keys(bounded)[:limit]


def is_secret_name(name: str) -> bool:
    """True where a field of this name must not be stored."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    return letters in _SECRET_NAMES or (letters not in _HARMLESS_NAMES and _SECRET_NAME.search(letters) is not None)


def _value(value: object, depth: int) -> object:
    if isinstance(value, dict | list):
        return _container(value, depth - 1) if depth > 1 else "(nested too deep)"
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MAX_INTEGER else _large_integer(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return clean_text(value)


def _container(value: Any, depth: int) -> object:
    if isinstance(value, list):
        kept = [_value(item, depth) for item in value[:MAX_ITEMS]]
        return [*kept, f"(and {len(value) - MAX_ITEMS} more)"] if len(value) > MAX_ITEMS else kept
    names = list(value)
    kept_fields = {
        clean_text(name, MAX_NAME): MASK if is_secret_name(str(name)) else _value(value[name], depth)
        for name in names[:MAX_ITEMS]
    }
    if len(names) > MAX_ITEMS:
        kept_fields["_more"] = f"and {len(names) - MAX_ITEMS} more"
    return kept_fields


def _large_integer(value: int) -> str:
    # Above 4300 digits Python refuses to write an int in decimal.
    return str(value) if value.bit_length() <= 256 else f"({value.bit_length()} bits)"
