"""Parsing JSON from callers, with a bound on its nesting.

Python's own recursion limit does not protect its decoder: py_ecc, a part of eth-account, lifts it to 100,000 when it is
imported. 60,000 brackets then overflowed the stack of Debian's Python 3.11.2 and ended the whole process. Whatever a
caller sent is decoded by `loads`; `core.interpreter.bound_recursion` puts the limit back for all else.
"""

import json
import re
from typing import Any

MAX_NESTING = 100
# A text (whole, or to the end where it is not closed: no byte is looked at twice) or a bracket.
_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_DEPTH = {"[": 1, "{": 1, "]": -1, "}": -1}


def loads(text: str | bytes, **options: Any) -> Any:
    """The value that `json.loads` makes of it, with its options; `ValueError` for whatever is not JSON (RFC 8259), not
    UTF-8, or nested deeper than `MAX_NESTING` levels.
    """
    decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    _refuse_bottomless(decoded)
    return json.loads(decoded, **options)


def _refuse_bottomless(text: str) -> None:
    depth = 0
    for found in _TEXT_OR_BRACKET.findall(text):
        depth += _DEPTH.get(found, 0)
        if depth > MAX_NESTING:
            raise ValueError(f"nested deeper than {MAX_NESTING} levels")
