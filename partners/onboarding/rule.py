"""Whether onboarding is required (`ONBOARDING`), and what that means: the one place that decides it.

Required: a new partner is INACTIVE at APPLIED and has no key; it is activated, and keys are made for it, once it is
LIVE. Off: a new partner is ACTIVE with a key, as in the plan. A partner that was opened while it was off, or before
there was onboarding, is LIVE where it may act or was suspended (`stage_without_row`).
"""

from django.conf import settings
from django.db.models import F

from partner_platform.core.errors import BadRequest, ErrorCode
from partners.models import Partner, PartnerStatus
from partners.onboarding.models import DocumentKind, Onboarding, OnboardingDocument, OnboardingStage, Verdict
from partners.onboarding.stages import Facts, missing_for


def is_onboarding_required() -> bool:
    """Whether a partner must be onboarded before it may act."""
    return bool(settings.ONBOARDING == "required")


def status_when_opened(status: str) -> str:
    """The status of a new partner that was asked for with this one."""
    return PartnerStatus.INACTIVE if is_onboarding_required() else status


def stage_without_row(partner: Partner) -> OnboardingStage:
    """The stage of a partner of which nothing was written: what acted already is not held up afterwards."""
    return OnboardingStage.APPLIED if partner.status == PartnerStatus.INACTIVE else OnboardingStage.LIVE


def open_onboarding(partner: Partner) -> None:
    """In the transaction that inserts the partner: write where it begins."""
    onboarding_of(partner).save(force_insert=True)


def onboarding_of(partner: Partner) -> Onboarding:
    """The partner's onboarding; one that was never written is made in memory only."""
    found = Onboarding.objects.filter(pk=partner.pk).first()
    if found is not None:
        return found
    at = partner.created_at
    return Onboarding(
        id=partner.pk, partner=partner, stage=stage_without_row(partner), stage_changed_at=at, created_at=at
    )


def written_onboarding(partner: Partner) -> Onboarding:
    """In a transaction: the partner's onboarding as it is once no other change of it is under way, written if it never
    was.
    """
    if not Onboarding.objects.filter(pk=partner.pk).update(changes=F("changes") + 1):
        onboarding_of(partner).save(force_insert=True)
    return Onboarding.objects.get(pk=partner.pk)


def facts_of(partner: Partner, onboarding: Onboarding) -> Facts:
    """What is known of the partner now. One query."""
    accepted = OnboardingDocument.objects.filter(partner_id=partner.pk, verdict=Verdict.ACCEPTED)
    return Facts(
        company_name=onboarding.company_name,
        use_case=onboarding.use_case,
        expected_monthly_volume=onboarding.expected_monthly_volume,
        has_beneficial_owners=bool(onboarding.beneficial_owners),
        accepted_documents=frozenset(DocumentKind(kind) for kind in accepted.values_list("kind", flat=True)),
        kyc_verified=partner.kyc_verified,
        contract_signed=partner.contract_signed,
    )


def missing_to_act(partner: Partner) -> list[str]:
    """What the partner lacks before it may act, by the contract's names; nothing where onboarding is not required."""
    if not is_onboarding_required():
        return []
    onboarding = onboarding_of(partner)
    if onboarding.stage == OnboardingStage.LIVE:
        return []
    return [*missing_for(OnboardingStage.LIVE, facts_of(partner, onboarding)), f"stage {OnboardingStage.LIVE}"]


def require_onboarded(partner: Partner) -> None:
    """In the transaction that lets the partner act: raise 400 `onboarding_incomplete`, which names what is missing.

    `partner` is as that transaction read it.
    """
    if not is_onboarding_required():
        return
    onboarding = written_onboarding(partner)  # waits for a change of it that is under way
    if missing := missing_to_act(partner):
        message = f"Onboarding is not complete: {', '.join(missing)}"
        details = {"missing": missing, "stage": str(onboarding.stage)}
        raise BadRequest(ErrorCode.ONBOARDING_INCOMPLETE, message, details=details)
