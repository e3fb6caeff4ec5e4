"""The cursor of the feed: a number of it, encrypted and authenticated, and of no use to another partner.

Encrypted, because numbers count the events of all partners, and no partner is to read how many there are. Filters are
no part of it: a place in the feed is the same whatever is chosen from there on.
"""

import json
from uuid import UUID

from partner_platform.core.errors import BadRequest, invalid_fields
from partner_platform.core.secrets import crypto

MAX_CURSOR = 256
_PURPOSE = "webhooks.feed.cursor"  # a cursor outlives a deployment: never renamed


def cursor_after(number: int, partner_key: UUID) -> str:
    """The cursor that goes on after the event with this number."""
    return crypto.encrypt(json.dumps([_PURPOSE, partner_key.hex, number]))


def number_in(cursor: str, partner_key: UUID) -> int:
    """The number in a cursor; raises 400 naming `after` where it is none of this partner's feed."""
    try:
        purpose, owner, number = json.loads(crypto.decrypt(cursor))
    except (crypto.CannotDecrypt, ValueError, TypeError) as error:
        raise _refused() from error
    if (purpose, owner) != (_PURPOSE, partner_key.hex):
        raise _refused()
    return int(number)


def _refused() -> BadRequest:
    return invalid_fields({"after": ["Not a cursor of this feed: begin again without one."]})
