"""What is JSON is taken, everything else is refused with a reason."""

import io
import json
from typing import Any

import pytest
from rest_framework.exceptions import ParseError, ValidationError

from partner_platform.core.web.parsers import StrictJSONParser
from partner_platform.core.web.serializers import MAX_METADATA_DEPTH, AmountField, MetadataField


def parse(body: bytes) -> dict[str, Any]:
    return StrictJSONParser().parse(io.BytesIO(body))


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_an_object_is_taken_as_it_is() -> None:
    body = '{"a": [1, -2.5, true, null, "ключ"], "токен": 1' + "0" * 77 + "}"
    assert parse(body.encode()) == {"a": [1, -2.5, True, None, "ключ"], "токен": 10**77}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": 1} x', "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "1e999 is out of range"),
        (b'{"a": 1, "a": 2}', "'a' appears twice"),
        (b'{"x": {"a": 1, "a": 2}}', "'a' appears twice"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b"[" * 60_000, "not valid JSON: nested deeper than 100 levels"),
        (b'{"a":' * 12_000, "not valid JSON: nested deeper than 100 levels"),
        (b'"' + b'\\"' * 32_000, "not valid JSON"),
        (b'{"a": "' + b"\\", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
    ],
)
def test_what_is_not_one_plain_object_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(ParseError, match=reason):
        parse(body)


def test_brackets_within_text_are_no_nesting() -> None:
    text = '[{\\"' * 200
    assert parse(b'{"a": "' + text.encode() + b'"}') == {"a": '[{"' * 200}


def test_metadata_is_kept_as_it_is() -> None:
    metadata = {"$where": "1", "a.b": [1.5, None], "": {"n": 2**63 - 1}}
    assert MetadataField().to_internal_value(metadata) == metadata
    assert MetadataField().to_internal_value(nested(MAX_METADATA_DEPTH)) == nested(MAX_METADATA_DEPTH)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ([], "JSON object"),
        ({"a": "x" * 8192}, "8 KiB"),
        ({"a": ["x\x00"]}, "NUL"),
        ({"a\x00": 1}, "NUL"),
        ({"a": {"b": 2**63}}, "64 bits"),
        ({"a": -(2**63) - 1}, "64 bits"),
        (nested(MAX_METADATA_DEPTH + 1), "nested"),
    ],
)
def test_metadata_that_one_of_the_databases_could_not_keep_is_refused(metadata: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        MetadataField().to_internal_value(metadata)
    assert json.dumps(metadata)


@pytest.mark.parametrize(
    "data", [5, 5.0, True, None, "", "0", "-1", "1.0", "1e3", " 1", "1\n", "٣", "9223372036854775808"]
)
def test_an_amount_is_a_string_of_whole_base_units(data: Any) -> None:
    with pytest.raises(ValidationError):
        AmountField().to_internal_value(data)


def test_the_largest_amount_is_taken() -> None:
    assert AmountField().to_internal_value("9223372036854775807") == 2**63 - 1
