"""The wallets that loans are made to: what stops one, and the row that its borrows queue at."""

from django.db import models

from partner_platform.core.fields import AddressField, UUIDPrimaryKey


class UserWallet(models.Model):
    """A user's wallet, across all partners (`loans.stopping.wallets`, `loans.stopping.screening`).

    `borrows` is counted up in each transaction that accepts a borrow of the wallet, so that two of them, or one and a
    block, run one after the other. What the wallet owes is not kept here: it is what its loans add up to.
    """

    id = UUIDPrimaryKey()
    address = AddressField(unique=True)
    is_blocked = models.BooleanField(default=False)
    blocked_at = models.DateTimeField(null=True, blank=True)
    blocked_by = models.CharField(max_length=200, blank=True, default="")
    block_reason = models.CharField(max_length=300, blank=True, default="")
    borrows = models.PositiveBigIntegerField(default=0)
    # The last outcome of the screening service; no time: it was never asked.
    screened_at = models.DateTimeField(null=True, blank=True)
    screening_refused = models.BooleanField(default=False)
    screening_reference = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["-is_blocked", "-blocked_at", "-id"], name="wallet_blocked")]

    def __str__(self) -> str:
        return self.address
