"""A loan that a partner drew for a user, and its repayments."""

import uuid

from django.db import models

from chain.models import FundingTransfer, Operation
from loans.models.evidence import Proven
from partner_platform.core import clock
from partner_platform.core.database.guarded import GuardedManager
from partner_platform.core.fields import AddressField, BaseUnitsField, HashField, Uint256Field, UUIDPrimaryKey
from partners.models import Partner

MAX_LABEL = 128  # characters of what a loan is listed by


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
    ONCHAIN = "ONCHAIN"  # somebody else paid the pool themselves: the user, or a liquidator


class PartnerLoan(Proven):
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
    interest_rate_bps = models.PositiveIntegerField(default=0, db_column="interest_rate")  # a year, fixed when drawn
    # Its share of the position's debt at the pool, as of `interest_since` (seconds since the epoch), and the sums of
    # the loans drawn before it, which are rounded first (`loans.debt.interest`).
    bearing_principal = BaseUnitsField(default=0)
    accrued_scaled = Uint256Field(default=0)
    prior_principal = BaseUnitsField(default=0)
    prior_accrued_scaled = Uint256Field(default=0, db_column="prior_accrued")
    interest_since = models.PositiveBigIntegerField(default=0)
    draw_order = models.PositiveBigIntegerField(default=0)  # where on the chain it was drawn: block and log
    interest_paid = BaseUnitsField(default=0)
    written_off_principal = BaseUnitsField(default=0)  # lost in a liquidation
    written_off_interest = BaseUnitsField(default=0)
    loan_duration = models.PositiveIntegerField(null=True, blank=True)  # seconds from the draw to the last due date
    number_of_installments = models.PositiveSmallIntegerField(null=True, blank=True)
    schedule = models.JSONField(default=list)  # [{number, dueAt, amount, status}], principal in equal instalments
    next_due_at = models.DateTimeField(null=True, blank=True)  # of the first instalment that is not paid
    untold_due_at = models.DateTimeField(null=True, blank=True)  # the same until `payment.due_soon` was recorded
    defaulted_at = models.DateTimeField(null=True, blank=True)
    default_reason = models.CharField(max_length=300, blank=True, default="")
    total_repaid = BaseUnitsField(default=0)
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
    borrow_block_hash = HashField(blank=True, default="")
    repay_tx_hash = HashField(blank=True, default="")
    daily_usage_day = models.DateField()  # the UTC day whose limit it counts against
    borrowed_at = models.DateTimeField(null=True, blank=True)  # block time
    last_repayment_at = models.DateTimeField(null=True, blank=True)
    repayment_in_flight = models.BooleanField(default=False)  # one is accepted at a time; a reorg can bring one more
    # The user's signature (`loans.consent.verification`), with its nonce once more where the database can hold it once
    # per wallet.
    user_authorization = models.JSONField(null=True, blank=True, editable=False)
    consent_nonce = Uint256Field(null=True, blank=True, editable=False)
    metadata = models.JSONField(null=True, blank=True)
    # Of the metadata (`loans.labels`): lists are filtered by these columns, not by what is in the JSON.
    partner_user_id = models.CharField(max_length=MAX_LABEL, blank=True, default="")
    loan_purpose = models.CharField(max_length=MAX_LABEL, blank=True, default="")
    event_sequence = models.PositiveIntegerField(default=0)  # of the newest event that tells of the loan
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

    objects = GuardedManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["partner", "partner_loan_id"], name="loan_id_once_per_partner"),
            models.UniqueConstraint(fields=["user_wallet", "consent_nonce"], name="loan_consent_once"),
            models.CheckConstraint(
                condition=models.Q(outstanding_principal__lte=models.F("principal_amount")),
                name="loan_debt_within_principal",
            ),
        ]
        indexes = [
            models.Index(fields=["partner", "-created_at", "-id"], name="loan_partner_time"),
            models.Index(fields=["partner", "status", "-created_at", "-id"], name="loan_partner_status"),
            models.Index(fields=["partner", "user_wallet", "status", "-created_at", "-id"], name="loan_user_status"),
            models.Index(fields=["partner", "user_wallet", "-created_at", "-id"], name="loan_user"),
            models.Index(fields=["oaid_token_id", "status"], name="loan_oaid_status"),
            models.Index(fields=["user_wallet", "status"], name="loan_wallet_status"),
            models.Index(fields=["solvency_position_id", "status"], name="loan_position_status"),
            models.Index(fields=["status", "next_due_at"], name="loan_due"),
            models.Index(fields=["status", "untold_due_at"], name="loan_due_untold"),
            models.Index(fields=["partner", "partner_user_id", "-created_at", "-id"], name="loan_partner_user"),
            models.Index(fields=["partner", "loan_purpose", "-created_at", "-id"], name="loan_purpose"),
            models.Index(
                fields=["partner", "loan_purpose", "status", "-created_at", "-id"], name="loan_purpose_status"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.partner_loan_id} ({self.status})"


class Repayment(Proven):
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
    principal_paid = BaseUnitsField(default=0)
    interest_paid = BaseUnitsField(default=0)
    payoff_terms = models.JSONField(
        null=True, blank=True
    )  # what the executor reckons a payoff from (`loans.debt.payoffs`)
    platform_covered = BaseUnitsField(default=0)  # interest of the last seconds that no funds of the partner covered
    chain_order = models.PositiveBigIntegerField(default=0)  # block and log of the payment
    tx_hash = HashField(blank=True, default="")
    failure_reason = models.CharField(max_length=300, blank=True, default="")
    failure_code = models.CharField(max_length=50, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["loan", "created_at"], name="repayment_loan"),
            models.Index(fields=["loan", "chain_order"], name="repayment_chain_order"),
            models.Index(fields=["partner", "-created_at", "-id"], name="repayment_partner_time"),
            models.Index(fields=["partner", "status", "-created_at", "-id"], name="repayment_partner_status"),
            models.Index(fields=["status", "funding"], name="repayment_in_flight"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} of {self.loan_id}"
