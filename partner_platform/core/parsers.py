"""JSON in, JSON out: strict about what is not JSON, deaf to what a client says it accepts."""

import json
import math
import re
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser

MAX_NESTING = 100
# A text (whole, or to the end where it is not closed: no byte is looked at twice) or a bracket.
_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


class StrictJSONParser(BaseParser):
    """RFC 8259 without the surprises: no duplicate names, no NaN, an object at the top, no bottomless nesting.

    Lone surrogates are refused too, for UTF-8 cannot answer with them, and numbers that only infinity is near.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        try:
            text = stream.read().decode("utf-8")
            _refuse_bottomless(text)
            body = json.loads(
                text, object_pairs_hook=_without_duplicates, parse_constant=_no_constants, parse_float=_finite
            )
            json.dumps(body, ensure_ascii=False).encode("utf-8")  # a lone surrogate raises UnicodeEncodeError
        except (ValueError, RecursionError) as error:
            raise ParseError(f"The body is not valid JSON: {error}") from error
        if not isinstance(body, dict):
            raise ParseError("The body must be a JSON object")
        return body


def _refuse_bottomless(text: str) -> None:
    """Python's own recursion limit does not protect the decoder: py_ecc, a part of eth-account, lifts it to 100,000.

    A body of 60,000 brackets then overflowed the stack of Python 3.11.2 and ended the whole process.
    """
    depth = 0
    for found in _TEXT_OR_BRACKET.findall(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found, 0)
        if depth > MAX_NESTING:
            raise ValueError(f"nested deeper than {MAX_NESTING} levels")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
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

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
