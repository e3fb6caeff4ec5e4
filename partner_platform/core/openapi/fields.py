"""Fields of answers, for the schema only: the presenters write the values."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from partner_platform.core.ethereum import ADDRESS_PATTERN

_HASH = r"0x[0-9a-f]{64}"


def _string(pattern: str, **more: object) -> dict[str, object]:
    return {"type": "string", "pattern": f"^{pattern}$", **more}


@extend_schema_field(_string("(?:0|[1-9][0-9]*)"))
class BaseUnits(serializers.CharField):
    """An amount of USDC, or any uint256, as a decimal string."""


@extend_schema_field({"type": "integer", "minimum": 0})
class Count(serializers.IntegerField):
    """A whole number; token ids may pass 2^53."""


@extend_schema_field(_string("(?:0|[1-9][0-9]*)"))
class IdText(serializers.CharField):
    """The same id in digits, for a JSON parser that rounds above 2^53, as JavaScript's does."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(help_text="The same in digits: JavaScript rounds a number above 2^53.", **kwargs)


@extend_schema_field(_string(ADDRESS_PATTERN, format="eip55-address"))
class Address(serializers.CharField):
    """A checksummed address."""


@extend_schema_field(_string(_HASH))
class Hash(serializers.CharField):
    """A transaction's hash in lower case."""


@extend_schema_field({"type": "string", "format": "date-time", "pattern": "Z$"})
class Timestamp(serializers.CharField):
    """A time in UTC."""


@extend_schema_field({"type": "boolean", "const": True})
class Success(serializers.BooleanField):
    """`true`: refusals have `false`."""


@extend_schema_field({"type": ["object"], "additionalProperties": True})
class AnyObject(serializers.JSONField):
    """A JSON object as it came."""
