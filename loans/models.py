"""The books: every loan, every repayment, and the position that backs them.

A loan is accepted in one transaction with its reservations (the partner's daily and total limits, the OAID's credit)
and its chain operation, and is settled by `loans.settlement` when that operation reaches a final state. Invariants:
M1 no interleaving passes a limit; M2 `net` is paid exactly once or the reservation is released exactly once; M3 a
transfer funds at most its value, and nothing else spends what a partner sent (`loans.account_models`); M4 the running
sums equal what loans and repayments add up to. States and their edges are in `loans.states`. Amounts are USDC base
units, rates basis points a year. Source: plan, PartnerLoan and SolvencyPosition schemas.
"""

import uuid

from django.db import models

from chain.models import FundingTransfer, Operation
from loans import account_models  # noqa: F401 - Django looks for models here
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
    ONCHAIN = "ONCHAIN"  # somebody else paid the pool themselves: the user, or a liquidator


class OaidCredit(models.Model):
    """Credit of one OAID that is accepted and not yet on the chain (M1).

    `reserved` adds up the loans in flight. `settled_block` is the newest block in which one of them landed: a
    reservation made against a chain reading older than that would not see the landed loan anywhere, so the guarded
    update demands a reading at least as new. `version` counts the moves of `reserved`, whose sum may be the same again
    and that of other loans, and each time that the reconciliation freezes it.
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
    pool_accrued = Uint256Field(default=0)
    pool_rate = models.PositiveIntegerField(default=0)
    pool_since = models.PositiveBigIntegerField(default=0)
    loans_principal = BaseUnitsField(default=0)  # the partner loans' share of pool_principal, and of pool_accrued
    loans_accrued = Uint256Field(default=0)
    ledger_order = models.PositiveBigIntegerField(default=0)  # of the last event applied; nothing is applied twice
    health_factor = models.PositiveBigIntegerField(null=True, blank=True)  # basis points; null without debt
    health_warned_at = models.DateTimeField(null=True, blank=True)
    liquidated_at = models.DateTimeField(null=True, blank=True)
    frozen = models.BooleanField(default=False)
    frozen_reason = models.CharField(max_length=300, blank=True, default="")
    # It is held (`positions.holding`), for an event or an operation of it could not be applied: how often, why, when
    # that is tried again, the block of what comes first, and whether somebody was told that it waits for long.
    follow_failures = models.PositiveIntegerField(default=0)
    follow_after = models.DateTimeField(null=True, blank=True)
    follow_error = models.CharField(max_length=300, blank=True, default="")
    held_for = models.UUIDField(null=True, blank=True)  # the operation of ours that failed; null where an event did
    waiting_since_block = models.PositiveBigIntegerField(null=True, blank=True)
    waiting_told = models.BooleanField(default=False)
    # A reorg undid what was applied from this place on, and that could not be taken back yet.
    undo_from = models.PositiveBigIntegerField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [
            models.Index(fields=["oaid_token_id", "active"], name="position_oaid"),
            models.Index(fields=["health_factor"], name="position_health"),
            models.Index(fields=["ledger_order"], name="position_ledger"),
            models.Index(fields=["total_partner_debt"], name="position_partner_debt"),
            models.Index(fields=["waiting_told", "waiting_since_block"], name="position_waiting"),
            models.Index(fields=["undo_from"], name="position_undo_from"),
        ]

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
    # Its share of the position's debt at the pool, as of `interest_since` (seconds since the epoch), and the sums of
    # the loans drawn before it, which are rounded first (`loans.debt.interest`).
    bearing_principal = BaseUnitsField(default=0)
    accrued_scaled = Uint256Field(default=0)
    prior_principal = BaseUnitsField(default=0)
    prior_accrued = Uint256Field(default=0)
    interest_since = models.PositiveBigIntegerField(default=0)
    draw_order = models.PositiveBigIntegerField(default=0)  # where on the chain it was drawn: block and log
    interest_paid = BaseUnitsField(default=0)
    written_off_principal = BaseUnitsField(default=0)  # lost in a liquidation
    written_off_interest = BaseUnitsField(default=0)
    loan_duration = models.PositiveIntegerField(null=True, blank=True)  # seconds from the draw to the last due date
    number_of_installments = models.PositiveSmallIntegerField(null=True, blank=True)
    schedule = models.JSONField(default=list)  # [{number, dueAt, amount, status}], principal in equal instalments
    next_due_at = models.DateTimeField(null=True, blank=True)  # of the first instalment that is not paid
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
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

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
            models.Index(fields=["solvency_position_id", "status"], name="loan_position_status"),
            models.Index(fields=["status", "next_due_at"], name="loan_due"),
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
    principal_paid = BaseUnitsField(default=0)
    interest_paid = BaseUnitsField(default=0)
    payoff_terms = models.JSONField(
        null=True, blank=True
    )  # what the executor reckons a payoff from (`loans.debt.payoffs`)
    platform_covered = BaseUnitsField(default=0)  # interest of the last seconds that no funds of the partner covered
    chain_order = models.PositiveBigIntegerField(default=0)  # block and log of the payment
    tx_hash = HashField(blank=True, default="")
    failure_reason = models.CharField(max_length=300, blank=True, default="")
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


class LedgerEntryKind(models.TextChoices):
    DRAW = "DRAW"
    PAYMENT = "PAYMENT"
    LIQUIDATION = "LIQUIDATION"


class LedgerEntry(models.Model):
    """An event at the pool as it was applied to a position and its loans, once, with what stood there before it.

    `before` is what a reorg puts back: the position's fields, and those of each loan it changed (`rollback.unwind`).
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


class ReconciliationRun(models.Model):
    """One comparison of the books with themselves and with the chain, kept with what it found.

    `findings` are those that are named, `[{subject, what, booked, actual, repair, sinceBlock}]`; `in_motion` what was
    under way, `[{subject, sinceBlock, told}]`. `number` counts the runs that keep sums for the next one
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
    """What a partner's loans of one UTC day added up to in the last reconciliation that kept sums."""

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    used = BaseUnitsField()  # accepted and not failed
    outstanding = BaseUnitsField()
    borrowed = BaseUnitsField()  # drawn
    repaid = BaseUnitsField()
    active_loans = models.PositiveIntegerField()
    repaid_loans = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partner", "day"], name="reconciled_day_once")]

    def __str__(self) -> str:
        return f"{self.partner_id} {self.day}"
