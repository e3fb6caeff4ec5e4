"""The keys of the mac: `AUDIT_KEYS`, the first one signs and all of them verify; without any, a key derived from
Django's secret key.
"""

from functools import lru_cache

from django.conf import settings

from audit.trail.canonical import derive_key


def signing_key() -> bytes:
    """The key that new entries are signed with."""
    return verifying_keys()[0]


def verifying_keys() -> tuple[bytes, ...]:
    """All keys that an entry may have been signed with."""
    secrets = settings.AUDIT_KEYS or [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return _derived(tuple(secrets))


@lru_cache(maxsize=4)
def _derived(secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(derive_key(secret) for secret in secrets)
