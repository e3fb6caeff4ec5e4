"""Nonces of Sign-In with Ethereum: signed by us when they are given out, stored when they are used.

So a caller without a name can have as many as it likes without a row of ours. A nonce is eight hex digits of its time
(seconds since the epoch), 16 random ones and 32 of a mac over both: letters and digits, as EIP-4361 wants it.
"""

import datetime as dt
import hashlib
import hmac
import re
import secrets

from django.conf import settings

from partner_platform.core import clock
from partner_platform.core.secrets.derived import signing_key_of_nonces
from staff.models import UsedNonce

VALID_SECONDS = 600
SKEW_SECONDS = 5  # that the clocks of two web servers may differ
_NONCE = re.compile(r"([0-9a-f]{8})[0-9a-f]{16}([0-9a-f]{32})", re.ASCII)
_BODY_LENGTH = 24
SWEEP_BATCH = 500


def new_sign_in_nonce() -> str:
    """A nonce for one message, valid for ten minutes."""
    body = f"{int(clock.now().timestamp()):08x}{secrets.token_hex(8)}"
    return body + _mac(body)


def is_valid_nonce(nonce: str) -> bool:
    """Whether we gave it out in the last ten minutes; whether it was used says `use_nonce`."""
    written = _NONCE.fullmatch(nonce)
    if written is None or not hmac.compare_digest(_mac(nonce[:_BODY_LENGTH]), written[2]):
        return False
    return -SKEW_SECONDS <= clock.now().timestamp() - int(written[1], 16) <= VALID_SECONDS


def use_nonce(nonce: str) -> None:
    """Note its use; `IntegrityError`, which must leave the transaction, where it was used before."""
    UsedNonce(nonce=nonce, used_at=clock.now()).save(force_insert=True)


def delete_old_nonces() -> int:
    """Delete the used ones that are not valid any more; returns how many."""
    old = UsedNonce.objects.filter(used_at__lte=clock.now() - dt.timedelta(seconds=2 * VALID_SECONDS)).order_by(
        "used_at"
    )
    ids = list(old.values_list("pk", flat=True)[:SWEEP_BATCH])
    UsedNonce.objects.filter(pk__in=ids).delete()
    return len(ids)


def _mac(body: str) -> str:
    key = signing_key_of_nonces(settings.SECRET_KEY)
    return hmac.digest(key.encode(), body.encode(), hashlib.sha256).hex()[:32]
