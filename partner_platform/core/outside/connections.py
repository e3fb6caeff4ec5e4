"""One HTTP/1.1 connection to an address that was checked; urllib3's, with our sockets below it.

urllib3 adds TLS with the verification of the host's name, and http.client reads the response. Not used of urllib3: its
pools, its retries, redirects and decompression.
"""

import http.client
import ssl
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse
from urllib3.util.wait import wait_for_read

from partner_platform.core.outside import sockets
from partner_platform.core.outside.addresses import Address
from partner_platform.core.outside.errors import Kind, OutsideError
from partner_platform.core.outside.failures import connecting, exchanging
from partner_platform.core.outside.sockets import MAX_BODY, Allowance
from partner_platform.core.outside.urls import Destination
from partner_platform.core.text.printable import escaped

Answer = tuple[int, dict[str, str], bytes]
_MAX_AGE_SECONDS = 300.0  # then the name is looked up again


class _Checked(HTTPConnection):
    """Connects to `addresses` instead of looking its host up."""

    addresses: Sequence[Address] = ()
    allowance: Allowance

    def _new_conn(self) -> sockets.PlainSocket:
        return sockets.connect(self.addresses, self.port, self.allowance)


class _CheckedTLS(_Checked, HTTPSConnection):
    """The same, with TLS."""


def tls_context(certificate_authorities: str | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificates and host names verified by the system's authorities, or by those given as PEM."""
    context = ssl.create_default_context(cadata=certificate_authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = sockets.TLSSocket
    return context


class Connection:
    """A connection that is open; used by one thread at a time."""

    def __init__(
        self, destination: Destination, addresses: Sequence[Address], tls: ssl.SSLContext, allowance: Allowance
    ) -> None:
        """Connect, with TLS where the destination has it; `OutsideError` where that fails."""
        self._host = destination.host
        self._ends_at = time.monotonic() + _MAX_AGE_SECONDS
        if destination.is_plain:
            self._http = _Checked(destination.host, destination.port)
        else:
            self._http = _CheckedTLS(destination.host, destination.port, ssl_context=tls, cert_reqs=ssl.CERT_REQUIRED)
        self._http.addresses, self._http.allowance = addresses, allowance
        with connecting(self._host):
            try:
                self._http.connect()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close it; it may be closed already."""
        self._http.close()

    @property
    def is_open(self) -> bool:
        """False once it was closed, by us or after a response that said so."""
        return self._http.sock is not None

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent: it is not too old, the other side has not closed it, nor sent anything
        that no request asked for."""
        sock = self._http.sock
        if sock is None or time.monotonic() > self._ends_at or wait_for_read(sock, 0):
            return False
        return not (isinstance(sock, ssl.SSLSocket) and sock.pending())

    def post(self, path: str, body: bytes, headers: Mapping[str, str], allowance: Allowance) -> Answer:
        """Send a request and read its whole response; `OutsideError` where either fails, and then it is closed."""
        with exchanging(self._host):
            try:
                self._limit(allowance)
                self._http.request("POST", path, body, headers, preload_content=False, decode_content=False)
                return self._receive(allowance)
            except BaseException:
                self.close()
                raise

    def _limit(self, allowance: Allowance) -> None:
        sock = self._http.sock
        if not isinstance(sock, sockets.PlainSocket | sockets.TLSSocket):
            raise TypeError(f"{type(sock)} has no limits")
        sock.allowance = allowance
        self._http.timeout = allowance.seconds()

    def _receive(self, allowance: Allowance) -> Answer:
        try:
            response = self._http.getresponse()
            try:
                return self._read(response, allowance)
            finally:
                response.close()
        except ValueError:  # such as a size of a chunk that is no size
            raise http.client.HTTPException from None

    def _read(self, response: HTTPResponse, allowance: Allowance) -> Answer:
        if response.status < HTTPStatus.OK:
            # Another response follows it, which a kept connection would give to the next request.
            raise OutsideError(Kind.PROTOCOL, f"{self._host} sent an interim response that was not asked for.")
        allowance.begin_body()
        body = b""
        while more := response.read(MAX_BODY + 1, decode_content=False):  # the last read notices a missing end
            body += more
            if len(body) > MAX_BODY:
                raise OutsideError(
                    Kind.TOO_LARGE, f"{self._host} sent status {response.status} with more than {MAX_BODY // 1024} KiB."
                )
        headers = {escaped(name.lower()): escaped(value) for name, value in response.headers.itermerged()}
        return response.status, headers, body
