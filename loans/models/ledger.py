"""The ledger of a position: each event at the pool as it was applied, and how to undo it."""

from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import BaseUnitsField, HashField, Uint256Field, UUIDPrimaryKey


class LedgerEntryKind(models.TextChoices):
    DRAW = "DRAW"
    PAYMENT = "PAYMENT"
    LIQUIDATION = "LIQUIDATION"


class LedgerEntry(models.Model):
    """An event at the pool as it was applied to a position and its loans, once, with the figures from before it.

    `before` is what a rollback restores (`loans.ledger.entries`): the position's columns, and those of each loan that
    it changed.
    """

    id = UUIDPrimaryKey()
    position_id = Uint256Field()
    order = models.PositiveBigIntegerField()  # block and log, as one number
    kind = models.CharField(max_length=12, choices=LedgerEntryKind)
    amount = BaseUnitsField()
    loan_id = models.UUIDField(null=True, blank=True)  # that drew; a payment's loans are in `before`
    moment = models.PositiveBigIntegerField()  # block time, seconds since the epoch
    tx_hash = HashField()
    before = models.JSONField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name_plural = "ledger entries"
        constraints = [models.UniqueConstraint(fields=["position_id", "order"], name="ledger_entry_once")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.amount} on {self.position_id}"
