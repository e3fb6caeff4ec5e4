"""Why a URL is refused and why a request failed. The messages are shown to the partner.

They never hold the URL (its path or query may be a secret), an address that a name resolved to (that would let a
partner read our internal DNS), or bytes that the server sent.
"""

from enum import StrEnum


class UnsafeUrl(ValueError):
    """The form of a URL is refused; the message is a sentence that begins with "The URL"."""


class Kind(StrEnum):
    """What went wrong with a request; stable, so that callers may decide by it."""

    UNSAFE = "unsafe"  # the URL's form, or an address that is not public
    DNS = "dns"  # the host has no address, or its look-up failed
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"  # of the whole request, look-up and handshake included
    TOO_LARGE = "too_large"
    PROTOCOL = "protocol"  # no HTTP response, or not a complete one


class OutsideError(Exception):
    """No complete response came. Whether the server received the request is not known, except for UNSAFE, DNS and
    CONNECT: then it did not."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
