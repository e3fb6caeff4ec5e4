"""What partners are told about themselves, as an event and by e-mail, in the transaction of the change.

A suspension, a limit that is used to 80 % or 100 %, an API key that expires soon. The objects of the events are
described in `partners.notices.event_objects`. No event and no mail contains a key, or why a partner was suspended.
"""

import datetime as dt
from collections.abc import Mapping
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from events.kinds import EventType
from events.selectors import is_recorded
from events.services import NewEvent, event_id_of, record_events
from partner_platform.core import clock
from partner_platform.core.clock import isoformat
from partner_platform.core.database.isolation import alone
from partner_platform.core.database.transactions import again_if_taken, run_in_transaction
from partner_platform.core.money import format_dollars
from partners.models import ApiKey, Partner, PartnerDailyUsage, SuspensionScope
from partners.notices.limit_marks import LimitType, LimitUse, marks_passed
from partners.notices.mail import queue_mail
from partners.rules import is_live


def tell_suspended(partner: Partner) -> None:
    """The partner, as it is now, was suspended, or its suspension changed in scope; a further reason is not told."""
    moment = clock.now()
    is_wide = partner.suspension_scope == SuspensionScope.ALL
    data = {
        "partnerId": partner.partner_id,
        "status": str(partner.status),
        "scope": str(partner.suspension_scope),
        "suspendedAt": isoformat(moment),
    }
    record_events([NewEvent(EventType.PARTNER_SUSPENDED, partner.pk, data)])
    what = "suspended" if is_wide else "suspended for borrowing"
    refused = "API calls" if is_wide else "borrows"
    others = "" if is_wide else "Its other calls are answered, and repayments are taken. "
    queue_mail(
        partner=partner,
        once=f"partner.suspended:{partner.pk}:{partner.status_changes}",
        subject=f"{partner.partner_id} is {what}",
        text=(
            f"The partner account {partner.partner_id} was {what} at {isoformat(moment)}.\n\n"
            f"Its {refused} are refused with 403 partner_not_active. {others}Loans that were accepted are settled, and "
            "webhooks are delivered as before. Please contact us.\n"
        ),
    )


def tell_limit_used(
    partner: Partner, limit_type: LimitType, before: LimitUse, after: LimitUse, *, day: dt.date | None = None
) -> None:
    """Warn of each mark that was passed between `before` and `after`; costs nothing where none was.

    The caller's transaction has changed the partner's row, so of two that pass a mark the later one sees the other's.
    A mark of a daily limit is told once a UTC day (`day`), one of the total limit each time it is passed again.
    """
    told = [percent for percent in marks_passed(before, after) if _tell_mark(partner, limit_type, after, percent, day)]
    if told:
        _mail_limit_used(partner, limit_type, after, told[-1], day)


def _tell_mark(partner: Partner, limit_type: LimitType, now: LimitUse, percent: int, day: dt.date | None) -> bool:
    data = {
        "partnerId": partner.partner_id,
        "limitType": str(limit_type),
        "percentage": percent,
        "limit": str(now.limit),
        "used": str(now.used),
        "remaining": str(max(now.limit - now.used, 0)),
        "day": day.isoformat() if day else None,
    }
    once = f"limit:{partner.pk}:{day}:{now.limit}:{percent}" if day else None
    return _record(NewEvent(EventType.PARTNER_LIMIT_WARNING, partner.pk, data, once=once))


def _mail_limit_used(partner: Partner, limit_type: LimitType, now: LimitUse, percent: int, day: dt.date | None) -> None:
    name = limit_type.lower()
    today = day or clock.today()  # a total limit that is passed again and again is mailed once a day
    period = f" on {today} (UTC)" if day else ""
    queue_mail(
        partner=partner,
        once=f"limit:{partner.pk}:{name}:{today}:{now.limit}:{percent}",
        subject=f"{partner.partner_id} has used {percent} % of its {name} limit",
        text=(
            f"{partner.partner_id} has used {format_dollars(now.used)} of its {name} borrow limit of "
            f"{format_dollars(now.limit)}{period}.\n\n"
            f"A borrow that would pass the limit is refused with 403 {name}_limit_exceeded.\n"
        ),
    )


def tell_changed_limits(partner_pk: UUID, before: Mapping[str, int]) -> None:
    """Warn where a limit was lowered to or below what is used; `before` are the former values of the changed limits.

    In the transaction that changed them.
    """
    partner = Partner.objects.get(pk=partner_pk)
    if "daily_borrow_limit" in before:
        day = clock.today()
        usage = PartnerDailyUsage.objects.filter(partner_id=partner_pk, day=day).values_list("borrowed", flat=True)
        used = usage.first() or 0
        was, now = LimitUse(used, before["daily_borrow_limit"]), LimitUse(used, partner.daily_borrow_limit)
        tell_limit_used(partner, LimitType.DAILY, was, now, day=day)
    if "total_borrow_limit" in before:
        used = partner.current_outstanding
        was, now = LimitUse(used, before["total_borrow_limit"]), LimitUse(used, partner.total_borrow_limit)
        tell_limit_used(partner, LimitType.TOTAL, was, now)


def tell_expiring_keys() -> int:
    """Warn of live keys that expire within `API_KEY_EXPIRY_WARNING_DAYS`, once for each; returns how many were told.

    A key that is first seen when several of these days have come is told once, of the nearest one.
    """
    now = clock.now()
    return sum(
        alone(partial(run_in_transaction, partial(_tell_expiring, key, now)), f"warning of key {key.prefix}")
        for key in list(expiring_query(now))
    )


def expiring_query(now: dt.datetime) -> QuerySet[ApiKey]:
    """The keys to be warned of, with their partners, for the index tests too."""
    until = now + dt.timedelta(days=max(settings.API_KEY_EXPIRY_WARNING_DAYS, default=0))
    return ApiKey.objects.filter(revoked_at=None, expires_at__gt=now, expires_at__lte=until).select_related("partner")


def _tell_expiring(seen: ApiKey, now: dt.datetime) -> int:
    key = ApiKey.objects.select_related("partner").get(pk=seen.pk)
    if key.expires_at is None or not is_live(key, now):
        return 0  # it was revoked since the list was read
    left = key.expires_at - now
    days = min((days for days in settings.API_KEY_EXPIRY_WARNING_DAYS if left <= dt.timedelta(days=days)), default=None)
    if days is None:
        return 0
    partner, until = key.partner, isoformat(key.expires_at)
    data = {"partnerId": partner.partner_id, "prefix": key.prefix, "expiresAt": until}
    once = f"api_key.expiring:{key.pk}:{days}"
    if not _record(NewEvent(EventType.API_KEY_EXPIRING, partner.pk, data, once=once)):
        return 0
    queue_mail(
        partner=partner,
        once=once,
        subject=f"An API key of {partner.partner_id} expires at {until}",
        text=(
            f"The API key {key.prefix}… of {partner.partner_id} expires at {until}.\n\n"
            "Calls with it are refused with 401 expired_api_key from then on. Use another key before.\n"
        ),
    )
    return 1


def _record(event: NewEvent) -> bool:
    """Record the event; False where its `once` was recorded before."""
    if event.once is not None and is_recorded(event_id_of(event.once)):
        return False
    with again_if_taken():
        record_events([event])
    return True
