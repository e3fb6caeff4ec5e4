"""`manage.py revoke_api_key`: refuse an API key from now on."""

from django.core.management.base import CommandError, CommandParser

from authority.commands import StaffCommand
from partners import credentials, selectors
from partners.management.support import PARTNER_ID_HELP, key_json, require_partner
from partners.models import ApiKey, Partner


class Command(StaffCommand):
    help = "Revoke one of a partner's API keys at once. It cannot be undone: the partner gets a new one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        parser.add_argument("key", help="its id, or what it begins with, as list_api_keys shows both")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, *, partner_id: str, key: str, yes: bool, **options: object) -> None:
        self.require_right_of(credentials.revoke_api_key)
        partner = require_partner(partner_id)
        api_key = _key_of(partner, key)
        if api_key.revoked_at is None:
            question = f"Revoke {api_key.prefix}… of {partner.partner_id}? Calls with it are refused at once."
            self.confirm(question, yes=yes)
        credentials.revoke_api_key(api_key=api_key, actor=self.actor)
        api_key.refresh_from_db()
        self.show(key_json(api_key), f"{api_key.prefix}… of {partner.partner_id} is revoked.")


def _key_of(partner: Partner, wanted: str) -> ApiKey:
    """The partner's key with this id or beginning; `CommandError` where there is none, or where there are several."""
    keys = selectors.keys_of(partner)
    found = [key for key in keys if wanted in (str(key.pk), key.prefix)]
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandError(f"{len(found)} keys of {partner.partner_id} begin with {wanted}: name the id of one.")
    known = ", ".join(key.prefix for key in keys) or "none"
    raise CommandError(f"{partner.partner_id} has no key {wanted!r}. Its keys begin with: {known}.")
