"""What backs loans: an OAID's reserved credit, and the collateral position that the chain shows for it."""

from django.db import models

from partner_platform.core.database.guarded import GuardedManager
from partner_platform.core.fields import AddressField, BaseUnitsField, Uint256Field, UUIDPrimaryKey


class OaidCredit(models.Model):
    """Credit of one OAID that is accepted and not yet on the chain (M1).

    `reserved` sums the loans in flight. `settled_block` is the newest block in which one of them was drawn: against an
    older reading of the chain that loan would count nowhere, so the guarded update demands a reading at least as new.
    `version` counts the changes of `reserved`, which may have the same sum again for other loans, and each time that
    the reconciliation freezes the OAID.
    """

    id = UUIDPrimaryKey()
    oaid_token_id = Uint256Field(unique=True)
    reserved = BaseUnitsField(default=0)
    version = models.PositiveBigIntegerField(default=0)
    settled_block = models.PositiveBigIntegerField(default=0)
    frozen = models.BooleanField(default=False)  # the reconciliation found it or its position wrong: nothing is drawn

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(reserved__gte=0), name="oaid_reserved_not_negative")]

    def __str__(self) -> str:
        return f"OAID {self.oaid_token_id}: {self.reserved} reserved"


class SolvencyPosition(models.Model):
    """A collateral position as last read from the vault, with what partners lent against it."""

    id = UUIDPrimaryKey()
    position_id = Uint256Field(unique=True)
    oaid_token_id = Uint256Field()
    user_wallet = AddressField()
    collateral_token = AddressField()
    collateral_amount = Uint256Field()
    collateral_value_usd = Uint256Field()  # base units, 6 decimals
    usdc_borrowed = Uint256Field()
    token_type = models.CharField(max_length=20)  # RWA or PRIVATE_ASSET
    active = models.BooleanField()
    total_partner_debt = BaseUnitsField(default=0)  # outstanding principal of its partner loans
    synced_block = models.PositiveBigIntegerField(default=0)
    # The pool's books of it, as of the last event that moved them (`loans.debt.interest`); time in seconds since the
    # epoch.
    pool_principal = BaseUnitsField(default=0)
    pool_accrued_scaled = Uint256Field(default=0, db_column="pool_accrued")
    pool_rate_bps = models.PositiveIntegerField(default=0, db_column="pool_rate")  # a year
    pool_since = models.PositiveBigIntegerField(default=0)
    loans_principal = BaseUnitsField(
        default=0
    )  # the partner loans' share of pool_principal, and of pool_accrued_scaled
    loans_accrued_scaled = Uint256Field(default=0, db_column="loans_accrued")
    ledger_order = models.PositiveBigIntegerField(default=0)  # of the last event applied; nothing is applied twice
    health_factor_bps = models.PositiveBigIntegerField(
        null=True, blank=True, db_column="health_factor"
    )  # value over debt; null without debt
    health_warned_at = models.DateTimeField(null=True, blank=True)
    liquidated_at = models.DateTimeField(null=True, blank=True)
    frozen = models.BooleanField(default=False)
    frozen_reason = models.CharField(max_length=300, blank=True, default="")
    # Set while it is held (`positions.holding`), for an event or an operation of it could not be applied: how often,
    # when that is tried again, why, which operation, the block of what waits first, whether a long wait was reported.
    follow_failures = models.PositiveIntegerField(default=0)
    follow_after = models.DateTimeField(null=True, blank=True)
    follow_error = models.CharField(max_length=300, blank=True, default="")
    held_for = models.UUIDField(null=True, blank=True)  # the operation of ours that failed; null where an event did
    waiting_since_block = models.PositiveBigIntegerField(null=True, blank=True)
    waiting_told = models.BooleanField(default=False)
    # What was applied from this place on is still to be rolled back: it could not be when the reorg was seen.
    undo_from = models.PositiveBigIntegerField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = GuardedManager()

    class Meta:
        indexes = [
            models.Index(fields=["oaid_token_id", "active"], name="position_oaid"),
            models.Index(fields=["health_factor_bps"], name="position_health"),
            models.Index(fields=["ledger_order"], name="position_ledger"),
            models.Index(fields=["total_partner_debt"], name="position_partner_debt"),
            models.Index(fields=["waiting_told", "waiting_since_block"], name="position_waiting"),
            models.Index(fields=["undo_from"], name="position_undo_from"),
        ]

    def __str__(self) -> str:
        return f"position {self.position_id}"
