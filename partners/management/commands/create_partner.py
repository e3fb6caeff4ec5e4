"""`manage.py create_partner`: open a partner and show its key once."""

from typing import Any

from django.core.management.base import CommandParser

from authority.commands import StaffCommand, add_reason_option
from partners import services, terms
from partners.management.support import SAVE_IT, status_json
from partners.models import PartnerTier, RepaymentFunding, Scope

FIELD_OPTIONS = {
    "partnerId": "--partner-id",
    "partnerName": "--name",
    "apiKeyPrefix": "--label",
    "tier": "--tier",
    "dailyBorrowLimit": "--daily-limit",
    "totalBorrowLimit": "--total-limit",
    "platformFeePercentage": "--fee-bps",
    "settlementAddress": "--settlement-address",
    "contactEmail": "--email",
    "webhookUrl": "--webhook-url",
    "publicKey": "--public-key",
    "contactWallet": "--contact-wallet",
    "repaymentFunding": "--repayment-funding",
}


class Command(StaffCommand):
    help = (
        "Open a partner and show its API key, once. Amounts are whole USDC base units (6 decimals): "
        "5000000000 is $5,000. Example: manage.py create_partner --name 'New Lending Platform' --label nlp "
        "--daily-limit 50000000000 --total-limit 200000000000 --settlement-address 0x… --email api@newplatform.com"
    )
    field_options = FIELD_OPTIONS

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", dest="partner_name", required=True, help="the platform's name")
        parser.add_argument("--label", dest="key_label", required=True, help="2 to 12 of a-z 0-9, shown in the API key")
        parser.add_argument("--daily-limit", dest="daily_borrow_limit", required=True, help="base units a UTC day")
        parser.add_argument("--total-limit", dest="total_borrow_limit", required=True, help="base units outstanding")
        parser.add_argument(
            "--settlement-address", required=True, help="where borrowed USDC goes, repayments come from"
        )
        parser.add_argument("--email", dest="contact_email", required=True, help="whom we write to")
        parser.add_argument("--partner-id", help="default: partner_{label}_{number}")
        parser.add_argument("--tier", choices=PartnerTier.values, help="rate limits go by it (default BASIC)")
        parser.add_argument(
            "--fee-bps", dest="platform_fee_percentage", type=int, help="basis points: 50, the default, is 0.5 %%"
        )
        parser.add_argument("--webhook-url", help="https only")
        parser.add_argument("--public-key", help="the partner's Ethereum address")
        parser.add_argument("--contact-wallet", help="an Ethereum address")
        parser.add_argument(
            "--repayment-funding",
            choices=RepaymentFunding.values,
            help="PROVEN (default): repayments are funded first; TRUSTED: taken on the partner's word",
        )
        parser.add_argument(
            "--scope",
            dest="scopes",
            action="append",
            choices=Scope.values,
            help="of the API key; may be given several times (default: all but manage)",
        )
        parser.add_argument("--kyc-verified", action="store_true", help="KYC is done")
        parser.add_argument("--contract-signed", action="store_true", help="the contract is signed")
        add_reason_option(parser)

    def act(self, *args: Any, **options: Any) -> None:
        names = (*terms.FIELDS, "partner_id")
        values = {name: options[name] for name in names if options.get(name) is not None}
        opened = services.create_partner(actor=self.actor, scopes=options["scopes"], **values)
        partner, key, webhook_secret = opened
        lines = [f"Partner: {partner.partner_id} ({partner.partner_name})"]
        lines.append(f"API key: {key}\n{SAVE_IT}" if key is not None else opened.warning)
        if webhook_secret is not None:
            lines.append(f"Webhook secret: {webhook_secret}\n{SAVE_IT.replace('API key', 'webhook secret')}")
        self.show({**status_json(partner), "apiKey": key, "webhookSecret": webhook_secret}, *lines)
