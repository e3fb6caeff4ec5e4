"""`manage.py set_settlement_address`: give a partner another settlement address, or note a former one."""

from django.core.management.base import CommandParser

from authority.commands import StaffCommand
from partners import services, settlement_addresses
from partners.management.support import PARTNER_ID_HELP, require_partner


class Command(StaffCommand):
    help = (
        "Give a partner another settlement address. It stays the partner's for ever: repayments can be pulled from it, "
        "and transfers from it fund them, so no other partner can have it. With --former an address that the partner "
        "used once is noted as its own, and the present one stays."
    )
    field_options = {settlement_addresses.API_NAME: "address"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        parser.add_argument("address", help="0x and 40 hex digits")
        parser.add_argument("--former", action="store_true", help="the partner used it once; its present one stays")

    def act(self, *, partner_id: str, address: str, former: bool, **options: object) -> None:
        # Where the migration stopped this is the way on, so columns may be missing:
        # partners/migrations/0007_one_partner_per_settlement_address.py
        partner = require_partner(partner_id, "partner_id")
        if former:
            settlement_addresses.note_former(partner=partner, address=address, actor=self.actor)
        else:
            services.change_terms(partner=partner, actor=self.actor, settlement_address=address)
        what = "was formerly" if former else "is now"
        self.show(
            {"partnerId": partner.partner_id, "settlementAddress": address, "former": former},
            f"{address} {what} the settlement address of {partner.partner_id}, and no other's.",
        )
