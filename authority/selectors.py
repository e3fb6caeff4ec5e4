"""Reads of approvals and of broken glass."""

import uuid

from django.db.models import QuerySet

from authority.models import Approval, ApprovalStatus, GlassBreak
from partner_platform.core import clock
from partner_platform.core.errors import ErrorCode, NotFound


def approvals_query(*, status: str | None = None, kind: str | None = None) -> QuerySet[Approval]:
    """The approvals, newest first, of a status and a kind where these are given."""
    chosen = {"status": status, "kind": kind}
    found = Approval.objects.filter(**{name: value for name, value in chosen.items() if value is not None})
    return found.order_by("-created_at", "-id")


def get_approval(approval_id: str) -> Approval:
    """The approval of the id; 404 `approval_not_found` where there is none, whatever the text is."""
    try:
        found = Approval.objects.filter(pk=uuid.UUID(approval_id)).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound(ErrorCode.APPROVAL_NOT_FOUND, "Approval not found")
    return found


def expired_approvals_query() -> QuerySet[Approval]:
    """The approvals that wait although their time is over."""
    expired = Approval.objects.filter(status=ApprovalStatus.WAITING, expires_at__lte=clock.now())
    return expired.order_by("expires_at")


def overdue_reviews_query() -> QuerySet[GlassBreak]:
    """Uses of break-glass that nobody reviewed in time, the oldest first."""
    return GlassBreak.objects.filter(reviewed_by="", review_by__lte=clock.now()).order_by("review_by")


def count_waiting() -> int:
    """How many approvals wait. For metrics."""
    return Approval.objects.filter(status=ApprovalStatus.WAITING).count()


def count_unreviewed() -> dict[str, int]:
    """How many uses of break-glass nobody has reviewed: in time still, or overdue. For metrics."""
    unreviewed = GlassBreak.objects.filter(reviewed_by="")
    overdue = unreviewed.filter(review_by__lte=clock.now()).count()
    return {"in_time": unreviewed.filter(review_by__gt=clock.now()).count(), "overdue": overdue}
