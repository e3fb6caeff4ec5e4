"""Onboarding of a partner: how far it is, what it said of itself, and the next stage."""

# ruff: noqa: N815 - the contract's names

from collections.abc import Mapping

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from authority.rights import Right
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import BaseUnits, Timestamp
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Caller,
    OperationDoc,
    described,
)
from partner_platform.core.web.serializers import (
    AmountField,
    OneOfField,
    StrictCharField,
    StrictSerializer,
    WholeNumberField,
)
from partners import selectors
from partners.api.common import returned, validated
from partners.idempotency.view import idempotent
from partners.models import Partner, PartnerStatus
from partners.onboarding import rule, services
from partners.onboarding.models import Onboarding, OnboardingStage
from partners.onboarding.stages import ORDER, missing_for
from staff.api.common import StaffViewSet, actor_of

FIELDS = {
    "companyName": "company_name",
    "useCase": "use_case",
    "expectedMonthlyVolume": "expected_monthly_volume",
    "beneficialOwners": "beneficial_owners",
    "kycVerified": "kyc_verified",
    "contractSigned": "contract_signed",
}


class OnboardingPath(serializers.Serializer):
    """The partner in a path."""

    partnerId = serializers.CharField()


class FlagField(serializers.BooleanField):
    """`true` or `false`; no text or number that could be taken for one."""

    def to_internal_value(self, data: object) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("Must be true or false.")
        return data


class BeneficialOwner(StrictSerializer):
    """A person who owns a part of the company."""

    name = StrictCharField(max_length=200)
    country = StrictCharField(max_length=2, help_text="ISO 3166, two capital letters.")
    shareBasisPoints = WholeNumberField(min_value=1, max_value=10_000, help_text="2500 is 25 %.")


class OnboardingBody(StrictSerializer):
    """What changes; what is left out stays."""

    companyName = StrictCharField(max_length=200, required=False)
    useCase = StrictCharField(max_length=4_000, required=False)
    expectedMonthlyVolume = AmountField(required=False)
    beneficialOwners = BeneficialOwner(many=True, required=False)
    kycVerified = FlagField(required=False)
    contractSigned = FlagField(required=False)


class StageBody(StrictSerializer):
    """The stage to move to."""

    stage = OneOfField(choices=OnboardingStage.choices)


class OnboardingState(serializers.Serializer):
    """How far a partner is."""

    partnerId = serializers.CharField()
    status = serializers.ChoiceField(choices=PartnerStatus.values)
    isRequired = serializers.BooleanField(help_text="Whether a partner must be LIVE here before it may act.")
    stage = serializers.ChoiceField(choices=OnboardingStage.values)
    stageChangedBy = serializers.CharField()
    stageChangedAt = Timestamp()
    missing = serializers.ListField(
        child=serializers.CharField(), help_text="What it lacks for the next stage, by the names of the fields."
    )
    companyName = serializers.CharField()
    useCase = serializers.CharField()
    expectedMonthlyVolume = BaseUnits(allow_null=True)
    beneficialOwners = BeneficialOwner(many=True)
    kycVerified = serializers.BooleanField()
    kycCheckedBy = serializers.CharField(help_text="Who set `kycVerified` as it is; empty: nobody.")
    kycCheckedAt = Timestamp(allow_null=True)
    contractSigned = serializers.BooleanField()
    contractCheckedBy = serializers.CharField()
    contractCheckedAt = Timestamp(allow_null=True)


STATE_EXAMPLE = {
    "partnerId": "partner_nlp_003",
    "status": "INACTIVE",
    "isRequired": True,
    "stage": "KYC",
    "stageChangedBy": "staff:ann",
    "stageChangedAt": "2026-01-05T10:30:00Z",
    "missing": ["document COMPLIANCE", "kycVerified"],
    "companyName": "New Lending Platform GmbH",
    "useCase": "Working capital for small firms",
    "expectedMonthlyVolume": "50000000000",
    "beneficialOwners": [{"name": "Erika Mustermann", "country": "DE", "shareBasisPoints": 6000}],
    "kycVerified": False,
    "kycCheckedBy": "",
    "kycCheckedAt": None,
    "contractSigned": False,
    "contractCheckedBy": "",
    "contractCheckedAt": None,
}

GET_ONBOARDING = OperationDoc(
    id="getOnboarding",
    tag="Staff",
    summary="How far a partner is in its onboarding",
    caller=Caller.STAFF,
    path=OnboardingPath,
    answers=(returned("Its onboarding", OnboardingState, STATE_EXAMPLE),),
    errors=(ErrorCode.PARTNER_NOT_FOUND,),
)
UPDATE_ONBOARDING = OperationDoc(
    id="updateOnboarding",
    tag="Staff",
    summary="Write what a company says of itself, and what was checked",
    description="`kycVerified` and `contractSigned` note who set them. One that is set back to `false` takes the stage "
    "back to KYC or CONTRACT.",
    caller=Caller.STAFF,
    path=OnboardingPath,
    body=OnboardingBody,
    body_examples={"profile": {"companyName": "New Lending Platform GmbH"}, "kyc": {"kycVerified": True}},
    answers=(returned("Its onboarding", OnboardingState, STATE_EXAMPLE),),
    errors=(*BODY_ERRORS, ErrorCode.PARTNER_NOT_FOUND),
)
ADVANCE_ONBOARDING = OperationDoc(
    id="advanceOnboarding",
    tag="Staff",
    summary="Move a partner to another stage",
    description="To the next stage, where it has all that this needs, or back to an earlier one.",
    caller=Caller.STAFF,
    path=OnboardingPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=StageBody,
    body_examples={"kyc": {"stage": "KYC"}},
    answers=(returned("Its onboarding", OnboardingState, STATE_EXAMPLE),),
    errors=(*BODY_ERRORS, *IDEMPOTENCY_ERRORS, ErrorCode.PARTNER_NOT_FOUND, ErrorCode.ONBOARDING_INCOMPLETE),
)


class OnboardingViews(StaffViewSet):
    """Endpoints of a partner that are read with one right and written with another."""

    required_right = Right.VIEW_PARTNERS
    write_right = Right.MANAGE_ONBOARDING
    lookup_url_kwarg = "partner_id"
    lookup_value_regex = "[^/]+"


class OnboardingViewSet(OnboardingViews):
    """How far a partner is: `/admin/partners/{partnerId}/onboarding`."""

    @action(detail=True)
    @described(GET_ONBOARDING)
    def onboarding(self, request: Request, partner_id: str) -> Response:
        """Its stage, what is missing, and what is known of it."""
        return _answered(selectors.get_partner(partner_id))

    @onboarding.mapping.patch
    @described(UPDATE_ONBOARDING)
    def update_onboarding(self, request: Request, partner_id: str) -> Response:
        """Change what is known of it."""
        body = validated(OnboardingBody(data=request.data))
        partner = selectors.get_partner(partner_id)
        services.update_onboarding(partner=partner, actor=actor_of(request), **_values(body))
        return _answered(selectors.get_partner(partner_id))

    @action(detail=True, methods=["post"], url_path="onboarding/advance")
    @described(ADVANCE_ONBOARDING)
    @idempotent(atomic=True)
    def advance(self, request: Request, partner_id: str) -> Response:
        """Move it to another stage."""
        stage = validated(StageBody(data=request.data))["stage"]
        partner = selectors.get_partner(partner_id)
        services.advance_onboarding(partner=partner, actor=actor_of(request), stage=stage)
        return _answered(partner)


def _values(body: Mapping[str, object]) -> dict[str, object]:
    """By the names of the fields; the amount as a string, as the service reads one."""
    values = {FIELDS[name]: value for name, value in body.items()}
    if "expected_monthly_volume" in values:
        values["expected_monthly_volume"] = str(values["expected_monthly_volume"])
    return values


def _answered(partner: Partner) -> Response:
    return Response(present_onboarding(partner, rule.onboarding_of(partner)))


def present_onboarding(partner: Partner, onboarding: Onboarding) -> dict[str, object]:
    """The fields of `OnboardingState`."""
    place = ORDER.index(OnboardingStage(onboarding.stage))
    following = ORDER[min(place + 1, len(ORDER) - 1)]
    volume = onboarding.expected_monthly_volume
    is_live = onboarding.stage == OnboardingStage.LIVE
    return {
        "partnerId": partner.partner_id,
        "status": partner.status,
        "isRequired": rule.is_onboarding_required(),
        "stage": onboarding.stage,
        "stageChangedBy": onboarding.stage_changed_by,
        "stageChangedAt": isoformat(onboarding.stage_changed_at),
        "missing": [] if is_live else missing_for(following, rule.facts_of(partner, onboarding)),
        "companyName": onboarding.company_name,
        "useCase": onboarding.use_case,
        "expectedMonthlyVolume": None if volume is None else str(volume),
        "beneficialOwners": onboarding.beneficial_owners,
        "kycVerified": partner.kyc_verified,
        "kycCheckedBy": onboarding.kyc_checked_by,
        "kycCheckedAt": isoformat(onboarding.kyc_checked_at),
        "contractSigned": partner.contract_signed,
        "contractCheckedBy": onboarding.contract_checked_by,
        "contractCheckedAt": isoformat(onboarding.contract_checked_at),
    }
