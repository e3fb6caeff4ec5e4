"""What a partner's backend needs to know of the platform: the chain, the contracts, the consent.

All of it comes from the settings: it is answered while the chain cannot be reached, and nothing secret is in it. A
contract that is not configured is null.
"""

# ruff: noqa: N815 - the contract's names

from django.conf import settings
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans.api.common import EXAMPLE_WALLET, PartnerViewSet, partner_of, returned
from loans.consent import verification
from loans.consent.message import MESSAGE_VERSIONS, domain
from partner_platform.core.openapi.fields import Address, BaseUnits, Count
from partner_platform.core.openapi.operations import OperationDoc, described
from partner_platform.core.web import api_versions
from partners.models import Partner


class ConsentDomain(serializers.Serializer):
    """The EIP-712 domain of a version of the message that users sign."""

    name = serializers.CharField()
    version = serializers.ChoiceField(choices=MESSAGE_VERSIONS)
    chainId = Count()
    verifyingContract = Address(allow_null=True)


class Consent(serializers.Serializer):
    """Whether a borrow carries the user's signature, and of what."""

    required = serializers.BooleanField(  # type: ignore[assignment]  # the answer's field, not DRF's own
        help_text="Without `userAuthorization` a borrow is 403 `consent_required`."
    )
    versions = serializers.ListField(
        child=serializers.ChoiceField(choices=MESSAGE_VERSIONS), help_text="That are accepted, the newest first."
    )
    domains = ConsentDomain(many=True, help_text="One for each of them.")


class Platform(serializers.Serializer):
    """The platform as this partner's calls meet it."""

    environment = serializers.ChoiceField(choices=["sandbox", "live"])
    apiVersion = serializers.CharField(help_text="Of this answer; see `API-Version`.")
    apiVersions = serializers.ListField(child=serializers.CharField(), help_text="All that are supported.")
    chainId = Count()
    confirmations = Count(help_text="How many blocks deep a transaction is when it counts, its own included.")
    usdc = Address(allow_null=True, help_text="The token that is borrowed and repaid.")
    platformAccount = Address(allow_null=True, help_text="Where repayments are sent, and what an allowance is for.")
    executor = Address(allow_null=True, help_text="The contract that draws and repays; it is the platform account.")
    oaid = Address(allow_null=True)
    vault = Address(allow_null=True)
    pool = Address(allow_null=True)
    settlementAddress = Address(help_text="Yours: where borrows are paid to, and repayments come from.")
    minimumBorrow = BaseUnits()
    consent = Consent()


PLATFORM_EXAMPLE = {
    "environment": "sandbox",
    "apiVersion": "2026-01-05",
    "apiVersions": ["2026-01-05"],
    "chainId": 5003,
    "confirmations": 1,
    "usdc": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
    "platformAccount": "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
    "executor": "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
    "oaid": "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0",
    "vault": "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9",
    "pool": "0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9",
    "settlementAddress": EXAMPLE_WALLET,
    "minimumBorrow": "1000000",
    "consent": {
        "required": False,
        "versions": ["2"],
        "domains": [
            {
                "name": "Partner Platform",
                "version": "2",
                "chainId": 5003,
                "verifyingContract": "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
            }
        ],
    },
}

GET_PLATFORM = OperationDoc(
    id="getPlatform",
    tag="Service",
    summary="Chain, contracts and consent of this platform",
    description="What else would be learnt from refusals only. It comes from the platform's settings, whether the "
    "chain can be reached or not; a contract that is not set is null.",
    answers=(returned("The platform", Platform, PLATFORM_EXAMPLE),),
)


class PlatformViewSet(PartnerViewSet):
    """The platform's facts."""

    @action(detail=False, url_path="platform")
    @described(GET_PLATFORM)
    def platform(self, request: Request) -> Response:
        """Chain, contracts and consent."""
        version = request._request.api_version.name  # type: ignore[attr-defined]  # noqa: SLF001 - noted on Django's
        return Response(present_platform(partner_of(request), version))


def present_platform(partner: Partner, version: str) -> dict[str, object]:
    """The fields of `Platform`; `version` is the one of the answer."""
    account = settings.PLATFORM_EXECUTOR_ADDRESS or None
    accepted = verification.versions()
    return {
        "environment": settings.PLATFORM_ENVIRONMENT,
        "apiVersion": version,
        "apiVersions": api_versions.names(),
        "chainId": settings.CHAIN_ID,
        "confirmations": settings.CHAIN_CONFIRMATIONS,
        "usdc": settings.USDC_ADDRESS or None,
        "platformAccount": account,
        "executor": account,
        "oaid": settings.OAID_ADDRESS or None,
        "vault": settings.SOLVENCY_VAULT_ADDRESS or None,
        "pool": settings.SENIOR_POOL_ADDRESS or None,
        "settlementAddress": partner.settlement_address,
        "minimumBorrow": str(settings.MIN_BORROW),
        "consent": {
            "required": settings.BORROW_CONSENT == "required",
            "versions": accepted,
            "domains": [{**domain(each), "verifyingContract": account} for each in accepted],
        },
    }
