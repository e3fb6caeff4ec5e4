"""Secrets at rest: encrypted with the first of `FIELD_ENCRYPTION_KEYS`, readable with any of them (MultiFernet).

A secret is a value that we must be able to read again: a signing or webhook secret. A value that we only compare (an
API key) is hashed instead. The ciphertext stays ciphertext in memory until the one line that needs the secret calls
`decrypt`.

To change the key: put a new one first, restart, run `manage.py rotate_encryption_key`, then drop the old one
(docs/security.md).
"""

from collections.abc import Sequence
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

TOKEN_PREFIX = "gAAAA"  # noqa: S105 - how every Fernet token begins: version 0x80 and the years until 2106


class CannotDecrypt(Exception):
    """None of the keys decrypts a stored secret: a key was removed before the secrets were re-encrypted."""


def require_keys(keys: Sequence[str]) -> list[str]:
    """The keys, each of them usable; `ImproperlyConfigured` says which is not, never showing one."""
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS must hold at least one key; make one with: " + HOW_TO_MAKE)
    for number, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError:
            message = f"FIELD_ENCRYPTION_KEYS: key {number} is not 32 bytes in URL-safe base64; make one with: "
            raise ImproperlyConfigured(message + HOW_TO_MAKE) from None
    return list(keys)


HOW_TO_MAKE = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


def encrypt(secret: str) -> str:
    """The encrypted secret, as stored in the database."""
    return _cipher().encrypt(secret.encode()).decode()


def decrypt(token: str) -> str:
    """The secret that `encrypt` was given; `CannotDecrypt` where no key decrypts it."""
    try:
        return _cipher().decrypt(token.encode()).decode()
    except InvalidToken:
        raise CannotDecrypt("no key of FIELD_ENCRYPTION_KEYS opens this secret") from None


def reencrypt(token: str) -> str:
    """The same secret under the first key."""
    try:
        return _cipher().rotate(token.encode()).decode()
    except InvalidToken:
        raise CannotDecrypt("no key of FIELD_ENCRYPTION_KEYS opens this secret") from None


def is_ciphertext(value: str) -> bool:
    """Whether the text has the form of `encrypt`'s results."""
    return value.startswith(TOKEN_PREFIX)


def _cipher() -> MultiFernet:
    return _cipher_of(tuple(settings.FIELD_ENCRYPTION_KEYS))


@cache
def _cipher_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
