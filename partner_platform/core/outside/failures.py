"""What Python, OpenSSL and urllib3 raise, as an `OutsideError` with a sentence."""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import urllib3

from partner_platform.core.outside.errors import Kind, OutsideError

_Types = tuple[type[BaseException], ...]
# The first that fits counts.
_SENTENCES: tuple[tuple[_Types, Kind, str], ...] = (
    (
        (TimeoutError, urllib3.exceptions.TimeoutError),
        Kind.TIMEOUT,
        "{host} did not answer completely within the time allowed.",
    ),
    ((ssl.SSLCertVerificationError,), Kind.TLS, "The certificate of {host} is refused: {reason}."),
    ((ssl.SSLError, urllib3.exceptions.SSLError), Kind.TLS, "TLS with {host} failed."),
    ((http.client.LineTooLong,), Kind.TOO_LARGE, "{host} sent headers that are too large."),
    (
        (OSError, http.client.IncompleteRead, urllib3.exceptions.ProtocolError),
        Kind.PROTOCOL,
        "{host} closed the connection before its response was complete.",
    ),
    (
        (http.client.HTTPException, urllib3.exceptions.HTTPError),
        Kind.PROTOCOL,
        "{host} sent something that is not a response of HTTP/1.1.",
    ),
)


@contextmanager
def connecting(host: str) -> Iterator[None]:
    """Around the connect and the handshake: a failure of the network is CONNECT."""
    try:
        with exchanging(host):
            yield
    except OutsideError as error:
        if error.kind is not Kind.PROTOCOL:
            raise
        raise OutsideError(Kind.CONNECT, f"{host} could not be connected to.") from None


@contextmanager
def exchanging(host: str) -> Iterator[None]:
    """Around the request and the response: a failure of the network is PROTOCOL. What is no failure of the network, a
    header that we must not send among them, stays as it is."""
    try:
        yield
    except OutsideError:
        raise
    except Exception as error:
        for types, kind, sentence in _SENTENCES:
            if isinstance(error, types):
                reason = getattr(error, "verify_message", "").rstrip(".")
                raise OutsideError(kind, sentence.format(host=host, reason=reason)) from None
        raise
