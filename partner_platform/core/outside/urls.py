"""The form of an outside URL: read strictly, by one function, for the check at registration and for each request.

Two readers that differ about a URL are how such checks are passed, so nothing is repaired, decoded or guessed: what has
a second possible reading is refused.
"""

import ipaddress
import re
from dataclasses import dataclass

from django.conf import settings

from partner_platform.core.outside.addresses import Address, Network, is_allowed, is_public_address, networks
from partner_platform.core.outside.errors import UnsafeUrl

MAX_LENGTH = 500
MAX_HOST_LENGTH = 253
_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^#]*)(?P<fragment>#?.*)")
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_IPV6 = re.compile(r"\[[0-9a-f:.]+\]")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True)
class Destination:
    """Where a request goes. `address` is given where the URL has an address for a host."""

    scheme: str
    host: str  # lower case, without brackets
    port: int
    path: str  # with the query
    address: Address | None

    @property
    def origin(self) -> tuple[str, str, int]:
        """What two URLs share that may use one connection."""
        return self.scheme, self.host, self.port

    @property
    def is_plain(self) -> bool:
        """Whether the request goes without TLS, which is allowed inside the allowed networks alone."""
        return self.scheme == "http"


def check_url(url: str) -> None:
    """Raise `UnsafeUrl` where the form of the URL is refused. Looks nothing up: the address is checked at connect."""
    read_url(url, networks(settings.WEBHOOK_ALLOWED_NETWORKS))


def read_url(url: str, allowed: tuple[Network, ...]) -> Destination:
    """The parts of a URL whose form is good; `UnsafeUrl` for any other. `allowed` are networks that need not be public,
    in which plain http is taken too."""
    if len(url) > MAX_LENGTH:
        raise UnsafeUrl(f"The URL is longer than {MAX_LENGTH} characters.")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise UnsafeUrl(
            "The URL must consist of printable ASCII characters without spaces and backslashes; "
            "international names are written in their xn-- form."
        )
    parts = _URL.fullmatch(url)
    if parts is None or parts["scheme"].lower() not in _PORTS:
        raise UnsafeUrl("The URL must begin with https://.")
    if parts["fragment"]:
        raise UnsafeUrl("The URL must not have a fragment (#).")
    if "@" in parts["authority"]:
        raise UnsafeUrl("The URL must not have a user name or password before its host.")
    destination = _destination(parts["scheme"].lower(), parts["authority"].lower(), parts["path"])
    _require_allowed(destination, allowed)
    return destination


def _destination(scheme: str, authority: str, path: str) -> Destination:
    parts = _AUTHORITY.fullmatch(authority)
    port = int((parts and parts["port"]) or _PORTS[scheme])
    if parts is None or not 0 < port < 65536:
        raise UnsafeUrl("The URL has an invalid host or port.")
    host = parts["host"]
    address = _address(host)
    if address is None:
        _require_name(host)
    return Destination(scheme, host.strip("[]"), port, path if path.startswith("/") else f"/{path}", address)


def _address(host: str) -> Address | None:
    """The address that the host is; None where it is a name. Whatever a resolver may read as an IPv4 address ends in a
    number (`2130706433`, `0x7f.1`, `127.1`), and no name does: only four decimal numbers are taken."""
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1] if _IPV6.fullmatch(host) else "")
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            return ipaddress.IPv4Address(host)
    except ValueError:
        raise UnsafeUrl("The URL's host is an address that is not written as 192.0.2.1 or [2001:db8::1].") from None
    return None


def _require_name(host: str) -> None:
    if not host:
        raise UnsafeUrl("The URL has no host.")
    if host.endswith("."):
        raise UnsafeUrl("The URL's host must not end with a dot.")
    if len(host) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise UnsafeUrl("The URL's host is not a host name.")


def _require_allowed(destination: Destination, allowed: tuple[Network, ...]) -> None:
    """A name without a domain is one of a local network, so it is taken only where such a network is allowed. What it
    resolves to is checked at connect, like all names."""
    is_local = bool(allowed) and "." not in destination.host
    if destination.address is not None:
        is_local = is_allowed(destination.address, allowed)
        if not is_local and not is_public_address(destination.address):
            raise UnsafeUrl("The URL's host is not a public address.")
    elif not is_local and ("." not in destination.host or destination.host.endswith(".localhost")):
        raise UnsafeUrl("The URL's host is not a public name: it has no domain.")
    if destination.is_plain and not is_local:
        raise UnsafeUrl("The URL must begin with https://.")
