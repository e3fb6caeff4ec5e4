"""Whether a request with an unknown outcome may be repeated unchanged: `retryable` of a 500 or of a lost database.

A POST that moves money declares how a repetition is recognized (`partners.idempotency.view` puts a `Repetition` on the
view's method). With an `Idempotency-Key` it may always be repeated: nothing happened, or the key names what did.
Without one it may be repeated only where the body holds an id that is accepted once (a borrow's `partnerLoanId`): a
second repayment is another payment. Source: docs/api.md, Idempotency.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from partner_platform.core.errors import ErrorCode, PlatformError

HEADER = "Idempotency-Key"
AFTER_A_BUG_SECONDS = 2


@dataclass(frozen=True)
class Repetition:
    """How a view's method is protected against being done twice; `is_once`: its body has an id that counts once."""

    is_once: bool


def mark_retryable(error: PlatformError, context: Mapping[str, Any]) -> None:
    """Set `retryable` where the outcome is open; `context` is that of DRF's exception handler."""
    repetition = _repetition_of(context.get("view"))
    if repetition is None:
        return
    has_key = bool(context["request"].headers.get(HEADER, "").strip())
    if error.code == ErrorCode.INTERNAL_ERROR and has_key:
        error.retry_after, error.retryable = AFTER_A_BUG_SECONDS, True
    if error.code == ErrorCode.DATABASE_UNAVAILABLE and not (has_key or repetition.is_once):
        error.retryable = False


def _repetition_of(view: object) -> Repetition | None:
    method = getattr(view, getattr(view, "action", None) or "", None)
    return getattr(method, "repetition", None)
