"""What is hashed, byte for byte the same on every database. Pure.

An entry's *digest* is SHA-256 over the canonical JSON of its columns. Its *mac* is HMAC-SHA256 over the digest with a
key that the database does not hold. A block's *hash* is SHA-256 over the canonical JSON of its number, its members
(each entry's id and digest, in order) and the hash of the block before it. Source: docs/audit.md.
"""

import datetime as dt
import hashlib
import hmac
import json
import uuid
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as _quote
from typing import Any

FIRST_PREVIOUS = "0" * 64  # the previous hash of the first block
_KEY_PURPOSE = b"partner-platform audit mac 1\n"
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


def canonical_json(value: object) -> str:
    """ASCII, names sorted, no spaces; `ValueError` for values that JSON does not have (NaN), `TypeError` for other
    objects.
    """
    return _encode(value)


def plain_text(value: object) -> Any:
    """A stored column as it is hashed, whatever the database's driver makes of it: UUIDs as hex, times as UTC text.

    Texts stay as they are, so that on SQLite, where ids and times are texts, each byte of them counts.
    """
    if type(value) is str:
        return value
    if isinstance(value, dt.datetime):
        # As SQLite stores it: `2026-01-05 10:30:00.123000`, without a fraction where there is none.
        return str(value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value)
    if isinstance(value, uuid.UUID):
        return value.hex
    return value


def entry_digest(columns: Sequence[object]) -> str:
    """The digest of an entry whose `models.HASHED_COLUMNS` are these, as stored."""
    # The same as `canonical_json` of the list, in two thirds of its time: there are millions of entries.
    parts = ["null" if value is None else _quote(plain_text(value)) for value in columns]
    return hashlib.sha256(f"[{','.join(parts)}]".encode()).hexdigest()


def derive_key(secret: str) -> bytes:
    """The key of the mac, derived from a secret that has other uses too."""
    return hashlib.sha256(_KEY_PURPOSE + secret.encode()).digest()


def entry_mac(digest: str, key: bytes) -> str:
    """The mac of an entry with this digest, hex."""
    return hmac.digest(key, digest.encode(), "sha256").hex()


def block_hash(columns: Sequence[object]) -> str:
    """The hash of a block whose `models.CHAINED_COLUMNS` are these, as stored."""
    return hashlib.sha256(_encode([plain_text(value) for value in columns]).encode()).hexdigest()
