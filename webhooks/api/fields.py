"""Fields of the bodies: a URL of an endpoint, event types, a moment. Each is 400 by its name where it is wrong."""

import datetime as dt
import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from events.kinds import EventType
from partner_platform.core.web.serializers import StrictSerializer
from webhooks import rules
from webhooks.models import ALL_TYPES

_MOMENT = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3])(?::[0-5][0-9]){2}(?:\.[0-9]{1,6})?Z",
    re.ASCII,
)


def _code_of_url(url: object) -> str:
    """The code of what is wrong with it, as text fields have it."""
    if url == "":
        return "blank"
    return "max_length" if isinstance(url, str) and len(url) > rules.MAX_URL else "invalid"


class NoBody(StrictSerializer):
    """A body without fields; none at all is the same."""


@extend_schema_field(
    {
        "type": "string",
        "format": "webhook-url",
        "minLength": 1,
        "maxLength": rules.MAX_URL,
        "pattern": "^https://",
        "examples": ["https://xyz-lending.com/api/webhooks/mantle-rwa"],
    }
)
class EndpointUrlField(serializers.Field[str, Any, str, Any]):
    """An https URL on the public internet, at most 500 characters."""

    def to_internal_value(self, data: object) -> str:
        try:
            return rules.read_endpoint_url(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code=_code_of_url(data)) from error

    def to_representation(self, value: str) -> str:
        return value


@extend_schema_field(
    {"type": "array", "minItems": 1, "items": {"type": "string", "enum": [ALL_TYPES, *EventType.values]}}
)
class EventTypesField(serializers.Field[list[str], Any, list[str], Any]):
    """Event types, or `["*"]` for all, those of later versions too."""

    def to_internal_value(self, data: object) -> list[str]:
        try:
            return rules.read_event_types(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error

    def to_representation(self, value: list[str]) -> list[str]:
        return value


@extend_schema_field(
    {
        "type": "string",
        "format": "recent-time",
        "pattern": f"^{_MOMENT.pattern}$",
        "examples": ["2026-01-05T10:30:00Z"],
    }
)
class MomentField(serializers.Field[dt.datetime, Any, str, Any]):
    """A time in UTC, as `2026-01-05T10:30:00Z`."""

    def to_internal_value(self, data: object) -> dt.datetime:
        try:
            if not isinstance(data, str) or not _MOMENT.fullmatch(data):
                raise ValueError(data)  # noqa: TRY301 - as a day that does not exist
            return dt.datetime.fromisoformat(data)
        except ValueError as error:
            raise serializers.ValidationError("Must be a time such as 2026-01-05T10:30:00Z.") from error

    def to_representation(self, value: dt.datetime) -> str:
        return value.isoformat()
