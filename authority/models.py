"""Authority: what waits for a second person, and what was done without one.

An `Approval` is a change that somebody asked for and somebody else decides about. It keeps what the decision is made
on (`before`, `after`, `impact`), how the change is made (`arguments`) and a keyed digest of all of it and of who asked:
at approval the change is computed anew and must have the same digest. While it waits, `once` is the digest, so that the
same person asking again gets the same row; once it is closed, `once` is its own id. It leaves WAITING by one guarded
update.

A `GlassBreak` is a change that was made without a second person. Somebody else reviews it, within 24 hours.
"""

from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import UUIDPrimaryKey


class ApprovalStatus(models.TextChoices):
    """Only WAITING can change. OUTDATED: at approval the change was no longer what had been shown."""

    WAITING = "WAITING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    OUTDATED = "OUTDATED"


class Approval(models.Model):
    """A change that waits for a second person, or waited for one."""

    id = UUIDPrimaryKey()
    kind = models.CharField(max_length=60)  # of `authority.approvals.kinds`
    target = models.CharField(max_length=120)  # kind:id, as in the audit trail
    rights = models.JSONField(default=list)  # of who asks and of who decides
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    impact = models.CharField(max_length=300, blank=True, default="")
    arguments = models.JSONField(default=dict)
    basis = models.JSONField(default=dict)  # what else the decision rests on; compared, not shown
    digest = models.CharField(max_length=64)
    once = models.CharField(max_length=64, unique=True)
    maker = models.CharField(max_length=200)  # staff:{username}
    maker_account = models.CharField(max_length=64, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    status = models.CharField(max_length=10, choices=ApprovalStatus, default=ApprovalStatus.WAITING)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    decided_by = models.CharField(max_length=200, blank=True, default="")
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        indexes = [
            models.Index(fields=["created_at", "id"], name="approval_time"),
            models.Index(fields=["status", "created_at", "id"], name="approval_status"),
            models.Index(fields=["kind", "created_at", "id"], name="approval_kind"),
            models.Index(fields=["status", "kind", "created_at", "id"], name="approval_status_kind"),
            models.Index(fields=["status", "expires_at"], name="approval_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.target}, {self.status}"


class GlassBreak(models.Model):
    """A change that somebody made without the second person; unreviewed while `reviewed_by` is empty."""

    id = UUIDPrimaryKey()
    kind = models.CharField(max_length=60)
    target = models.CharField(max_length=120)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    impact = models.CharField(max_length=300, blank=True, default="")
    actor = models.CharField(max_length=200)
    actor_account = models.CharField(max_length=64, blank=True, default="")
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=clock.now)
    review_by = models.DateTimeField()
    is_overdue_told = models.BooleanField(default=False)
    reviewed_by = models.CharField(max_length=200, blank=True, default="")
    reviewed_at = models.DateTimeField(null=True, blank=True)
    review_note = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        indexes = [
            models.Index(fields=["created_at"], name="glassbreak_time"),
            models.Index(fields=["reviewed_by", "review_by"], name="glassbreak_review"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.target} by {self.actor}"
