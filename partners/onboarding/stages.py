"""The one table of the stages: which may follow which, and what each needs. Pure.

APPLIED --> KYC --> CONTRACT --> SANDBOX --> LIVE

Forward one stage at a time, each with what it needs. Back to any earlier one that comes before LIVE, where something
turned out to be wrong; from LIVE back to KYC or CONTRACT.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from partners.onboarding.models import DocumentKind, OnboardingStage

Stage = OnboardingStage
ORDER = (Stage.APPLIED, Stage.KYC, Stage.CONTRACT, Stage.SANDBOX, Stage.LIVE)

TRANSITIONS: Mapping[OnboardingStage, frozenset[OnboardingStage]] = {
    Stage.APPLIED: frozenset({Stage.KYC}),
    Stage.KYC: frozenset({Stage.CONTRACT, Stage.APPLIED}),
    Stage.CONTRACT: frozenset({Stage.SANDBOX, Stage.APPLIED, Stage.KYC}),
    Stage.SANDBOX: frozenset({Stage.LIVE, Stage.APPLIED, Stage.KYC, Stage.CONTRACT}),
    Stage.LIVE: frozenset({Stage.KYC, Stage.CONTRACT}),
}


@dataclass(frozen=True)
class Facts:
    """What is known of a company."""

    company_name: str = ""
    use_case: str = ""
    expected_monthly_volume: int | None = None
    has_beneficial_owners: bool = False
    accepted_documents: frozenset[str] = frozenset()  # their kinds
    kyc_verified: bool = False
    contract_signed: bool = False


@dataclass(frozen=True)
class Requirement:
    """What a stage needs, by the contract's name."""

    name: str
    is_met: Callable[[Facts], bool]


def _document(kind: DocumentKind) -> Requirement:
    return Requirement(f"document {kind}", lambda facts: kind in facts.accepted_documents)


# What is needed to enter the stage, beside what the stages before it need.
REQUIREMENTS: Mapping[OnboardingStage, tuple[Requirement, ...]] = {
    Stage.APPLIED: (),
    Stage.KYC: (
        Requirement("companyName", lambda facts: bool(facts.company_name)),
        Requirement("useCase", lambda facts: bool(facts.use_case)),
        Requirement("expectedMonthlyVolume", lambda facts: facts.expected_monthly_volume is not None),
    ),
    Stage.CONTRACT: (
        _document(DocumentKind.REGISTRATION),
        _document(DocumentKind.COMPLIANCE),
        Requirement("beneficialOwners", lambda facts: facts.has_beneficial_owners),
        Requirement("kycVerified", lambda facts: facts.kyc_verified),
    ),
    Stage.SANDBOX: (Requirement("contractSigned", lambda facts: facts.contract_signed),),
    Stage.LIVE: (),
}


def missing_for(stage: OnboardingStage, facts: Facts) -> list[str]:
    """What is missing to enter the stage, by the contract's names, in the order of the stages."""
    needed = [requirement for one in ORDER[: ORDER.index(stage) + 1] for requirement in REQUIREMENTS[one]]
    return [requirement.name for requirement in needed if not requirement.is_met(facts)]


def is_forward(current: OnboardingStage, new: OnboardingStage) -> bool:
    """Whether `new` comes after `current`."""
    return ORDER.index(new) > ORDER.index(current)


def stage_without(current: OnboardingStage, *, flag: str) -> OnboardingStage:
    """The stage of a company of which `kyc_verified` or `contract_signed` is not true any more: not past its check."""
    checked_in = {"kyc_verified": Stage.KYC, "contract_signed": Stage.CONTRACT}[flag]
    return checked_in if is_forward(checked_in, current) else current
