"""The books: every loan, every repayment, and the position that backs them.

A loan is accepted in one transaction with its reservations (the partner's daily and total limits, the OAID's credit)
and its chain operation, and is settled by `loans.settlement` when that operation reaches a final state. Invariants:
M1 no interleaving passes a limit; M2 `net` is paid exactly once or the reservation is released exactly once; M3 a
transfer funds at most its value; M4 the running sums equal what loans and repayments add up to. States and their
edges are in `loans.states`. Amounts are USDC base units, rates basis points a year. Source: plan, PartnerLoan and
SolvencyPosition schemas.
"""

import uuid

from django.db import models

from chain.models import FundingTransfer, Operation
from partner_platform.core import clock
from partner_platform.core.fields import AddressField, BaseUnitsField, HashField, Uint256Field, UUIDPrimaryKey
from partners.models import Partner


class LoanStatus(models.TextChoices):
    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    REPAID = "REPAID"
    DEFAULTED = "DEFAULTED"
    LIQUIDATED = "LIQUIDATED"
    FAILED = "FAILED"


class RepaymentStatus(models.TextChoices):
    PENDING = "PENDING"
    SETTLED = "SETTLED"
    FAILED = "FAILED"


class RepaymentSource(models.TextChoices):
    USER = "USER"
    PARTNER = "PARTNER"
    LIQUIDATION = "LIQUIDATION"


class FundingSource(models.TextChoices):
    """Where a partner's repayment money comes from."""

    TRANSFER = "TRANSFER"  # proven by repaymentTxHash
    PULLED = "PULLED"  # transferFrom the settlement address, inside the operation
    TRUSTED = "TRUSTED"  # taken from the platform account on the partner's word


class OaidCredit(models.Model):
    """Credit of one OAID that is accepted and not yet on the chain (M1).

    `reserved` adds up the loans in flight. `settled_block` is the newest block in which one of them landed: a
    reservation made against a chain reading older than that would not see the landed loan anywhere, so the guarded
    update demands a reading at least as new.
    """

    id = UUIDPrimaryKey()
    oaid_token_id = Uint256Field(unique=True)
    reserved = BaseUnitsField(default=0)
    settled_block = models.PositiveBigIntegerField(default=0)

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
    total_partner_debt = BaseUnitsField(default=0)
    synced_block = models.PositiveBigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["oaid_token_id", "active"], name="position_oaid")]

    def __str__(self) -> str:
        return f"position {self.position_id}"


class PartnerLoan(models.Model):
    """A loan a partner drew for a user (plan, PartnerLoan)."""

    id = UUIDPrimaryKey()
    internal_loan_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="loans")
    partner_loan_id = models.CharField(max_length=64)
    partner_name = models.CharField(max_length=200)
    user_wallet = AddressField()
    oaid_token_id = Uint256Field()
    solvency_position_id = Uint256Field()
    principal_amount = BaseUnitsField()
    outstanding_principal = BaseUnitsField()
    interest_rate = models.PositiveIntegerField(default=0)  # basis points a year, fixed when drawn
    total_repaid = BaseUnitsField(default=0)
    repayment_history = models.JSONField(default=list)  # the settled repayments, as the API shows them
    platform_fee_charged = BaseUnitsField()
    platform_fee_paid = models.BooleanField(default=False)
    net_amount = BaseUnitsField()
    remaining_credit = BaseUnitsField()  # of the OAID after acceptance, for the answer
    settlement_address = AddressField()  # as it was at acceptance
    status = models.CharField(max_length=10, choices=LoanStatus, default=LoanStatus.PENDING)
    failure_reason = models.CharField(max_length=300, blank=True, default="")
    failure_code = models.CharField(max_length=50, blank=True, default="")
    borrow_operation = models.OneToOneField(Operation, on_delete=models.PROTECT, related_name="borrowed_loan")
    borrow_tx_hash = HashField(blank=True, default="")
    repay_tx_hash = HashField(blank=True, default="")
    daily_usage_day = models.DateField()  # the UTC day whose limit it counts against
    borrowed_at = models.DateTimeField(null=True, blank=True)  # block time
    last_repayment_at = models.DateTimeField(null=True, blank=True)
    repayment_in_flight = models.BooleanField(default=False)  # one repayment of a loan at a time
    metadata = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["partner", "partner_loan_id"], name="loan_id_once_per_partner"),
            models.CheckConstraint(
                condition=models.Q(outstanding_principal__lte=models.F("principal_amount")),
                name="loan_debt_within_principal",
            ),
        ]
        indexes = [
            models.Index(fields=["partner", "status"], name="loan_partner_status"),
            models.Index(fields=["partner", "user_wallet", "status", "-created_at"], name="loan_user_status"),
            models.Index(fields=["partner", "user_wallet", "-created_at"], name="loan_user"),
            models.Index(fields=["oaid_token_id", "status"], name="loan_oaid_status"),
            models.Index(fields=["solvency_position_id", "status"], name="loan_position_status"),
        ]

    def __str__(self) -> str:
        return f"{self.partner_loan_id} ({self.status})"


class Repayment(models.Model):
    """One repayment of a loan. A PENDING one holds its loan's `repayment_in_flight` and its funding."""

    id = UUIDPrimaryKey()
    loan = models.ForeignKey(PartnerLoan, on_delete=models.PROTECT, related_name="repayments")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="repayments")
    amount = BaseUnitsField()
    closes_loan = models.BooleanField(default=False)
    status = models.CharField(max_length=10, choices=RepaymentStatus, default=RepaymentStatus.PENDING)
    repaid_by = models.CharField(max_length=12, choices=RepaymentSource, default=RepaymentSource.PARTNER)
    funding = models.CharField(max_length=10, choices=FundingSource)
    funding_transfer = models.ForeignKey(
        FundingTransfer, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    operation = models.OneToOneField(
        Operation, null=True, blank=True, on_delete=models.PROTECT, related_name="repayment"
    )
    tx_hash = HashField(blank=True, default="")
    failure_reason = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["loan", "created_at"], name="repayment_loan"),
            models.Index(fields=["partner", "status", "created_at"], name="repayment_partner_status"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} of {self.loan_id}"
