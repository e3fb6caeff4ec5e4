"""API keys: `pk_{label}_{environment}_{32 characters}`. Pure: no database, no settings.

Only the SHA-256 of a key is ever stored. A key carries 32 random characters of 36, some 165 bits, so its plain hash
cannot be searched and needs no salt. Source: plan, API key format.
"""

import hashlib
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass

ENVIRONMENTS = ("live", "sandbox")
LABEL_PATTERN = r"[a-z0-9]{2,12}"
SECRET_LENGTH = 32
PREFIX_LENGTH = 16
MAX_KEY_LENGTH = 64  # the longest possible key has 3 + 12 + 1 + 7 + 1 + 32 = 56 characters

SAVE_KEY = "Save this API key securely. It will not be shown again!"

ALPHABET = string.ascii_lowercase + string.digits
_LABEL = re.compile(LABEL_PATTERN)
_KEY = re.compile(rf"pk_({LABEL_PATTERN})_({'|'.join(ENVIRONMENTS)})_([a-z0-9]{{{SECRET_LENGTH}}})", re.ASCII)


@dataclass(frozen=True, repr=False)
class NewKey:
    """A key just made. `key` is shown once and kept nowhere; `key_hash` and `prefix` are stored."""

    key: str
    key_hash: str
    prefix: str

    def __repr__(self) -> str:
        return f"NewKey({self.prefix}…)"  # the key itself must not reach a log by accident


@dataclass(frozen=True)
class KeyParts:
    """What a well-formed key says about itself."""

    label: str
    environment: str


def is_label(label: object) -> bool:
    """True for 2 to 12 lower-case letters and digits."""
    return isinstance(label, str) and _LABEL.fullmatch(label) is not None


def generate(label: str, environment: str) -> NewKey:
    """A new random key of a partner's label; `ValueError` where label or environment cannot be in a key."""
    if not is_label(label):
        raise ValueError(f"{label!r} is not a key label: 2 to 12 lower-case letters and digits")
    if environment not in ENVIRONMENTS:
        raise ValueError(f"{environment!r} is not one of {', '.join(ENVIRONMENTS)}")
    secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    key = f"pk_{label}_{environment}_{secret}"
    return NewKey(key=key, key_hash=hash_key(key), prefix=key[:PREFIX_LENGTH])


def hash_key(key: str) -> str:
    """The SHA-256 of a key, 64 hex digits: what the database holds."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse(key: str) -> KeyParts | None:
    """The parts of a well-formed key; None for any other text."""
    if len(key) > MAX_KEY_LENGTH:
        return None
    match = _KEY.fullmatch(key)
    return KeyParts(label=match[1], environment=match[2]) if match else None


def presented(meta: Mapping[str, object]) -> str:
    """The key of `Authorization: Bearer …` in a request's `META`; empty without one."""
    scheme, _, key = str(meta.get("HTTP_AUTHORIZATION", "")).strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
