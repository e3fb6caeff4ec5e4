"""The secrets that deliveries are signed with: `whsec_` and the base64 of 32 random bytes (Standard Webhooks)."""

import base64
import datetime as dt
import secrets

from partner_platform.core import clock
from partner_platform.core.secrets import crypto
from webhooks.models import Endpoint

PREFIX = "whsec_"
SECRET_BYTES = 32
GRACE = dt.timedelta(hours=24)  # how long the former secret signs after a rotation


def new_secret() -> str:
    """A new secret of an endpoint."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def live_secrets(endpoint: Endpoint) -> list[str]:
    """The secrets that sign now, newest first: after a rotation the former one too, for 24 hours.

    Empty for a deleted endpoint, whose secrets were erased.
    """
    found = [endpoint.secret] if endpoint.secret else []
    until = endpoint.previous_secret_until
    if endpoint.previous_secret and until is not None and until > clock.now():
        found.append(endpoint.previous_secret)
    return [crypto.decrypt(token) for token in found]
