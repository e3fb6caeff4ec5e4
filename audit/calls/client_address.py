"""The client address of a call. Pure.

Anybody can send `X-Forwarded-For`, so it is read only where the peer is one of our proxies, and from the right: each
proxy appends the address it saw, and the first one that is not a proxy of ours is the caller. Everything left of it is
the caller's own claim.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(meta: Mapping[str, object], trusted_proxies: Iterable[str]) -> str | None:
    """The caller's address from a request's `META`; None where the server does not know it (a Unix socket).

    `trusted_proxies` are CIDRs; empty means that the peer is the caller.
    """
    peer = _parse(meta.get("REMOTE_ADDR"))
    networks = _networks(tuple(trusted_proxies))
    if peer is None or not _is_trusted(peer, networks):
        return str(peer) if peer else None
    nearest = peer
    for hop in reversed(str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")):
        address = _parse(hop)
        if address is None:
            break  # addresses left of a malformed one cannot be trusted
        nearest = address
        if not _is_trusted(address, networks):
            break
    return str(nearest)


def peer_address(meta: Mapping[str, object]) -> str | None:
    """Who opened the connection, a proxy or the caller."""
    peer = _parse(meta.get("REMOTE_ADDR"))
    return str(peer) if peer else None


def is_within(address: str | None, cidrs: Iterable[str]) -> bool:
    """Whether an address returned by `client_address` is in one of these networks; False for None."""
    parsed = _parse(address)
    return parsed is not None and _is_trusted(parsed, _networks(tuple(cidrs)))


@lru_cache(maxsize=512)
def _networks(cidrs: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)


def _is_trusted(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _parse(text: object) -> Address | None:
    try:
        address = ipaddress.ip_address(str(text or "").strip().partition("%")[0])
    except ValueError:
        return None
    # A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d; they are the same caller.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
