"""`manage.py list_api_keys`: a partner's API keys, revoked and expired ones too."""

from django.core.management.base import CommandParser

from partner_platform.core import clock
from partner_platform.core.management.output import JsonCommand, table
from partners import selectors
from partners.management.support import PARTNER_ID_HELP, key_json, require_partner
from partners.rules import is_live


class Command(JsonCommand):
    help = "Show a partner's API keys, newest first; of each only its first characters are kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)

    def handle(self, *args: object, partner_id: str, **options: object) -> None:
        keys = selectors.keys_of(require_partner(partner_id))
        now = clock.now()
        rows = [
            (
                str(key.pk),
                key.prefix,
                "revoked" if key.revoked_at else "live" if is_live(key, now) else "expired",
                ",".join(key.scopes),
                clock.isoformat(key.created_at) or "",
                clock.isoformat(key.expires_at) or "never",
            )
            for key in keys
        ]
        heading = ("id", "begins with", "state", "scopes", "created", "expires")
        self.show({"apiKeys": list(map(key_json, keys))}, *table(heading, *rows))
