"""Responses of the web server itself, with the platform's envelope and headers (docs/api.md, Errors)."""

import json
import logging
from typing import Any

from waitress.task import ErrorTask
from waitress.utilities import Error

from partner_platform.core.error_catalogue import CATALOGUE
from partner_platform.core.errors import ErrorCode, PlatformError
from partner_platform.core.web import api_versions
from partner_platform.core.web.exception_handler import envelope, headers_of
from partner_platform.core.web.middleware import new_request_id, sane_request_id
from partner_platform.server.spelling import OwnSpelling

logger = logging.getLogger(__name__)

_CODES = {
    400: ErrorCode.INVALID_REQUEST,
    408: ErrorCode.REQUEST_TIMEOUT,
    413: ErrorCode.PAYLOAD_TOO_LARGE,
    414: ErrorCode.URI_TOO_LONG,
    431: ErrorCode.HEADERS_TOO_LARGE,
    503: ErrorCode.OVERLOADED,
    501: ErrorCode.ENCODING_NOT_SUPPORTED,
}


class TurnedAway(Error):
    """A complete request of a caller who is turned away (`core.web.turning_away`)."""

    def __init__(self, refusal: PlatformError) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Refusal(OwnSpelling, ErrorTask):
    """Responds to a request that is malformed, too large, incomplete or turned away; then the connection is closed."""

    def execute(self) -> None:
        error = _as_platform_error(self.request.error)
        request_id = new_request_id()
        body = json.dumps(envelope(error, request_id)).encode()
        self.status = f"{int(error.status)} {error.status.phrase}"
        self.response_headers += [
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("X-Request-Id", request_id),
            *self._client_request_id(),
            *api_versions.of_partner(None).headers().items(),
            *headers_of(error).items(),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
        if isinstance(self.request.error, TurnedAway):
            return  # counted, and all of it was read
        self.channel.linger = True  # what it still sends is not read as a request
        line = self.request.first_line[:300].decode("latin-1")
        logger.info("refused %s (%s): %r from %s", int(error.status), error.message, line, self.channel.addr[0])

    def _client_request_id(self) -> list[tuple[str, str]]:
        theirs = sane_request_id(self.request.headers.get("X_REQUEST_ID", ""))
        return [("X-Client-Request-Id", theirs)] if theirs else []


def _as_platform_error(refused: Error) -> PlatformError:
    if isinstance(refused, TurnedAway):
        return refused.refusal
    code = _CODES.get(refused.code, ErrorCode.INTERNAL_ERROR)
    message, details = CATALOGUE[code].message, dict[str, Any]()
    if code == ErrorCode.INVALID_REQUEST:
        message = f"request: {refused.body}"
        details = {"request": [str(refused.body)]}
    error = PlatformError(code, message, details=details, retry_after=CATALOGUE[code].retry_after)
    error.status = CATALOGUE[code].status
    return error
