"""A partner, its addresses and its figures of each day; the platform's pause of new borrows."""

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import AddressField, BaseUnitsField, EncryptedField, UUIDPrimaryKey
from partner_platform.core.money import BASIS_POINTS
from partner_platform.core.web import api_versions


class PartnerStatus(models.TextChoices):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    INACTIVE = "INACTIVE"


class SuspensionScope(models.TextChoices):
    """What a suspended partner is refused: every call, or borrowing alone, so that it still reads and repays."""

    ALL = "ALL"
    BORROWING = "BORROWING"


class PartnerTier(models.TextChoices):
    BASIC = "BASIC"
    PREMIUM = "PREMIUM"
    ENTERPRISE = "ENTERPRISE"


class RepaymentFunding(models.TextChoices):
    """Whether a repayment must be funded before it is accepted, or is accepted unfunded (the plan's literal
    behaviour).
    """

    PROVEN = "PROVEN"
    TRUSTED = "TRUSTED"


def signature_v1_by_default() -> bool:
    """Whether a new partner may sign version 1: in sandbox, as the plan's examples do; live only if staff allow it."""
    return bool(settings.IS_SANDBOX)


class Partner(models.Model):
    """A lending platform that borrows and repays for its users through us."""

    id = UUIDPrimaryKey()
    partner_id = models.CharField(max_length=64, unique=True)
    partner_name = models.CharField(max_length=200)
    key_label = models.CharField(max_length=20, help_text="The {partner} in pk_{partner}_{env}_…")
    public_key = AddressField(blank=True, default="", help_text="The partner's Ethereum address, optional")
    status = models.CharField(max_length=10, choices=PartnerStatus, default=PartnerStatus.ACTIVE)
    suspension_scope = models.CharField(  # of a partner that is not suspended it is ALL
        max_length=10, choices=SuspensionScope, default=SuspensionScope.ALL, editable=False
    )
    status_reason = models.CharField(max_length=300, blank=True, default="", editable=False)
    status_changes = models.PositiveBigIntegerField(default=0, editable=False)  # counted, as are those of a wallet
    tier = models.CharField(max_length=10, choices=PartnerTier, default=PartnerTier.BASIC)
    daily_borrow_limit = BaseUnitsField(help_text="USDC base units a UTC day")
    total_borrow_limit = BaseUnitsField(help_text="USDC base units outstanding at once")
    current_outstanding = BaseUnitsField(default=0, editable=False)
    # The platform's pause of new borrows, on each partner's row because the update that reserves a borrow's limits
    # demands it there (`partners.stopping.pause`).
    borrowing_paused = models.BooleanField(default=False, editable=False)
    platform_fee_percentage = models.PositiveIntegerField(
        default=50, validators=[MaxValueValidator(BASIS_POINTS - 1)], help_text="Basis points: 50 is 0.5 %"
    )
    settlement_address = AddressField(help_text="Where borrowed USDC goes and repayments come from")
    repayment_funding = models.CharField(max_length=10, choices=RepaymentFunding, default=RepaymentFunding.PROVEN)
    api_version = models.CharField(
        max_length=10,
        default=api_versions.current,
        help_text="The version of the HTTP contract that its calls get where they name none",
    )
    webhook_url = models.URLField(max_length=500, blank=True, default="")
    webhook_secret = EncryptedField()
    ip_allow_list = models.JSONField(default=list, blank=True, help_text="CIDRs; empty: calls from anywhere")
    signing_required = models.BooleanField(default=False, editable=False)
    # Version 1 signs the body alone (`partners.access.signing`); partners from before version 2 keep it until they
    # moved.
    signature_v1_allowed = models.BooleanField(default=signature_v1_by_default, editable=False)
    signing_secret = EncryptedField()
    # After a rotation with grace both secrets sign until then.
    previous_signing_secret = EncryptedField()
    previous_signing_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Counts changes of keys and endpoints, so that those made at once conflict: see `credentials.serialize_changes`.
    key_changes = models.PositiveIntegerField(default=0, editable=False)
    contact_email = models.EmailField()
    contact_wallet = AddressField(blank=True, default="")
    kyc_verified = models.BooleanField(default=False)
    contract_signed = models.BooleanField(default=False)
    created_by = models.CharField(max_length=200, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    total_borrowed = BaseUnitsField(default=0, editable=False)
    total_repaid = BaseUnitsField(default=0, editable=False)
    active_loans = models.PositiveIntegerField(default=0, editable=False)  # drawn and not closed, those in default too
    repaid_loans = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(current_outstanding__gte=0), name="partner_outstanding_not_negative"
            ),
            models.UniqueConstraint(fields=["settlement_address"], name="partner_settlement_address_once"),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="partner_time"),
            models.Index(fields=["status", "-created_at", "-id"], name="partner_status_time"),
            models.Index(fields=["tier", "-created_at", "-id"], name="partner_tier_time"),
            models.Index(fields=["status", "tier", "-created_at", "-id"], name="partner_status_tier_time"),
        ]

    def __str__(self) -> str:
        return f"{self.partner_name} ({self.partner_id})"


class BorrowingPause(models.Model):
    """Whether the platform takes new borrows; one row (`partners.stopping.pause`). `actor`, `since` and `reason` are of
    the last change, a pause or a resumption.
    """

    id = UUIDPrimaryKey()
    is_paused = models.BooleanField(default=False)
    actor = models.CharField(max_length=200, blank=True, default="")
    since = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True, default="")
    changes = models.PositiveBigIntegerField(default=0)  # how often it was paused, resumed or given another reason
    carried = models.PositiveBigIntegerField(default=0)  # counted up in each transaction that writes a partner by it

    def __str__(self) -> str:
        return "New borrows are paused" if self.is_paused else "New borrows are taken"


class SettlementAddress(models.Model):
    """An address that is, or was, a partner's settlement address (`partners.settlement_addresses`)."""

    id = UUIDPrimaryKey()
    address = AddressField(unique=True)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="settlement_addresses")
    since = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name_plural = "settlement addresses"

    def __str__(self) -> str:
        return self.address


class PartnerDailyUsage(models.Model):
    """A partner's figures of one UTC day: what its daily limit counts, and what analytics add up.

    `borrowed` is that of accepted loans, less those that failed (`partners.limits`); the others are those of
    `partners.figures.daily_figures`.
    """

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="daily_usage")
    day = models.DateField()
    borrowed = BaseUnitsField(default=0)
    # Of loans that were paid out, by the day they were accepted on.
    drawn = BaseUnitsField(default=0)
    drawn_loans = models.PositiveIntegerField(default=0)
    fees = BaseUnitsField(default=0)
    # By the day of the block: whoever paid, interest included; and the loans that a payment closed.
    repaid = BaseUnitsField(default=0)
    repaid_loans = models.PositiveIntegerField(default=0)
    defaulted_loans = models.PositiveIntegerField(default=0)  # that last defaulted or were liquidated on the day

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["partner", "day"], name="partner_daily_usage_once"),
            models.CheckConstraint(condition=models.Q(borrowed__gte=0), name="partner_daily_usage_not_negative"),
            models.CheckConstraint(
                condition=models.Q(drawn__gte=0, fees__gte=0, repaid__gte=0), name="partner_daily_figures_not_negative"
            ),
        ]
        indexes = [models.Index(fields=["day"], name="partner_daily_usage_day")]

    def __str__(self) -> str:
        return f"{self.partner_id} {self.day}: {self.borrowed}"
