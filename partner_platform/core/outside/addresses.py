"""Which IP addresses may be connected to. Pure.

`ipaddress.is_global` alone is not enough: it differs between releases of Python, and counts 6to4, NAT64 and an internal
address of Azure as global. So IPv4 has a list of what is refused, and IPv6 is refused outside of the one block that is
assigned to global unicast (2000::/3). Source: IANA's special-purpose address registries.
"""

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REFUSED_IPV4 = tuple(
    ipaddress.IPv4Network(cidr)
    for cidr in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT; Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's agent and metadata, although a public address
        "169.254.0.0/16",  # link-local; the other clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
    )
)
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
_REFUSED_IPV6 = tuple(
    ipaddress.IPv6Network(cidr)
    for cidr in (
        "2001::/23",  # protocol assignments; Teredo, which holds an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",  # documentation
    )
)
# An IPv4 address in the last four bytes. The second is how a host with IPv6 alone reaches IPv4 (RFC 6052).
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """The networks of a setting, such as `127.0.0.0/8`."""
    return tuple(ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)


def reached(address: Address) -> Address:
    """The address that packets arrive at: for an IPv4-mapped or NAT64 address the IPv4 address in it."""
    if isinstance(address, ipaddress.IPv6Address) and (address in _MAPPED or address in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def is_public_address(address: Address) -> bool:
    """Whether the address is one of the public internet's, and of no special purpose."""
    address = reached(address)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _REFUSED_IPV4)
    return address in _GLOBAL_IPV6 and not any(address in network for network in _REFUSED_IPV6)


def is_allowed(address: Address, allowed: Iterable[Network]) -> bool:
    """Whether the address is in one of the allowed networks."""
    address = reached(address)
    return any(address in network for network in allowed)  # False for a network of the other version
