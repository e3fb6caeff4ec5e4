"""Networks in settings."""

import ipaddress

from django.core.exceptions import ImproperlyConfigured


def require_networks(name: str, cidrs: list[str]) -> list[str]:
    """The CIDRs, validated; `ImproperlyConfigured` names an invalid one at start, so that no call fails on it later."""
    for cidr in cidrs:
        try:
            ipaddress.ip_network(cidr, strict=False)
        except ValueError:
            raise ImproperlyConfigured(f"{name}: {cidr!r} is not an address or CIDR") from None
    return cidrs
