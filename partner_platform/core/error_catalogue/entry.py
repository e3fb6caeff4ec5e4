"""What the catalogue says of one error code."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True)
class Entry:
    """`when` completes the sentence "returned when …"; `retry_after` in seconds, None where a retry is useless."""

    status: HTTPStatus
    when: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    retry_after: int | None = None
