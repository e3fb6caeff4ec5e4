"""Pages of a list, newest first: by offset while it is shallow, by cursor at any depth for the same cost.

A cursor names the last row seen by `(created_at, id)`; the next page starts behind it and is found by an index, however
deep it lies. Rows that appear meanwhile shift nothing. The cursor carries the list's total as it was counted for the
first page, and a digest of partner, list and filters. It is opaque to callers, signed so that nobody makes one (HMAC
with a key derived from DJANGO_SECRET_KEY, or one of its fallbacks), and refused on any other list.
"""

import base64
import binascii
import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.db.models import Q, QuerySet

from partner_platform.core import clock
from partner_platform.core.errors import BadRequest, invalid_fields
from partner_platform.core.text import json_text

NEWEST_FIRST = ("-created_at", "-id")
MAX_CURSOR = 512
_SALT = "loans.pagination.cursor"  # a cursor outlives a deployment: never renamed


@dataclass(frozen=True)
class Page:
    """Rows of one page, the number of rows in all, and the cursor of the next page where there is one."""

    total: int
    rows: list[Any]
    next: str | None

    @property
    def has_more(self) -> bool:
        """Whether rows follow this page."""
        return self.next is not None


@dataclass(frozen=True)
class Place:
    """The row after which a page starts."""

    created_at: dt.datetime
    id: uuid.UUID
    total: int = 0


def paginate(
    *,
    streams: Sequence[QuerySet[Any]],
    scope: str,
    limit: int,
    offset: int,
    cursor: str | None,
    is_counted: bool = True,
) -> Page:
    """One page of several queries merged by time, each ordered by `NEWEST_FIRST`; `scope` names list and filters.

    `is_counted=False`: `total` is 0, for lists too long to be counted. With a cursor the offset counts from there.
    Raises 400 `invalid_request` for a cursor that is not this list's.
    """
    place = _decode(cursor, scope) if cursor else None
    total = place.total if place else sum(stream.count() for stream in streams) if is_counted else 0
    if place:
        streams = [behind(stream, place) for stream in streams]
    rows = _merged(streams, offset, limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    following = _encode(Place(rows[-1].created_at, rows[-1].pk, total), scope) if more else None
    return Page(total=total, rows=rows, next=following)


def behind(query: QuerySet[Any], place: Place) -> QuerySet[Any]:
    """The rows after `place`; the first condition is served by the index, the second drops rows of the same moment."""
    return query.filter(created_at__lte=place.created_at).filter(
        Q(created_at__lt=place.created_at) | Q(id__lt=place.id)
    )


def merge(streams: Sequence[QuerySet[Any]], size: int) -> list[Any]:
    """The newest `size` rows of all streams together."""
    return _merged(streams, 0, size)


def _merged(streams: Sequence[QuerySet[Any]], offset: int, size: int) -> list[Any]:
    if len(streams) == 1:
        return list(streams[0][offset : offset + size])
    if offset:
        keys = [key for stream in streams for key in stream.values_list("created_at", "id")[:offset]]
        if len(keys := sorted(keys, reverse=True)) < offset:
            return []
        streams = [behind(stream, Place(*keys[offset - 1])) for stream in streams]
    rows = [row for stream in streams for row in stream[:size]]
    return sorted(rows, key=lambda row: (row.created_at, row.pk), reverse=True)[:size]


def _encode(place: Place, scope: str) -> str:
    content = [clock.isoformat(place.created_at), place.id.hex, place.total, _digest(scope)]
    text = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")
    return _signer().sign(text)


def _decode(cursor: str, scope: str) -> Place:
    try:
        if len(cursor) > MAX_CURSOR:
            raise ValueError("too long")  # noqa: TRY301 - as any other that is no cursor
        text = _signer().unsign(cursor)
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        moment, key, total, digest = json_text.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        created_at = dt.datetime.fromisoformat(moment).astimezone(dt.UTC)
        place = Place(created_at, uuid.UUID(hex=key), int(total))
    except (signing.BadSignature, ValueError, TypeError, AttributeError, OverflowError, binascii.Error) as error:
        raise _refused("Not a cursor of this list: begin again without one.") from error
    if digest != _digest(scope):
        raise _refused("This cursor belongs to another list or other filters.")
    return place


def _signer() -> signing.Signer:
    return signing.Signer(sep=".", salt=_SALT)


def _digest(scope: str) -> str:
    return hashlib.sha256(scope.encode()).hexdigest()[:12]


def _refused(why: str) -> BadRequest:
    return invalid_fields({"cursor": [why]})
