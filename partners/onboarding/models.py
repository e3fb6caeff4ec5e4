"""What is known of a company on its way to becoming a partner, who checked it and when.

An `Onboarding` belongs to one partner and has its key; `changes` counts what is written of it, documents included, so
that changes made at the same moment run one after the other. A document is a reference to where the file is kept and
the file's SHA-256; once checked it does not change. Notes are append-only.
"""

from django.db import models

from audit.models import AppendOnlyModel
from partner_platform.core import clock
from partner_platform.core.fields import BaseUnitsField, UUIDPrimaryKey


class OnboardingStage(models.TextChoices):
    """In their order."""

    APPLIED = "APPLIED"
    KYC = "KYC"
    CONTRACT = "CONTRACT"
    SANDBOX = "SANDBOX"
    LIVE = "LIVE"


class DocumentKind(models.TextChoices):
    REGISTRATION = "REGISTRATION"  # of the business
    COMPLIANCE = "COMPLIANCE"
    OWNERSHIP = "OWNERSHIP"  # who the beneficial owners are
    CONTRACT = "CONTRACT"
    OTHER = "OTHER"


class Verdict(models.TextChoices):
    """What a check of a document found."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"


class Onboarding(models.Model):
    """How far a partner is, and what it said of itself. Amounts are USDC base units."""

    id = UUIDPrimaryKey()  # the partner's
    partner = models.OneToOneField("partners.Partner", on_delete=models.PROTECT, related_name="onboarding")
    stage = models.CharField(max_length=10, choices=OnboardingStage, default=OnboardingStage.APPLIED)
    stage_changed_by = models.CharField(max_length=200, blank=True, default="")
    stage_changed_at = models.DateTimeField(default=clock.now)
    company_name = models.CharField(max_length=200, blank=True, default="")
    use_case = models.TextField(blank=True, default="")
    expected_monthly_volume = BaseUnitsField(null=True, blank=True)
    beneficial_owners = models.JSONField(default=list, blank=True)  # [{"name", "country", "shareBasisPoints"}]
    kyc_checked_by = models.CharField(max_length=200, blank=True, default="")  # who set kycVerified as it is
    kyc_checked_at = models.DateTimeField(null=True, blank=True)
    contract_checked_by = models.CharField(max_length=200, blank=True, default="")
    contract_checked_at = models.DateTimeField(null=True, blank=True)
    changes = models.PositiveBigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        verbose_name_plural = "onboarding"
        indexes = [models.Index(fields=["stage"], name="onboarding_stage")]

    def __str__(self) -> str:
        return f"{self.company_name or self.partner_id}: {self.stage}"


class OnboardingDocument(models.Model):
    """A document that a company handed in."""

    id = UUIDPrimaryKey()
    partner = models.ForeignKey("partners.Partner", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=DocumentKind)
    reference = models.CharField(max_length=300, help_text="Where the file is kept")
    sha256 = models.CharField(max_length=64, help_text="Of the file, hex")
    added_by = models.CharField(max_length=200)
    verdict = models.CharField(max_length=8, choices=Verdict, blank=True, default="")
    remark = models.CharField(max_length=300, blank=True, default="")
    checked_by = models.CharField(max_length=200, blank=True, default="")
    checked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["partner", "-created_at", "-id"], name="onboarding_document_place")]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class OnboardingContact(models.Model):
    """A person at the company."""

    id = UUIDPrimaryKey()
    partner = models.ForeignKey("partners.Partner", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=100, blank=True, default="")
    email = models.EmailField()
    phone = models.CharField(max_length=40, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["partner", "-created_at", "-id"], name="onboarding_contact_place")]

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


class OnboardingNote(AppendOnlyModel):
    """What somebody of staff wrote down."""

    id = UUIDPrimaryKey()
    partner = models.ForeignKey("partners.Partner", on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    written_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["partner", "-created_at", "-id"], name="onboarding_note_place")]

    def __str__(self) -> str:
        return f"{self.written_by}: {self.text[:60]}"
