"""What staff do in the onboarding of a partner: its profile, the flags, the stage. Documents are in `records`.

Each change has its audit entry in the same transaction.
"""

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, ErrorCode, invalid_fields
from partners import services
from partners.models import Partner
from partners.onboarding.checks import FLAGS
from partners.onboarding.models import Onboarding, OnboardingStage
from partners.onboarding.profile import PROFILE, clean_fields
from partners.onboarding.rule import facts_of, written_onboarding
from partners.onboarding.stages import ORDER, TRANSITIONS, is_forward, missing_for


@needs(Right.MANAGE_ONBOARDING)
def update_onboarding(*, partner: Partner, actor: str, **values: object) -> Onboarding:
    """Change what is known of the company, and the flags `kyc_verified` and `contract_signed`; returns it as it is now.

    A flag that is taken back takes the stage back to its check. Raises 400 `invalid_request` naming every bad field.
    """
    flags = {name: value for name, value in values.items() if name in FLAGS}
    cleaned = clean_fields({name: value for name, value in values.items() if name not in FLAGS}, PROFILE)

    def update() -> Onboarding:
        before = written_onboarding(partner)
        changed = {name: value for name, value in cleaned.items() if getattr(before, name) != value}
        if changed:
            Onboarding.objects.filter(pk=partner.pk).update(**changed)
            record_change(
                actor=actor,
                action="partner.onboarding_updated",
                target=f"partner:{partner.partner_id}",
                before=_as_audited(before, changed),
                after=_as_audited(Onboarding(**changed), changed),
            )
        if flags:
            services.change_terms(partner=partner, actor=actor, **flags)
        return Onboarding.objects.get(pk=partner.pk)

    return run_in_transaction(update)


@needs(Right.MANAGE_ONBOARDING)
def advance_onboarding(*, partner: Partner, actor: str, stage: str) -> Onboarding:
    """Move the partner to another stage: the next one, where it has all that this needs, or back to an earlier one.

    Raises 400 `invalid_request` where the stage does not follow, `onboarding_incomplete` naming what is missing. The
    stage it is at already changes nothing.
    """
    if stage not in OnboardingStage.values:
        raise invalid_fields({"stage": [f"Must be one of {', '.join(ORDER)}."]})
    new = OnboardingStage(stage)

    def advance() -> Onboarding:
        before = written_onboarding(partner)
        current = OnboardingStage(before.stage)
        if new == current:
            return before
        _require_may_follow(current, new)
        if is_forward(current, new):
            _require_all_of(new, partner, before)
        Onboarding.objects.filter(pk=partner.pk).update(stage=new, stage_changed_by=actor, stage_changed_at=clock.now())
        record_change(
            actor=actor,
            action="partner.onboarding_stage_changed",
            target=f"partner:{partner.partner_id}",
            before={"stage": str(current)},
            after={"stage": str(new)},
        )
        return Onboarding.objects.get(pk=partner.pk)

    return run_in_transaction(advance)


def _require_may_follow(current: OnboardingStage, new: OnboardingStage) -> None:
    if new not in TRANSITIONS[current]:
        allowed = ", ".join(one for one in ORDER if one in TRANSITIONS[current])
        raise invalid_fields({"stage": [f"It is at {current}: what may follow is {allowed}."]})


def _require_all_of(stage: OnboardingStage, partner: Partner, onboarding: Onboarding) -> None:
    now = Partner.objects.get(pk=partner.pk)
    if missing := missing_for(stage, facts_of(now, onboarding)):
        message = f"{stage} needs {', '.join(missing)}"
        details = {"missing": missing, "stage": str(onboarding.stage)}
        raise BadRequest(ErrorCode.ONBOARDING_INCOMPLETE, message, details=details)


def _as_audited(onboarding: Onboarding, names: dict[str, object]) -> dict[str, object]:
    """By the contract's names, the amount as a string."""
    shown: dict[str, object] = {PROFILE[name][0]: getattr(onboarding, name) for name in names}
    if "expected_monthly_volume" in names:
        volume = onboarding.expected_monthly_volume
        shown[PROFILE["expected_monthly_volume"][0]] = None if volume is None else str(volume)
    return shown
