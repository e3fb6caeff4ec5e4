"""What an endpoint may be, decided without the database. Readers raise `ValueError` with what is wrong."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from events.kinds import EventType
from partner_platform.core.outside import check_url
from webhooks.models import ALL_TYPES

MAX_ENDPOINTS = 10  # of a partner: each event is delivered to each of them
MAX_URL = 500
MAX_DESCRIPTION = 200
DEFAULT_PORTS = {"https": 443, "http": 80}
WRONG_TYPES = f'Must be event types, or ["{ALL_TYPES}"] for all.'


def read_endpoint_url(value: object) -> str:
    """A URL that events may be sent to."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_URL:
        raise ValueError(f"Must be a URL of at most {MAX_URL} characters.")
    check_url(value)
    return value


def is_same_url(one: str, other: str) -> bool:
    """Whether two endpoints' URLs are requested alike: host in any case, its default port, an empty path or query."""
    return _compared(one) == _compared(other)


def _compared(url: str) -> tuple[str, str, int | None, str, str]:
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:  # no URL of today's rules: it is the same as itself
        return ("", "", None, url, "")
    return parts.scheme, parts.hostname or "", port, parts.path or "/", parts.query


def read_event_types(value: object) -> list[str]:
    """Event types, each once, in the order of `EventType`; `["*"]` for all of them."""
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ValueError(WRONG_TYPES)
    if unknown := sorted(set(value) - {ALL_TYPES, *EventType.values}):
        valid = ", ".join([ALL_TYPES, *EventType.values])
        raise ValueError(f"Unknown event types: {', '.join(unknown)[:200]}. Must be of: {valid}.")
    return [ALL_TYPES] if ALL_TYPES in value else [name for name in EventType.values if name in value]


def wants(event_types: Sequence[str], event_type: str) -> bool:
    """Whether an endpoint with these `event_types` gets events of this type."""
    return ALL_TYPES in event_types or event_type in event_types
