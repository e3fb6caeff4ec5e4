"""Masks keys and secrets in log lines, error responses and the log of calls.

They are known by their form (`partners.keys`, `partners.access.signing`, `webhooks.secrets`, the tokens of
`staff.access`), wherever a caller put one: path, header, the name of a field, an exception's text.
"""

import logging
import re
from typing import Any

from partner_platform.core.text.printable import escaped

MASK = "***"
_KEY = re.compile(r"[ps]k_[A-Za-z0-9]{1,64}_(?:live|sandbox)_[A-Za-z0-9]+|whsec_[A-Za-z0-9+/=_-]+", re.IGNORECASE)
_TOKEN = re.compile(r"rt_[A-Za-z0-9_-]{40,}|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_BEARER = re.compile(r"bearer\s+\S+", re.IGNORECASE)


def mask_keys(text: str) -> str:
    """Text without API keys, signing and webhook secrets, refresh, access and bearer tokens."""
    return _BEARER.sub(f"Bearer {MASK}", _TOKEN.sub(MASK, _KEY.sub(MASK, text)))


def mask_json(value: object) -> object:
    """A JSON value whose strings, names of fields included, hold no keys."""
    if isinstance(value, str):
        return mask_keys(value)
    if isinstance(value, dict):
        return {mask_keys(str(name)): mask_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_json(item) for item in value]
    return value


class MaskingFormatter(logging.Formatter):
    """One record, one line; a traceback's lines below it begin with `TRACE`, so that no text can pass for a record.

    Keys are masked, and whatever moves a terminal's cursor is escaped: paths and errors hold what callers like.
    """

    TRACE = "  | "

    def format(self, record: logging.LogRecord) -> str:
        return mask_keys(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return self._indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return self._indented(super().formatStack(stack_info))

    def _indented(self, text: str) -> str:
        return "\n".join(self.TRACE + escaped(line) for line in text.splitlines())
