"""The call log of a seeded year."""

import datetime as dt
import random
import uuid
from collections.abc import Iterator
from typing import Any

from partners.models import Partner


def api_logs(count: int, partners: list[Partner], end: int, loans: int) -> Iterator[dict[str, Any]]:
    """Calls of the year, the newest last, as attributes of `ApiLog`: mostly reads, one in fifty refused."""
    some = random.Random(13)  # noqa: S311
    span = 365 * 86_400
    for number in range(count):
        partner = partners[some.randrange(len(partners))]
        loan = f"seed-{some.randrange(max(loans, 1))}"
        is_borrow, refused = number % 10 == 0, number % 50 == 7
        moment = dt.datetime.fromtimestamp(end - span + span * number // count, dt.UTC)
        yield {
            "id": uuid.UUID(int=some.getrandbits(128)),
            "partner_id": partner.partner_id,
            "partner_name": partner.partner_name,
            "endpoint": "/partners/borrow" if is_borrow else f"/partners/loan/{loan}",
            "method": "POST" if is_borrow else "GET",
            "ip_address": f"10.0.{number % 200}.{number % 250}",
            "request_payload": {"partnerLoanId": loan, "borrowAmount": "100000000"} if is_borrow else None,
            "status_code": (403 if is_borrow else 404) if refused else 202 if is_borrow else 200,
            "response_time": 5 + number % 90,
            "success": not refused,
            "error_code": ("daily_limit_exceeded" if is_borrow else "loan_not_found") if refused else "",
            "loan_id": loan,
            "request_id": f"{some.getrandbits(128):032x}",
            "timestamp": moment,
        }
