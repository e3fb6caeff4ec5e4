"""Answers that the server gives by itself, in the platform's error envelope (docs/api.md, Errors)."""

import json
import logging
import uuid
from typing import Any

from waitress.task import ErrorTask
from waitress.utilities import Error

from partner_platform.core.error_catalogue import CATALOGUE
from partner_platform.core.errors import ErrorCode, PlatformError
from partner_platform.core.exception_handler import envelope

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


class Refusal(ErrorTask):
    """Answers a request that is none, is too large or did not come; then the connection is closed."""

    def execute(self) -> None:
        error = _as_platform_error(self.request.error)
        request_id = uuid.uuid4().hex
        body = json.dumps(envelope(error, request_id)).encode()
        self.status = f"{int(error.status)} {error.status.phrase}"
        self.response_headers += [
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("X-Request-Id", request_id),
        ]
        if error.retry_after is not None:
            self.response_headers.append(("Retry-After", str(error.retry_after)))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.linger = True  # what it still sends is not read as a request
        self.write(body)
        line = self.request.first_line[:300].decode("latin-1")
        logger.info("refused %s (%s): %r from %s", int(error.status), error.message, line, self.channel.addr[0])


def _as_platform_error(refused: Error) -> PlatformError:
    code = _CODES.get(refused.code, ErrorCode.INTERNAL_ERROR)
    message, details = CATALOGUE[code].message, dict[str, Any]()
    if code == ErrorCode.INVALID_REQUEST:
        message = f"request: {refused.body}"
        details = {"request": [str(refused.body)]}
    error = PlatformError(code, message, details=details, retry_after=CATALOGUE[code].retry_after)
    error.status = CATALOGUE[code].status
    return error
