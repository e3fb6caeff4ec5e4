"""The runs of the reconciliation, and the sums that each leaves to the next."""

from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import BaseUnitsField, HashField, UUIDPrimaryKey
from partners.models import Partner


class ReconciliationRun(models.Model):
    """One comparison of the books with themselves and with the chain, and what it found.

    `findings` are those that are named, `[{subject, what, booked, actual, repair, sinceBlock}]`; `in_motion` what was
    under way, `[{subject, sinceBlock, told}]`. `number` counts the runs that leave sums to the next one
    (`ReconciledDay`, `flows`), each made on the one before; null where another run came in between.
    """

    id = UUIDPrimaryKey()
    number = models.PositiveBigIntegerField(null=True, blank=True, unique=True)
    is_full = models.BooleanField(default=True)  # every row was compared, not only what moved since the last run
    block_number = models.PositiveBigIntegerField()
    block_hash = HashField(blank=True, default="")
    checked = models.JSONField()  # how many of each kind were compared
    findings = models.JSONField()
    finding_count = models.PositiveIntegerField()
    found_by_kind = models.JSONField(null=True)  # {kind: count}; null, as an empty default breaks MongoDB's migration
    unconfirmed_count = models.PositiveIntegerField(default=0)  # seen in this run for the first time
    in_motion = models.JSONField(default=list)
    in_motion_count = models.PositiveIntegerField(default=0)
    overdue_count = models.PositiveIntegerField(default=0)  # in motion for longer than CHAIN_OVERDUE_BLOCKS
    audit_block = models.PositiveBigIntegerField(default=0)  # how far the audit trail had been sealed
    flows = models.JSONField(null=True)  # what the platform accounts are to hold: {address: base units as text}
    repaired = models.BooleanField(default=False)
    duration_ms = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [
            models.Index(fields=["-created_at"], name="reconciliation_newest"),
            models.Index(fields=["is_full", "-created_at"], name="reconciliation_full"),
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M}: {self.finding_count} findings"


class ReconciledDay(models.Model):
    """What a partner's loans of one UTC day added up to in the last reconciliation that left sums."""

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    used = BaseUnitsField()  # accepted and not failed
    outstanding = BaseUnitsField()
    borrowed = BaseUnitsField()  # drawn
    repaid = BaseUnitsField()
    active_loans = models.PositiveIntegerField()
    repaid_loans = models.PositiveIntegerField()
    drawn_loans = models.PositiveIntegerField(default=0)
    fees = BaseUnitsField(default=0)  # of those that were drawn
    defaulted_loans = models.PositiveIntegerField(default=0)  # that ever defaulted or were liquidated

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partner", "day"], name="reconciled_day_once")]

    def __str__(self) -> str:
        return f"{self.partner_id} {self.day}"
