"""`OutsideClient.post`: a request to a URL of somebody else, by the rules of this package."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings

from partner_platform.core.outside.addresses import Address, is_allowed, is_public_address, networks
from partner_platform.core.outside.connections import Connection, tls_context
from partner_platform.core.outside.errors import Kind, OutsideError, UnsafeUrl
from partner_platform.core.outside.failures import connecting
from partner_platform.core.outside.pool import Pool
from partner_platform.core.outside.resolving import Resolver
from partner_platform.core.outside.sockets import Allowance
from partner_platform.core.outside.urls import Destination, read_url

TIMEOUT_SECONDS = 15.0
_USER_AGENT = "partner-platform/1"


@dataclass(frozen=True)
class Response:
    """A complete response, of whatever status. Header names are in lower case; headers of the same name are joined by
    commas, and hold printable characters alone. The body is what the server sent, compressed or not.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    duration_ms: int


class OutsideClient:
    """Sends requests, from any number of threads; one client for a process, so that it can keep connections.

    A request is never sent twice. A kept connection that the server closed is noticed before the request is sent and
    replaced; where the server closes it at that very moment, the request fails with PROTOCOL, for whether the server
    has acted on it cannot be known: the caller decides about a retry.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        allowed_networks: Sequence[str] | None = None,
        certificate_authorities: str | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """`timeout_seconds` for a whole request. `allowed_networks`: CIDRs, `WEBHOOK_ALLOWED_NETWORKS` by default.
        `certificate_authorities`: PEM, the system's by default."""
        cidrs = settings.WEBHOOK_ALLOWED_NETWORKS if allowed_networks is None else allowed_networks
        self._timeout = timeout_seconds
        self._allowed = networks(cidrs)
        self._tls = tls_context(certificate_authorities)
        self._resolver = resolver or Resolver()
        self._pool = Pool()

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Response:
        """POST the body; `OutsideError` where no complete response came."""
        started, allowance = time.monotonic(), Allowance(self._timeout)
        try:
            destination = read_url(url, self._allowed)
        except UnsafeUrl as error:
            raise OutsideError(Kind.UNSAFE, str(error)) from None
        connection = self._pool.take(destination.origin) or self._connect(destination, allowance)
        sent = {"User-Agent": _USER_AGENT, **headers}
        status, received, content = connection.post(destination.path, body, sent, allowance)
        if connection.is_open:
            self._pool.give(destination.origin, connection)
        return Response(status, received, content, round((time.monotonic() - started) * 1000))

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _connect(self, destination: Destination, allowance: Allowance) -> Connection:
        with connecting(destination.host):
            addresses = self._addresses(destination, allowance)
        return Connection(destination, addresses, self._tls, allowance)

    def _addresses(self, destination: Destination, allowance: Allowance) -> list[Address]:
        """The addresses that may be connected to: all of the host's, or the host is refused."""
        if destination.address is not None:
            addresses = [destination.address]
        else:
            addresses = self._resolver.addresses(destination.host, allowance.seconds())
        if not all(self._may_connect(address, destination) for address in addresses):
            raise OutsideError(Kind.UNSAFE, f"The name {destination.host} has an address that is not public.")
        return addresses

    def _may_connect(self, address: Address, destination: Destination) -> bool:
        if is_allowed(address, self._allowed):
            return True
        return is_public_address(address) and not destination.is_plain
