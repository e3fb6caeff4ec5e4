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
from typing import Any, TypeVar

from django.core import signing
from django.db.models import Model, Q, QuerySet

from partner_platform.core import clock
from partner_platform.core.errors import BadRequest, invalid_fields
from partner_platform.core.text import json_text

M = TypeVar("M", bound=Model)
NEWEST_FIRST = ("-created_at", "-id")
MAX_CURSOR = 512
MOST_COUNTED = 10_000  # of a list that grows for ever: its total is this where it has as many, or more
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
    by: str = "created_at",
    most_counted: int | None = None,
) -> Page:
    """One page of several queries merged by time, each ordered by `NEWEST_FIRST`; `scope` names list and filters.

    `by` is the column that has a row's time, where it is called otherwise (the queries are ordered by that one then).
    `most_counted`: no more rows of each query are counted than this, for lists that grow for ever; 0: `total` is 0.
    With a cursor the offset counts from there.
    Raises 400 `invalid_request` for a cursor that is not this list's.
    """
    place = _decode(cursor, scope) if cursor else None
    total = place.total if place else _count(streams, most_counted)
    if place:
        streams = [behind(stream, place, by) for stream in streams]
    rows = _merged(streams, offset, limit + 1, by)
    more = len(rows) > limit
    rows = rows[:limit]
    following = _encode(Place(getattr(rows[-1], by), rows[-1].pk, total), scope) if more else None
    return Page(total=total, rows=rows, next=following)


def _count(streams: Sequence[QuerySet[Model]], most: int | None) -> int:
    if most is None:
        return sum(stream.count() for stream in streams)
    if not most:
        return 0
    return min(sum(stream.order_by()[:most].count() for stream in streams), most)


def behind(query: QuerySet[M], place: Place, by: str = "created_at") -> QuerySet[M]:
    """The rows after `place`; the first condition is served by the index, the second drops rows of the same moment."""
    earlier = Q(**{f"{by}__lt": place.created_at})
    return query.filter(**{f"{by}__lte": place.created_at}).filter(earlier | Q(id__lt=place.id))


def within_days(query: QuerySet[M], start: dt.date | None, end: dt.date | None, by: str = "created_at") -> QuerySet[M]:
    """The rows of whole UTC days, `start` and `end` included; None is open."""
    if start is not None:
        query = query.filter(**{f"{by}__gte": dt.datetime.combine(start, dt.time.min, dt.UTC)})
    if end is not None:
        query = query.filter(**{f"{by}__lte": dt.datetime.combine(end, dt.time.max, dt.UTC)})
    return query


def merge(streams: Sequence[QuerySet[Any]], size: int) -> list[Any]:
    """The newest `size` rows of all streams together."""
    return _merged(streams, 0, size, "created_at")


def _merged(streams: Sequence[QuerySet[Any]], offset: int, size: int, by: str) -> list[Any]:
    if len(streams) == 1:
        return list(streams[0][offset : offset + size])
    if offset:
        keys = [key for stream in streams for key in stream.values_list(by, "id")[:offset]]
        if len(keys := sorted(keys, reverse=True)) < offset:
            return []
        streams = [behind(stream, Place(*keys[offset - 1]), by) for stream in streams]
    rows = [row for stream in streams for row in stream[:size]]
    return sorted(rows, key=lambda row: (getattr(row, by), row.pk), reverse=True)[:size]


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
