"""Keys do not stand in what is said: not in log lines, not in error answers, not in the record of calls.

They are known by their form (`partners.keys`, `partners.signing`), wherever a caller put one: path, header, the name
of a field, an exception's text.
"""

import logging
import re
from typing import Any

MASK = "***"
_KEY = re.compile(r"[ps]k_[A-Za-z0-9]{1,64}_(?:live|sandbox)_[A-Za-z0-9]+", re.IGNORECASE)
_BEARER = re.compile(r"bearer\s+\S+", re.IGNORECASE)


def mask_keys(text: str) -> str:
    """Text without API keys, signing secrets and bearer tokens."""
    return _BEARER.sub(f"Bearer {MASK}", _KEY.sub(MASK, text))


def mask_json(value: Any) -> Any:
    """A JSON value whose strings, names of fields included, hold no keys."""
    if isinstance(value, str):
        return mask_keys(value)
    if isinstance(value, dict):
        return {mask_keys(str(name)): mask_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_json(item) for item in value]
    return value


class MaskingFormatter(logging.Formatter):
    """Masks keys in the finished line, its traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_keys(super().format(record))
