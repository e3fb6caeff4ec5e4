"""`manage.py update_partner`: change a partner's terms, once somebody saw what changes."""

from django.core.management.base import CommandError, CommandParser

from authority.commands import StaffCommand, add_reason_option
from partner_platform.core.management.output import both_units
from partners import services, terms
from partners.management.support import PARTNER_ID_HELP, SAVE_IT, partner_json, require_partner
from partners.models import Partner, PartnerTier, RepaymentFunding

# The fields that this command changes, and its options. The settlement address has a command of its own.
TEXTS = {
    "partner_name": "--name",
    "key_label": "--label",
    "public_key": "--public-key",
    "tier": "--tier",
    "daily_borrow_limit": "--daily-limit",
    "total_borrow_limit": "--total-limit",
    "repayment_funding": "--repayment-funding",
    "api_version": "--api-version",
    "webhook_url": "--webhook-url",
    "contact_email": "--email",
    "contact_wallet": "--contact-wallet",
}
FLAGS = {"kyc_verified": "--kyc-verified", "contract_signed": "--contract-signed"}
CHOICES = {"tier": PartnerTier.values, "repayment_funding": RepaymentFunding.values}
FEE, NETWORKS = "--fee-bps", "--ip-network"
CHANGED_BY = {**TEXTS, **FLAGS, "platform_fee_percentage": FEE, "ip_allow_list": NETWORKS}


class Command(StaffCommand):
    help = (
        "Change a partner's terms. It shows what changes, and asks. Amounts are whole USDC base units (6 decimals): "
        "5000000000 is $5,000. An empty text takes away what may be empty. For the address where borrowed USDC goes "
        "there is set_settlement_address."
    )
    field_options = {terms.FIELDS[name].api_name: option for name, option in CHANGED_BY.items()}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        for name, option in TEXTS.items():
            parser.add_argument(option, dest=name, choices=CHOICES.get(name), help=terms.FIELDS[name].api_name)
        for name, option in FLAGS.items():
            parser.add_argument(option, dest=name, choices=("yes", "no"), help=terms.FIELDS[name].api_name)
        parser.add_argument(FEE, dest="platform_fee_percentage", type=int, help="basis points: 50 is 0.5 %%")
        parser.add_argument(
            NETWORKS,
            dest="ip_allow_list",
            action="append",
            help="a CIDR that calls may come from, in place of those before; several times for several, '' for all",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")
        add_reason_option(parser)

    def act(self, *, partner_id: str, yes: bool, **options: object) -> None:
        values = {name: _as_given(name, options[name]) for name in CHANGED_BY if options.get(name) is not None}
        if not values:
            raise CommandError("Say what to change: an option such as --tier PREMIUM.")
        partner = require_partner(partner_id)
        changes = _changes(partner, values)
        for line in changes:
            self.say(line)
        secret = None
        if changes:
            self.confirm(f"Change this of {partner.partner_id}?", yes=yes)
            secret = services.change_terms(partner=partner, actor=self.actor, **values)
        lines = [f"{partner.partner_id}: {'terms updated' if changes else 'unchanged'}"]
        if secret is not None:
            lines.append(f"Webhook secret: {secret}\n{SAVE_IT.replace('API key', 'webhook secret')}")
        self.show({**partner_json(require_partner(partner_id)), "webhookSecret": secret}, *lines)


def _as_given(name: str, value: object) -> object:
    """The option's value as the contract's field has it."""
    if name in FLAGS:
        return value == "yes"
    if name == "ip_allow_list" and isinstance(value, list):
        return [network for network in value if network]
    return value


def _changes(partner: Partner, values: dict[str, object]) -> list[str]:
    """A line for each term that would change; 400 where a value is none that it may have."""
    cleaned = terms.clean_terms(values, partial=True)
    lines = []
    for name, after in cleaned.items():
        before = getattr(partner, name)
        if before != after:
            shown = [both_units(value) if name in terms.AMOUNTS else str(value) for value in (before, after)]
            lines.append(f"{terms.FIELDS[name].api_name}: {' -> '.join(shown)}")
    return lines
