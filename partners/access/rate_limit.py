"""An exact rate limit: at most so many calls in any minute, counted in Redis over all processes.

A caller's admitted calls of the last minute are in a Redis list, newest first, with times by Redis' own clock. One
script, which Redis runs atomically, drops what is older than the window, counts, and admits or refuses: no interleaving
of processes passes the limit, and no two adjacent windows let twice as many through (docs/decisions.md says why this is
not django-ratelimit). Refused calls do not count. The same script keeps two more things that a call needs from Redis,
so that a call costs one round trip: whether its signature was seen before, and whether its key's use was noted this
minute.
"""

import hashlib
import ipaddress
import math
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import NoScriptError

from partner_platform.core.errors import ErrorCode, TooManyRequests

WINDOW_SECONDS = 60
USE_NOTED_SECONDS = 60
_MICROSECONDS = 1_000_000

# KEYS: calls, signature, key's use. ARGV: limit, window (µs), how long to remember signature and use (s; 0: not asked).
# Answers {outcome, calls left, µs, whether the key's use is to be noted}.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
if ARGV[3] ~= '0' and redis.call('EXISTS', KEYS[2]) == 1 then return {2, 0, 0, 0} end
local oldest = redis.call('LINDEX', KEYS[1], -1)
while oldest and now - oldest >= window do
  redis.call('RPOP', KEYS[1])
  oldest = redis.call('LINDEX', KEYS[1], -1)
end
local used = redis.call('LLEN', KEYS[1])
if used >= limit then return {1, 0, window - (now - redis.call('LINDEX', KEYS[1], limit - 1)), 0} end
redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
if ARGV[3] ~= '0' then redis.call('SET', KEYS[2], 1, 'EX', ARGV[3]) end
local first = ARGV[4] ~= '0' and redis.call('SET', KEYS[3], 1, 'NX', 'EX', ARGV[4])
return {0, limit - used - 1, window - (now - (oldest or now)), first and 1 or 0}
"""
_SHA = hashlib.sha1(_SCRIPT.encode()).hexdigest()  # noqa: S324 - Redis' name for a script, not a secret


@dataclass(frozen=True)
class Quota:
    """`limit` calls in any minute; `name` is the policy's in the headers."""

    name: str
    limit: int


@dataclass(frozen=True)
class Decision:
    """What Redis said of one call.

    For the next `seconds` there are `remaining` calls; then the oldest one counted leaves the window.
    """

    quota: Quota
    is_admitted: bool
    is_replay: bool
    remaining: int
    seconds: int
    is_first_use: bool = False

    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit`, as in draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Policy": f'"{self.quota.name}";q={self.quota.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"{self.quota.name}";r={self.remaining};t={self.seconds}',
        }


@dataclass(frozen=True)
class Once:
    """A mark in Redis that one call sets: its key and how many seconds it stays."""

    key: str
    seconds: int


def partner_quota(tier: str) -> Quota:
    """The quota of a partner's tier."""
    return Quota(tier.lower(), settings.RATE_LIMITS[tier])


def public_quota() -> Quota:
    """The quota of a client address on the endpoints that need no key."""
    return Quota("public", settings.RATE_LIMITS["PUBLIC"])


def public_subject(address: str | None) -> str:
    """The subject that calls are counted for: an IPv4 address, an IPv6 /64 (one customer), or all unknown addresses
    together.
    """
    if address is None or ":" not in address:
        return f"address:{address or 'unknown'}"
    return f"address:{ipaddress.ip_network(f'{address}/64', strict=False).network_address}"


def count_call(*, quota: Quota, subject: str, signature: Once | None = None, use: Once | None = None) -> Decision:
    """Count one call of `subject`, or refuse it; raises `RedisError` where Redis does not answer.

    `signature` must not be marked yet, and is marked; `use` is marked where it was not, and `is_first_use` says
    whether.
    """
    keys = [
        f"rate:{subject}",
        f"signature:{signature.key}" if signature else "-",
        f"key-used:{use.key}" if use else "-",
    ]
    marks = [signature.seconds if signature else 0, use.seconds if use else 0]
    outcome, remaining, microseconds, first = _run(*keys, quota.limit, WINDOW_SECONDS * _MICROSECONDS, *marks)
    return Decision(
        quota=quota,
        is_admitted=outcome == 0,
        is_replay=outcome == 2,
        remaining=remaining,
        seconds=math.ceil(microseconds / _MICROSECONDS),
        is_first_use=first == 1,
    )


def refusal(decision: Decision) -> TooManyRequests:
    """429 with the seconds after which a call may pass."""
    return TooManyRequests(
        ErrorCode.RATE_LIMITED,
        f"Rate limit exceeded: {decision.quota.limit} requests a minute",
        retry_after=max(decision.seconds, 1),
    )


def _run(*arguments: object) -> Any:
    redis: Any = get_redis_connection("default")
    try:
        return redis.evalsha(_SHA, 3, *arguments)
    except NoScriptError:  # Redis was restarted, or never saw it
        return redis.eval(_SCRIPT, 3, *arguments)
