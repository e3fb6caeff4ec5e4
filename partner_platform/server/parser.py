"""What counts as a request: waitress's parser, stricter where two readers of one stream could disagree.

A proxy and we must see the same requests in the same bytes, or a caller can hide one in another's connection (request
smuggling). RFC 9112, 6.1 and 6.3 allow to refuse what is refused here.
"""

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge, RequestHeaderFieldsTooLarge

from partner_platform.core.web.middleware import MAX_BODY_BYTES
from partner_platform.server.limits import MAX_LINE_BYTES


class UriTooLong(BadRequest):
    code = 414
    reason = "URI Too Long"


class RequestTimeout(BadRequest):
    code = 408
    reason = "Request Timeout"


class Parser(HTTPRequestParser):
    """One request of a connection, as its bytes come in; `error` where it is refused, and the connection then ends."""

    error: Error | None = None
    first_line = b""

    def received(self, data: bytes) -> int:
        line = self.header_plus + data[:MAX_LINE_BYTES] if self.body_rcv is None else b""
        consumed = int(super().received(data))
        if line and not self.error:
            self._check_line(line)
        if self.headers_finished and not self.error:
            self._check_body()
        if self.error:
            self.completed = True
            self.expect_continue = False  # nothing to wait for: waitress would ask for the body first
            if isinstance(self.error, RequestHeaderFieldsTooLarge) and _is_all_one_line(line):
                self.error = UriTooLong("the request line is too long")
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # of urllib, for a target that is no URL; waitress would only drop the connection
            raise ParsingError("The target is not a URL") from error
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("The version must be HTTP/1.0 or HTTP/1.1")
        if "TRANSFER_ENCODING" in self.headers:  # 1.0 has none; waitress would pass over it
            raise ParsingError("Transfer-Encoding needs HTTP/1.1")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other")

    def _check_line(self, begun: bytes) -> None:
        if len(self.first_line) > MAX_LINE_BYTES or (not self.headers_finished and _is_all_one_line(begun)):
            self.error = UriTooLong("the request line is too long")

    def _check_body(self) -> None:
        length = len(self.body_rcv) if self.chunked and self.body_rcv is not None else self.content_length
        if length > MAX_BODY_BYTES:
            self.error = RequestEntityTooLarge("the body is too large")


def _is_all_one_line(begun: bytes) -> bool:
    """Whether the request line has not ended within its limit."""
    return len(begun) > MAX_LINE_BYTES and b"\n" not in begun.lstrip()[:MAX_LINE_BYTES]
