"""Request bodies: strict about types, unknown fields refused, every problem under its field's name.

Beside each field stands its JSON Schema, for the OpenAPI schema. What a schema cannot say (the range of an amount in a
string, an address's checksum) has a `format` of ours there.
"""

import datetime as dt
import json
import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from partner_platform.core.ethereum import ADDRESS_PATTERN, HASH_PATTERN, parse_address, parse_hash
from partner_platform.core.fields import MAX_BASE_UNITS, MAX_UINT256

_AMOUNT = re.compile(r"[0-9]{1,19}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,10}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_ID_IN_PATH = re.compile(r"[0-9]{1,78}", re.ASCII)
_TOKEN_ID = re.compile(r"[1-9][0-9]{0,77}", re.ASCII)
_UINT256 = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})+", re.ASCII)
_LOAN_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
MAX_SIGNATURE_BYTES = 4096
MAX_METADATA_BYTES = 8 * 1024
MAX_METADATA_DEPTH = 32
MAX_LOAN_ID = 64


def _text(pattern: str, **more: object) -> dict[str, object]:
    """The JSON Schema of a string that a pattern describes wholly."""
    return {"type": "string", "pattern": f"^{pattern}$", **more}


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses what it does not know, naming it."""

    def to_internal_value(self, data: object) -> Any:
        unknown = set(data) - set(self.fields) if isinstance(data, dict) else set()
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if unknown and isinstance(error.detail, dict):
                error.detail.update(_unknown(unknown))
            raise
        if unknown:
            raise serializers.ValidationError(_unknown(unknown))
        return value


def _unknown(names: set[str]) -> dict[str, list[Any]]:
    return {str(name): [ErrorDetail("Unknown field.", code="unknown_field")] for name in sorted(names)}


@extend_schema_field(_text(_AMOUNT.pattern, format="usdc-base-units", examples=["5000000000"]))
class AmountField(serializers.Field[int, Any, str, Any]):
    """USDC as a string of whole base units, 1 to 2^63-1; never a number."""

    def to_internal_value(self, data: object) -> int:
        if not isinstance(data, str) or not _AMOUNT.fullmatch(data):
            raise serializers.ValidationError("Must be a string of whole base units, such as 5000000000 for $5000.")
        amount = int(data)
        if not 1 <= amount <= MAX_BASE_UNITS:
            code = "min_value" if amount < 1 else "max_value"
            raise serializers.ValidationError(f"Must be from 1 to {MAX_BASE_UNITS} base units.", code=code)
        return amount

    def to_representation(self, value: int) -> str:
        return str(value)


@extend_schema_field(
    {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": MAX_UINT256},
            _text(_TOKEN_ID.pattern, format="token-id"),
        ],
        "examples": [123, "123"],
    }
)
class TokenIdField(serializers.Field[int, Any, int, Any]):
    """An ERC-721 token id, 1 to 2^256-1: a JSON integer, or its digits as a string, which JavaScript does not round."""

    def to_internal_value(self, data: object) -> int:
        if isinstance(data, str) and _TOKEN_ID.fullmatch(data):
            data = int(data)
        if not isinstance(data, int) or isinstance(data, bool) or not 1 <= data <= MAX_UINT256:
            raise serializers.ValidationError("Must be a positive integer, as a number or as a string of its digits.")
        return data

    def to_representation(self, value: int) -> int:
        return value


@extend_schema_field(_text(_ID_IN_PATH.pattern))
class IdInPathField(serializers.Field[int, Any, str, Any]):
    """An id of the chain in a path: digits and nothing else; one of 2^256 or more is no id that exists."""

    def to_internal_value(self, data: object) -> int:
        if not isinstance(data, str) or not _ID_IN_PATH.fullmatch(data):
            raise serializers.ValidationError("Must be 1 to 78 digits.")
        return int(data)

    def to_representation(self, value: int) -> str:
        return str(value)


class WholeNumberField(serializers.IntegerField):
    """A JSON integer; no string, fraction or boolean that could be taken for one."""

    def to_internal_value(self, data: object) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            raise serializers.ValidationError("Must be a whole number.")
        return super().to_internal_value(data)


class DigitsField(serializers.IntegerField):
    """A whole number in a query string: digits, nothing that could be taken for them."""

    def to_internal_value(self, data: object) -> int:
        if not isinstance(data, str) or not _DIGITS.fullmatch(data):
            raise serializers.ValidationError("Must be a whole number.")
        return super().to_internal_value(data)


class OneOfField(serializers.ChoiceField):
    """One of a few words; who sends another is told them all."""

    def to_internal_value(self, data: object) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            text = f"Must be one of {', '.join(map(str, self.choices))}."
            raise serializers.ValidationError(text, code="invalid_choice")
        return data


@extend_schema_field(_text(_DAY.pattern, format="date"))
class DayField(serializers.Field[dt.date, Any, str, Any]):
    """A day as `2026-01-31`."""

    def to_internal_value(self, data: object) -> dt.date:
        try:
            if not isinstance(data, str) or not _DAY.fullmatch(data):
                raise ValueError(data)  # noqa: TRY301 - as a day that does not exist
            return dt.date.fromisoformat(data)
        except ValueError as error:
            raise serializers.ValidationError("Must be a day such as 2026-01-31.") from error

    def to_representation(self, value: dt.date) -> str:
        return value.isoformat()


@extend_schema_field(_text(f"(?:{_UINT256.pattern})", format="uint256"))
class Uint256TextField(serializers.Field[int, Any, str, Any]):
    """A uint256 as a decimal string without leading zeros, which no JSON parser rounds."""

    def to_internal_value(self, data: object) -> int:
        if not isinstance(data, str) or not _UINT256.fullmatch(data) or int(data) > MAX_UINT256:
            raise serializers.ValidationError("Must be a decimal string, 0 to 2^256-1.")
        return int(data)

    def to_representation(self, value: int) -> str:
        return str(value)


@extend_schema_field(_text(_HEX.pattern, maxLength=2 + 2 * MAX_SIGNATURE_BYTES))
class SignatureField(serializers.Field[bytes, Any, str, Any]):
    """A signature as 0x-hex: 65 bytes of a key's, or whatever a contract wallet takes, at most 4 KiB."""

    def to_internal_value(self, data: object) -> bytes:
        if not isinstance(data, str) or len(data) > 2 + 2 * MAX_SIGNATURE_BYTES or not _HEX.fullmatch(data):
            raise serializers.ValidationError(f"Must be 0x and hex digits, at most {MAX_SIGNATURE_BYTES} bytes.")
        return bytes.fromhex(data[2:])

    def to_representation(self, value: bytes) -> str:
        return "0x" + value.hex()


@extend_schema_field(_text(ADDRESS_PATTERN, format="eip55-address"))
class AddressInputField(serializers.Field[str, Any, str, Any]):
    """An Ethereum address in any case; a wrong EIP-55 checksum is refused."""

    def to_internal_value(self, data: object) -> str:
        try:
            return parse_address(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error

    def to_representation(self, value: str) -> str:
        return value


@extend_schema_field(_text(HASH_PATTERN))
class TransactionHashField(serializers.Field[str, Any, str, Any]):
    """A transaction hash, answered in lower case."""

    def to_internal_value(self, data: object) -> str:
        try:
            return parse_hash(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error

    def to_representation(self, value: str) -> str:
        return value


class StrictCharField(serializers.CharField):
    """A string that is a string: numbers and booleans are refused, not converted."""

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a string.")
        return super().to_internal_value(data)


@extend_schema_field(_text(_LOAN_ID.pattern, maxLength=MAX_LOAN_ID, examples=["xyz_loan_12345"]))
class LoanIdField(StrictCharField):
    """A partner's own loan id: letters, digits, `_` and `-`, at most 64."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_LOAN_ID, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: object) -> str:
        value = super().to_internal_value(data)
        if not _LOAN_ID.fullmatch(value):
            raise serializers.ValidationError("May hold letters, digits, _ and - only.")
        return value


@extend_schema_field({"type": "object", "additionalProperties": True})
class MetadataField(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A JSON object of at most 8 KiB, kept as it is."""

    def to_internal_value(self, data: object) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be a JSON object.")
        if len(json.dumps(data).encode()) > MAX_METADATA_BYTES:
            raise serializers.ValidationError("Must be at most 8 KiB.", code="max_length")
        if problem := _unstorable(data, MAX_METADATA_DEPTH):
            raise serializers.ValidationError(problem)
        return data

    def to_representation(self, value: dict[str, object]) -> dict[str, object]:
        return value


def _unstorable(value: object, depth: int) -> str | None:
    """What one of the databases could not keep: NUL (PostgreSQL), integers over 64 bits and deep nesting (MongoDB)."""
    if isinstance(value, str):
        return "Must not contain NUL characters." if "\x00" in value else None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "Must not contain integers of more than 64 bits."
    if not isinstance(value, dict | list):
        return None
    if depth == 0:
        return f"Must not be nested more than {MAX_METADATA_DEPTH} levels deep."
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return next((problem for part in parts if (problem := _unstorable(part, depth - 1))), None)
