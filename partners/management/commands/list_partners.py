"""`manage.py list_partners`: the partners, with their limits and what they owe."""

from django.core.management.base import CommandParser

from partner_platform.core.management.output import JsonCommand, both_units, table
from partners import selectors
from partners.management.support import partner_json
from partners.models import PartnerStatus, PartnerTier


class Command(JsonCommand):
    help = "Show the partners; amounts in dollars and base units."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--status", choices=PartnerStatus.values, help="only those in this status")
        parser.add_argument("--tier", choices=PartnerTier.values, help="only those of this tier")

    def handle(self, *args: object, status: str | None, tier: str | None, **options: object) -> None:
        partners = selectors.partners_in(status=status, tier=tier)
        rows = [
            (
                partner.partner_id,
                partner.status,
                partner.tier,
                both_units(partner.daily_borrow_limit),
                both_units(partner.total_borrow_limit),
                both_units(partner.current_outstanding),
                str(partner.active_loans),
            )
            for partner in partners
        ]
        heading = ("partner", "status", "tier", "daily limit", "total limit", "outstanding", "active loans")
        self.show({"partners": list(map(partner_json, partners))}, *table(heading, *rows))
