"""Partners: who may lend through the platform, within which limits, with which keys.

A `Partner` carries its terms (limits, fee, settlement address) and the running sums that the limits are checked
against; those sums move only by the guarded updates in `partners.limits`. An `ApiKey` is stored as its SHA-256; the key
itself is returned once, in the response that created it. Invariants (M1, M4): `current_outstanding` never passes
`total_borrow_limit` by a borrow, a day's `borrowed` never passes `daily_borrow_limit`, and both equal what the loans
add up to. A `SettlementAddress` is one partner's for ever (M3). Amounts are USDC base units. Source: plan, Partner
schema.
"""

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


class Scope(models.TextChoices):
    """What an API key may do."""

    READ = "read"
    BORROW = "borrow"
    REPAY = "repay"
    WEBHOOKS = "webhooks"  # write endpoints, rotate their secrets, send events again
    MANAGE = "manage"  # rotate the partner's own keys and signing secret


def all_scopes() -> list[str]:
    """The scopes of a key that was not narrowed; `manage` is given on purpose only."""
    return [scope for scope in Scope.values if scope != Scope.MANAGE]


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
        indexes = [models.Index(fields=["status", "tier"], name="partner_status_tier")]

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
    """What a partner borrowed on one UTC day: accepted loans, less those that failed."""

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="daily_usage")
    day = models.DateField()
    borrowed = BaseUnitsField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["partner", "day"], name="partner_daily_usage_once"),
            models.CheckConstraint(condition=models.Q(borrowed__gte=0), name="partner_daily_usage_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.partner_id} {self.day}: {self.borrowed}"


class ApiKey(models.Model):
    """An API key, stored as its SHA-256 (hex); `prefix`, its first 16 characters, is shown to people."""

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="api_keys")
    key_hash = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=16)
    created_at = models.DateTimeField(default=clock.now)
    scopes = models.JSONField(default=all_scopes)
    expires_at = models.DateTimeField(null=True, blank=True)  # set when made, or by a rotation with grace
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["partner", "created_at"], name="apikey_partner"),
            models.Index(fields=["revoked_at", "expires_at"], name="apikey_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class IdempotencyKey(models.Model):
    """What an `Idempotency-Key` was used for (`partners.idempotency.records`).

    `id` is made of caller, method, path and key. `subject_id` is what the request made (a loan, a repayment); `answer`
    or `sealed_answer` is the JSON of the first answer, and `status_code` is 0 until there is one.
    """

    id = UUIDPrimaryKey()
    caller = models.CharField(max_length=80)  # partner:{id} or staff:{id}
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=300)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # SHA-256 of the body
    subject_id = models.UUIDField(null=True, blank=True)
    status_code = models.PositiveSmallIntegerField(default=0)
    answer = models.TextField(blank=True, default="")
    sealed_answer = EncryptedField()  # in place of `answer` where that holds a secret
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="idempotency_expiry")]

    def __str__(self) -> str:
        return f"{self.key} of {self.caller}"


class SentForm(models.Model):
    """A console form that was submitted: each can be submitted once, and a secret it created is shown once.

    `id` is the random token that the form carried. `secret` is kept until it was shown or ten minutes have passed
    (`partners.console.sent_forms`).
    """

    id = UUIDPrimaryKey()
    sent_by = models.CharField(max_length=200)  # the user's name
    partner = models.ForeignKey(Partner, null=True, on_delete=models.PROTECT, related_name="+")
    what = models.CharField(max_length=300, blank=True, default="")  # a sentence about what was done
    kind = models.CharField(max_length=40, blank=True, default="")  # of secret, such as "API key"
    secret = EncryptedField()
    shown_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="sentform_time")]

    def __str__(self) -> str:
        return f"{self.id} by {self.sent_by}"


class OutgoingMail(models.Model):
    """An e-mail to a partner's contact, written in the transaction of what it tells of and sent afterwards.

    `once` is what it is about: the same is told once (`partners.notices.mail`).
    """

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    once = models.CharField(max_length=120, unique=True)
    recipient = models.EmailField()
    subject = models.CharField(max_length=200)
    text = models.TextField()
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True, default=clock.now)  # of the next try; None: sent or given up
    sent_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="mail_due")]

    def __str__(self) -> str:
        return f"{self.subject} to {self.recipient}"
