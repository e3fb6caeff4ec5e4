"""Where on the chain a loan or a repayment became what it is."""

from django.db import models

from partner_platform.core.fields import HashField


class Proven(models.Model):
    """The transaction on the chain that made the row what it is now; `evidence_order` is 0 where none did, or where the
    row was written before this was kept.
    """

    evidence_order = models.PositiveBigIntegerField(default=0)  # block and log, as one number
    evidence_tx_hash = HashField(blank=True, default="")
    evidence_block_hash = HashField(blank=True, default="")

    class Meta:
        abstract = True
