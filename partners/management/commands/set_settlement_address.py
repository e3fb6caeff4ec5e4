"""`manage.py set_settlement_address`: give a partner another settlement address, or note a former one."""

from django.core.management.base import CommandParser
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from authority.commands import StaffCommand, add_reason_option
from partners import services, settlement_addresses
from partners.management.support import PARTNER_ID_HELP, require_partner

# The migrations that stop and name this command.
STOPPING = {
    ("partners", "0007_one_partner_per_settlement_address"),
    ("loans", "0010_addresses_history_and_the_platform_account"),
}


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
        add_reason_option(parser)

    def act(self, *, partner_id: str, address: str, former: bool, **options: object) -> None:
        # Where the migration stopped this is the way on, so columns may be missing:
        # partners/migrations/0007_one_partner_per_settlement_address.py
        partner = require_partner(partner_id, "partner_id")
        actor = self._before_the_migration() if is_before_the_migration() else self.actor
        if former:
            settlement_addresses.note_former(partner=partner, address=address, actor=actor)
        else:
            services.change_terms(partner=partner, actor=actor, settlement_address=address)
        what = "was formerly" if former else "is now"
        self.show(
            {"partnerId": partner.partner_id, "settlementAddress": address, "former": former},
            f"{address} {what} the settlement address of {partner.partner_id}, and no other's.",
        )

    def _before_the_migration(self) -> str:
        """Who acts while the platform stands still and nothing can wait for a second person: its table is not there."""
        self.require_right_of(settlement_addresses.note_former)
        return f"system:migration:{self.actor.username}"


def is_before_the_migration() -> bool:
    """Whether a migration that asks for this command is still to be applied."""
    return not set(MigrationRecorder(connection).applied_migrations()) >= STOPPING
