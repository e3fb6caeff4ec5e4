"""How the response to an accepted borrow or repayment waits for its settlement.

A caller waits as long as its `Prefer: wait` says, at most `SETTLEMENT_WAIT_SECONDS`; then it gets 202 and reads the
outcome at `Location`. What was refused by the chain is 400 `settlement_failed`.
"""

from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from loans.api.common import partner_of
from loans.api.waiting import waiting_threads
from partner_platform.core.errors import BadRequest, ErrorCode
from partner_platform.core.redis import wakeup
from partner_platform.core.web import prefer
from partners.idempotency.view import still_answering

T = TypeVar("T")
READ_AGAIN_AFTER = "2"  # seconds, about a block


def await_settlement(request: Request, key: str, read_outcome: Callable[[], T | None]) -> T | None:
    """The outcome of the operation with this idempotency key; None where it is not final when the wait is over."""

    def read_and_keep_alive() -> T | None:
        still_answering(request)
        return read_outcome()

    seconds = prefer.wait_seconds(request.headers.get("Prefer", ""), maximum=settings.SETTLEMENT_WAIT_SECONDS)
    if not seconds:
        return None
    with waiting_threads.place(partner_of(request).pk) as may_wait:
        return wakeup.wait_until(key, read_and_keep_alive, seconds) if may_wait else None


def accepted(body: dict[str, object], location: str) -> Response:
    """202: accepted, and its outcome will be found at `location`."""
    return Response(body, status=202, headers={"Location": location, "Retry-After": READ_AGAIN_AFTER})


def settlement_failed(what: str, reason: str, details: dict[str, object]) -> BadRequest:
    """400: the chain refused it; nothing stays reserved."""
    message = f"{what} was refused by the chain: {reason or 'no reason given'}"
    return BadRequest(ErrorCode.SETTLEMENT_FAILED, message, details={**details, "reason": reason})
