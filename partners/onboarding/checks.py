"""Who set `kycVerified` and `contractSigned`, and when; one that is taken back takes the stage back."""

from collections.abc import Mapping

from audit.services import record_change
from partner_platform.core import clock
from partners.models import Partner
from partners.onboarding.models import Onboarding, OnboardingStage
from partners.onboarding.rule import written_onboarding
from partners.onboarding.stages import stage_without

FLAGS = {"kyc_verified": "kyc", "contract_signed": "contract"}


def note_checks(partner: Partner, changed: Mapping[str, object], *, actor: str) -> None:
    """In the transaction that changed these columns of the partner: write who did where a flag is among them."""
    flags = [name for name in FLAGS if name in changed]
    if not flags:
        return
    onboarding, now = written_onboarding(partner), clock.now()
    values: dict[str, object] = {}
    stage = OnboardingStage(onboarding.stage)
    for name in flags:
        values |= {f"{FLAGS[name]}_checked_by": actor, f"{FLAGS[name]}_checked_at": now}
        stage = stage if changed[name] else stage_without(stage, flag=name)
    if stage != onboarding.stage:
        values |= {"stage": stage, "stage_changed_by": actor, "stage_changed_at": now}
        record_change(
            actor=actor,
            action="partner.onboarding_stage_changed",
            target=f"partner:{partner.partner_id}",
            before={"stage": str(onboarding.stage)},
            after={"stage": str(stage)},
        )
    Onboarding.objects.filter(pk=partner.pk).update(**values)
