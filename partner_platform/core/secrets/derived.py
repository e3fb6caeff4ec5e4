"""Keys that are derived from Django's secret key, one for each purpose, so that none can be used for another's."""

import hashlib
import hmac


def signing_key_of_tokens(secret: str) -> str:
    """The key that access tokens of staff are signed with: 64 hex digits."""
    return _derived(secret, b"partner-platform access tokens of staff 1")


def signing_key_of_nonces(secret: str) -> str:
    """The key of the nonces that Sign-In with Ethereum is begun with: 64 hex digits."""
    return _derived(secret, b"partner-platform nonces of sign-in with ethereum 1")


def _derived(secret: str, purpose: bytes) -> str:
    return hmac.digest(secret.encode(), purpose, hashlib.sha256).hex()
