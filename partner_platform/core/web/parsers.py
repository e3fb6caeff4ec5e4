"""JSON requests and responses: a strict parser, and JSON whatever the client accepts."""

import json
import math
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser

from partner_platform.core.text import json_text


class StrictJSONParser(BaseParser):
    """RFC 8259, strictly: no duplicate names, no NaN, an object at the top, bounded nesting.

    Also refused are lone surrogates, which UTF-8 cannot encode, and numbers that overflow to infinity.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, object]:
        try:
            body = json_text.loads(
                stream.read(),
                object_pairs_hook=_without_duplicates,
                parse_constant=_no_constants,
                parse_float=_finite,
            )
            json.dumps(body, ensure_ascii=False).encode("utf-8")  # a lone surrogate raises UnicodeEncodeError
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {error}") from error
        if not isinstance(body, dict):
            raise ParseError("The body must be a JSON object")
        return body


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} appears twice")
        found[name] = value
    return found


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is out of range")
    return number


def _no_constants(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


class JSONNegotiation(BaseContentNegotiation):
    """Answer JSON whatever `Accept` says; an endpoint with another form negotiates for itself."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == content_type), None)

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> object:
        return renderers[0], renderers[0].media_type
