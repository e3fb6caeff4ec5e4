"""What calls of the staff API are about, made anew for each call that uses it up."""

import pytest
from django.test import override_settings

from authority.acting import staff_of
from authority.approvals.requiring import WaitsForApproval
from authority.models import Approval
from loans.stopping import wallets
from partners import services
from partners.models import Partner, PartnerStatus
from partners.onboarding import records, rule
from partners.onboarding.models import DocumentKind, Onboarding, OnboardingStage
from tests.factories import PartnerFactory
from tests.support.acting import staff
from tests.support.staff_api import make_user

WALLET = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"
DOCUMENT = {"kind": str(DocumentKind.OTHER), "reference": "vault://1", "sha256": "9f" * 32}
CONTACT = {"name": "Mary Major", "email": "mary@lender.example"}


def things_of(partner: Partner) -> dict[str, str]:
    """Fresh values of the parameters of paths, by their names."""
    move_to_live(partner)
    wallets.block_wallet(wallet=WALLET, actor=staff("bob"), reason="on a list")
    return {
        "document_id": str(records.add_document(partner=partner, actor=staff("bob"), **DOCUMENT).pk),
        "contact_id": str(records.add_contact(partner=partner, actor=staff("bob"), **CONTACT).pk),
        "approval_id": str(ask_for_activation().pk),
        "wallet": WALLET,
        "month": "2026-01",
    }


def move_to_live(partner: Partner) -> None:
    """The stage from which any partner may go back to KYC."""
    if not Onboarding.objects.filter(pk=partner.pk).exists():
        rule.onboarding_of(partner).save(force_insert=True)
    Onboarding.objects.filter(pk=partner.pk).update(stage=OnboardingStage.LIVE)


def ask_for_activation() -> Approval:
    """A partner's activation that waits for a second person; somebody asked for it who never decides."""
    partner = PartnerFactory.create(status=PartnerStatus.SUSPENDED)
    with override_settings(APPROVALS="required"), pytest.raises(WaitsForApproval):
        services.activate_partner(partner=partner, actor=staff_of(make_user("admin")))
    return Approval.objects.get(target=f"partner:{partner.partner_id}")
