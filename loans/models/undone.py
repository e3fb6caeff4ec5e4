"""What a reorganization of the chain took back of a loan, for the partner's statement."""

from django.db import models

from loans.models.ledger import LedgerEntryKind
from loans.models.loans import PartnerLoan
from partner_platform.core import clock
from partner_platform.core.fields import BaseUnitsField, HashField, UUIDPrimaryKey
from partners.models import Partner


class UndoneMovement(models.Model):
    """A draw, a payment or a liquidation of a loan as it was booked, and when a rollback took it back.

    Without it a statement of the month in which it was booked would change: loan and repayment keep nothing of it.
    """

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    loan = models.ForeignKey(PartnerLoan, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=LedgerEntryKind)
    principal = BaseUnitsField(default=0)  # drawn, paid or recovered
    fee = BaseUnitsField(default=0)
    interest = BaseUnitsField(default=0)
    written_off = BaseUnitsField(default=0)  # of the principal
    order = models.PositiveBigIntegerField()  # block and log, as one number
    tx_hash = HashField()
    moved_at = models.DateTimeField()  # block time
    undone_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [
            models.Index(fields=["partner", "moved_at", "id"], name="undone_partner_moved"),
            models.Index(fields=["partner", "undone_at", "id"], name="undone_partner_undone"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.principal} undone"
