"""One try: signed headers, the post, and what came of it. Runs on the sender's threads and uses no database."""

import datetime as dt
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from partner_platform.core import clock
from partner_platform.core.outside import OutsideClient, OutsideError, Response
from partner_platform.core.text.printable import printable
from webhooks.delivery import schedule
from webhooks.delivery.lanes import Job, Lane, TryOutcome
from webhooks.delivery.signing import signed_headers

logger = logging.getLogger(__name__)

BODY_BYTES = 4096  # of a response that are kept
HEADERS = 40  # of a response that are kept
HEADER_CHARACTERS = 500  # of each
ERROR_CHARACTERS = 300


@dataclass
class _Sent:
    """A request: where it went, when it began (of both clocks), and its headers once they are signed."""

    url: str
    at: dt.datetime
    began: float
    headers: dict[str, str] = field(default_factory=dict)


def post(client: OutsideClient, lane: Lane, job: Job) -> TryOutcome:
    """Try a delivery once. Never raises."""
    delivery, sent = job.delivery, _Sent(lane.endpoint.url, clock.now(), time.monotonic())
    try:
        sent.headers = signed_headers(
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            body=job.body,
            secrets=lane.secrets,
            now=sent.at,
        )
        response = client.post(sent.url, body=job.body.encode(), headers=sent.headers)
    except OutsideError as error:
        return _failed(job, sent, str(error))
    except Exception as error:  # a bug of ours must not end the thread, nor lose the delivery
        logger.exception("delivery %s could not be tried", delivery.pk)
        return _failed(job, sent, f"The delivery could not be tried ({type(error).__name__})")
    return _answered(job, sent, response)


def _failed(job: Job, sent: _Sent, error: str) -> TryOutcome:
    return TryOutcome(
        job=job,
        is_delivered=False,
        at=clock.now(),
        began_at=sent.at,
        url=sent.url,
        duration_ms=int((time.monotonic() - sent.began) * 1000),
        request_headers=sent.headers,
        error=printable(error, ERROR_CHARACTERS),
    )


def _answered(job: Job, sent: _Sent, response: Response) -> TryOutcome:
    status, now = response.status, clock.now()
    is_delivered = 200 <= status < 300
    return TryOutcome(
        job=job,
        is_delivered=is_delivered,
        at=now,
        began_at=sent.at,
        url=sent.url,
        duration_ms=response.duration_ms,
        request_headers=sent.headers,
        status=status,
        response_headers=_kept(response.headers),
        response_body=_text(response.body[:BODY_BYTES]),
        error="" if is_delivered else _sentence(status),
        retry_after=schedule.retry_after_seconds(status, _header(response.headers, "retry-after"), now=now),
    )


def _sentence(status: int) -> str:
    if 300 <= status < 400:
        return f"The receiver answered {status}: redirects are not followed"
    if status == HTTPStatus.GONE:
        return "The receiver answered 410: it wants no more events, so the endpoint is disabled"
    return f"The receiver answered {status}"


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name), None)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    kept = list(headers.items())[:HEADERS]
    return {printable(name, HEADER_CHARACTERS): printable(value, HEADER_CHARACTERS) for name, value in kept}


def _text(body: bytes) -> str:
    """The body as every database holds it: UTF-8, without NUL, which PostgreSQL refuses."""
    return body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
