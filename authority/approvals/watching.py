"""What a regular task does: close approvals whose time is over, report reviews of break-glass that are overdue."""

import logging
from functools import partial

from authority import selectors
from authority.approvals import closing
from authority.approvals.proposing import ACTOR
from authority.models import ApprovalStatus, GlassBreak
from partner_platform.core.database.isolation import alone

logger = logging.getLogger(__name__)

AT_ONCE = 200


def expire_approvals() -> int:
    """Close those that nobody decided about in time; returns how many."""
    closed = 0
    for row in list(selectors.expired_approvals_query()[:AT_ONCE]):
        act = partial(closing.close, row.pk, ApprovalStatus.EXPIRED, actor=ACTOR, reason="Nobody decided in time")
        closed += bool(alone(act, f"expiring approval {row.pk}"))
    return closed


def report_overdue_reviews() -> int:
    """Log each use of break-glass that nobody reviewed within 24 hours, at ERROR and once; returns how many."""
    overdue = list(selectors.overdue_reviews_query().filter(is_overdue_told__in=[False])[:AT_ONCE])
    for row in overdue:
        logger.error("break-glass by %s is not reviewed: %s of %s, %s", row.actor, row.kind, row.target, row.pk)
    GlassBreak.objects.filter(pk__in=[row.pk for row in overdue]).update(is_overdue_told=True)
    return len(overdue)
