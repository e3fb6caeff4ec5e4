"""The request being served by this thread, for log lines and audit entries."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

NOBODY = "-"
_request_id: ContextVar[str] = ContextVar("request_id", default=NOBODY)


@contextmanager
def request_id(value: str) -> Iterator[None]:
    """Bind the request id for the block."""
    token = _request_id.set(value)
    try:
        yield
    finally:
        _request_id.reset(token)


def current_request_id() -> str:
    """The id of the request being served, `-` outside of one."""
    return _request_id.get()


def is_serving() -> bool:
    """Whether this thread serves a request: a caller waits for the response."""
    return current_request_id() != NOBODY


class RequestIdFilter(logging.Filter):
    """Puts `request_id` on every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id()
        return True
