"""Admission of an authenticated call: client address, signature, concurrency, rate; in this order.

Redis is asked once. Without Redis reads go on, unlimited and with signatures not checked for replay; what moves money
is 503, since nothing could drive it. Source: docs/api.md, Authentication and Rate limits.
"""

import logging

from django.conf import settings
from django.http import HttpRequest
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from audit.calls.client_address import client_address
from partner_platform.core.errors import ErrorCode, TooManyRequests, Unavailable
from partners.access import concurrency, last_used, rate_limit, signing
from partners.access.rate_limit import Decision, Once
from partners.models import ApiKey, Partner
from partners.rules import require_allowed_address

logger = logging.getLogger(__name__)


def admit(request: HttpRequest, api_key: ApiKey, *, moves_money: bool) -> None:
    """Admit the call, or raise 403 (address), 401 (signature), 429 (in flight, rate), 503 (no Redis, money moves)."""
    partner = api_key.partner
    require_allowed_address(partner, _address(request))
    signature = signing.verify_signature(request, partner) if partner.signing_required else None
    _enter(request, partner)
    use = Once(str(api_key.pk), rate_limit.USE_NOTED_SECONDS) if last_used.is_stale(api_key) else None
    try:
        decision = rate_limit.count_call(
            quota=rate_limit.partner_quota(partner.tier), subject=str(partner.pk), signature=signature, use=use
        )
    except RedisError as error:
        logger.warning("rate limits are not kept: %s", error)
        _note_admitted(request)
        if moves_money:
            raise _queue_unavailable() from error
        if use is not None:
            last_used.note(api_key)
        return
    if decision.is_replay:
        raise signing.replayed()
    _note_admitted(request)
    _hold(request, decision)
    if decision.is_first_use:
        last_used.note(api_key)


class PublicThrottle(BaseThrottle):
    """DRF's hook for endpoints without a key: so many calls a minute per client address (IPv6: per /64)."""

    def allow_request(self, request: Request, view: object) -> bool:
        subject = rate_limit.public_subject(_address(request))
        try:
            decision = rate_limit.count_call(quota=rate_limit.public_quota(), subject=subject)
        except RedisError as error:
            logger.warning("rate limits are not kept: %s", error)
            return True
        _hold(request._request, decision)  # noqa: SLF001 - the middleware sees Django's request
        return True


def _enter(request: HttpRequest, partner: Partner) -> None:
    try:
        concurrency.enter(request, partner)
    except TooManyRequests:
        _note_admitted(request)
        raise


def _note_admitted(request: HttpRequest) -> None:
    """From here on the call counts as the partner's: it always gets a row in the call log."""
    request.api_call_is_admitted = True  # type: ignore[attr-defined]


def _queue_unavailable() -> Unavailable:
    """503 where Redis is down: what would be accepted now could not be driven, so nothing is accepted."""
    return Unavailable(ErrorCode.QUEUE_UNAVAILABLE, "Settlement is not available; this request changed nothing")


def _address(request: HttpRequest | Request) -> str | None:
    return client_address(request.META, settings.TRUSTED_PROXIES)


def _hold(request: HttpRequest, decision: Decision) -> None:
    request.rate_limit = decision  # type: ignore[attr-defined]  # the middleware writes its headers
    if not decision.is_admitted:
        raise rate_limit.refusal(decision)
