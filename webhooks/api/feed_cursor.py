"""The cursor of the feed: a number of it, opaque to callers, signed, and of no use to another partner.

Filters are no part of it: a place in the feed is the same whatever is chosen from there on.
"""

import base64
import hashlib
import json
from uuid import UUID

from django.core import signing

from partner_platform.core.errors import BadRequest, invalid_fields
from partner_platform.core.text import json_text

MAX_CURSOR = 256
_SALT = "webhooks.feed.cursor"  # a cursor outlives a deployment: never renamed


def cursor_after(number: int, partner_key: UUID) -> str:
    """The cursor that goes on after the event with this number."""
    content = json.dumps([number, _digest(partner_key)], separators=(",", ":"))
    return _signer().sign(base64.urlsafe_b64encode(content.encode()).decode().rstrip("="))


def number_in(cursor: str, partner_key: UUID) -> int:
    """The number in a cursor; raises 400 naming `after` where it is none of this partner's feed."""
    try:
        if len(cursor) > MAX_CURSOR:
            raise ValueError("too long")  # noqa: TRY301 - as any other that is no cursor
        text = _signer().unsign(cursor)
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        number, digest = json_text.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise _refused("Not a cursor of this feed: begin again without one.") from error
    if digest != _digest(partner_key):
        raise _refused("Not a cursor of this feed: begin again without one.")
    return int(number)


def _signer() -> signing.Signer:
    return signing.Signer(sep=".", salt=_SALT)


def _digest(partner_key: UUID) -> str:
    return hashlib.sha256(partner_key.bytes).hexdigest()[:12]


def _refused(why: str) -> BadRequest:
    return invalid_fields({"after": [why]})
