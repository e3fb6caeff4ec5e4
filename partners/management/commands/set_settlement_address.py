"""`manage.py set_settlement_address`: give a partner another settlement address, or note a former one."""

from django.core.management.base import BaseCommand, CommandParser

from partner_platform.core.errors import BadRequest
from partners import services, settlement_addresses
from partners.management.support import ACTOR, command_error, require_partner


class Command(BaseCommand):
    help = (
        "Give a partner another settlement address. It stays the partner's for ever: repayments can be pulled from it, "
        "and transfers from it fund them, so no other partner can have it. With --former an address that the partner "
        "used once is noted as its own, and the present one stays."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")
        parser.add_argument("address", help="0x and 40 hex digits")
        parser.add_argument("--former", action="store_true", help="the partner used it once; its present one stays")

    def handle(self, *args: object, partner_id: str, address: str, former: bool, **options: object) -> None:
        # Where the migration stopped this is the way on, so columns may be missing:
        # partners/migrations/0007_one_partner_per_settlement_address.py
        partner = require_partner(partner_id, "partner_id")
        try:
            if former:
                settlement_addresses.note_former(partner=partner, address=address, actor=ACTOR)
            else:
                services.change_terms(partner=partner, actor=ACTOR, settlement_address=address)
        except BadRequest as error:
            raise command_error(error, {settlement_addresses.API_NAME: "address"}) from error
        what = "was formerly" if former else "is now"
        self.stdout.write(f"{address} {what} the settlement address of {partner.partner_id}, and no other's.")
