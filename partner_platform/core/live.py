"""Settings that a live platform refuses to start with. `settings` checks them at its end, so in every process.

With these, anybody could take money or read secrets. `check --deploy` warns of what is merely unwise. A reason names
the variable and never shows its value.
"""

import base64
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from partner_platform.core.secrets.known_keys import is_known

MIN_SECRET_KEY, MIN_AUDIT_KEY, MIN_DIFFERENT = 50, 32, 8
DEVELOPMENT_CHAINS = (1337, 31337)
# The widest networks that can be proxies': IPv4 and IPv6 prefixes.
MIN_PREFIX = {4: 8, 6: 16}
_IPV4_IN_IPV6 = ipaddress.IPv6Network("::ffff:0:0/96")
_PRIVATE_SUFFIXES = (".internal", ".local", ".lan", ".svc")


class Process:
    """What this process is. The web server's entry point sets it before the settings are read."""

    serves_the_web = False


def require_safe(values: Mapping[str, object]) -> None:
    """Raise `ImproperlyConfigured` with every reason why a live platform does not start with these settings."""
    if reasons := list(problems(values)):
        told = "".join(f"\n- {reason}" for reason in reasons)
        raise ImproperlyConfigured(f"A live platform does not start with these settings (docs/configuration.md):{told}")


def problems(values: Mapping[str, object]) -> Iterator[str]:
    """The reasons, one sentence each; `values` by the settings' names."""
    yield from _secrets(values)
    yield from _signing_keys(values)
    yield from _exposure(values)
    if values["APPROVALS"] != "required":
        yield "APPROVALS is off: one person alone could change where borrowed money goes"
    yield from _stores(values)
    yield from _chain(values)


def _secrets(values: Mapping[str, Any]) -> Iterator[str]:
    key = values["SECRET_KEY"]
    if len(key) < MIN_SECRET_KEY or len(set(key)) < MIN_DIFFERENT or key.startswith(("django-insecure-", "only-for-")):
        yield f"DJANGO_SECRET_KEY can be guessed: {MIN_SECRET_KEY} random characters at least"
    for number, text in enumerate(values["FIELD_ENCRYPTION_KEYS"], 1):
        secret = base64.urlsafe_b64decode(text)
        if len(set(secret)) < MIN_DIFFERENT or all(32 <= byte < 127 for byte in secret):
            yield f"FIELD_ENCRYPTION_KEYS: key {number} is not random"
    for number, secret in enumerate(values["AUDIT_KEYS"], 1):
        if len(secret) < MIN_AUDIT_KEY or len(set(secret)) < MIN_DIFFERENT:
            yield f"AUDIT_KEYS: key {number} can be guessed: {MIN_AUDIT_KEY} random characters at least"


def _signing_keys(values: Mapping[str, Any]) -> Iterator[str]:
    present = {
        "PLATFORM_PRIVATE_KEY": [values["PLATFORM_PRIVATE_KEY"]] if values["PLATFORM_PRIVATE_KEY"] else [],
        "PLATFORM_RETIRED_PRIVATE_KEYS": values["PLATFORM_RETIRED_PRIVATE_KEYS"],
    }
    for name, keys in present.items():
        if keys and Process.serves_the_web:
            yield f"{name} is in the web server's environment: only the worker signs, and only it may have the key"
        for key in keys:
            if problem := _problem_with_key(key):
                yield f"{name} {problem}"


def _problem_with_key(key: str) -> str:
    try:
        secret = bytes.fromhex(key.removeprefix("0x"))
    except ValueError:
        secret = b""
    if len(secret) != 32:
        return "is not a private key: 32 bytes in hex"
    if is_known(secret):
        return "is a key that everybody knows (the sandbox's, or a development chain's)"
    return "can be guessed" if len(set(secret)) < MIN_DIFFERENT else ""


def _exposure(values: Mapping[str, Any]) -> Iterator[str]:
    if values["DEBUG"]:
        yield "DJANGO_DEBUG is on: error pages show settings and data"
    if any(host.strip() in ("*", ".") for host in values["ALLOWED_HOSTS"]):
        yield "DJANGO_ALLOWED_HOSTS takes any host (*)"
    for name in ("TRUSTED_PROXIES", "METRICS_NETWORKS"):
        if any(_is_everywhere(network) for network in values[name]):
            yield f"{name} has a network that is (nearly) everybody's"
    if values["STAFF_SECOND_FACTOR"] != "required":
        yield "STAFF_SECOND_FACTOR is optional: whoever has a password of staff is in"
    if values["WEBHOOK_ALLOWED_NETWORKS"]:
        yield "WEBHOOK_ALLOWED_NETWORKS is not empty: partners' URLs could reach networks that are not public"
    for origin in values["CSRF_TRUSTED_ORIGINS"]:
        if not origin.startswith("https://") or origin.removeprefix("https://") == "*":
            yield f"DJANGO_CSRF_TRUSTED_ORIGINS: {origin} is not one https:// site"


def _is_everywhere(cidr: str) -> bool:
    network = ipaddress.ip_network(cidr, strict=False)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_IPV4_IN_IPV6):
        return network.prefixlen - _IPV4_IN_IPV6.prefixlen < MIN_PREFIX[4]
    return network.prefixlen < MIN_PREFIX[network.version]


def _stores(values: Mapping[str, Any]) -> Iterator[str]:
    if values["DATABASE_URL"] == values["DEFAULT_DATABASE_URL"]:
        yield "DATABASE_URL is not set: the books would lie in a file of the program's folder"
    if urlsplit(values["REDIS_URL"]).scheme not in ("redis", "rediss", "unix"):
        yield "REDIS_URL names no Redis (redis://, rediss:// or unix://): rates and replays could not be counted"


def _chain(values: Mapping[str, Any]) -> Iterator[str]:
    if values["CHAIN_ID"] in DEVELOPMENT_CHAINS:
        yield f"CHAIN_ID {values['CHAIN_ID']} is a development chain's"
    for number, url in enumerate(values["CHAIN_RPC_URLS"], 1):
        parts = urlsplit(url)
        if parts.scheme != "https" and not _is_private(parts.hostname or ""):
            yield f"CHAIN_RPC_URLS: number {number} goes over a public network without TLS (https://)"


def _is_private(host: str) -> bool:
    """Whether the host is this machine or in a network of our own: a private address, a name without a domain."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return bool(host) and ("." not in host or host.endswith(_PRIVATE_SUFFIXES))
