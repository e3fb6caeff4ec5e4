"""`manage.py import_partners`: the partners of a config file, all or none, once somebody saw what changes."""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from partners import config_file, placeholders, selectors
from partners.management.support import ACTOR, SANDBOX_ACTOR, SAVE_IT

DEFAULT_PATH = "configs/partner_platforms.json"
NEW_ADDRESS = "repayments are pulled from the new one: it must hold USDC, with an allowance for the platform's executor"
PLACEHOLDERS = (
    "Where the plan's example file has words in place of addresses, put in the partners' own. In a sandbox, "
    "--placeholder-addresses makes some."
)


class Command(BaseCommand):
    help = (
        "Open the partners of a config file, all or none, and show the new ones' API keys, once. Run again, it brings "
        "known partners to the file's terms; it never makes a second key and never changes a status. It shows what "
        "would change, and asks. Bad entries are named by partner and field. Keys are of this platform's environment, "
        "whatever the file's apiKeyPrefix says. In a sandbox the default file leaves the demo partners alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", nargs="?", help=f"default: the project's {DEFAULT_PATH}")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
        parser.add_argument("--yes", "--noinput", "--no-input", action="store_true", help="do not ask")
        parser.add_argument(
            "--placeholder-addresses",
            action="store_true",
            help="in a sandbox: make an address, of the partner's id, where the file has a word in place of one",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        default = settings.BASE_DIR / DEFAULT_PATH
        path = Path(options["path"] or default)
        if options["placeholder_addresses"] and not settings.IS_SANDBOX:
            raise CommandError("--placeholder-addresses is for a sandbox: nobody holds the keys of such addresses.")
        entries = self._read(path, fill=options["placeholder_addresses"])
        if settings.IS_SANDBOX and path.resolve() == default.resolve():
            entries = self._without_demo_partners(entries)
        planned = config_file.plan(entries)
        self._show(planned)
        if not any(partner.changes for partner in planned):
            return
        if options["dry_run"]:
            self.stdout.write("Nothing was imported: this was a dry run.")
            return
        if not options["yes"]:
            _ask()
        self._import(entries, planned)

    def _read(self, path: Path, *, fill: bool) -> list[dict[str, Any]]:
        entries: list[Any] = []
        try:
            entries = config_file.load(path)
            entries = placeholders.fill(entries) if fill else entries
            config_file.check_entries(entries)
        except config_file.BadConfigFile as error:
            hint = [PLACEHOLDERS] if any(map(placeholders.has_placeholder, entries)) else []
            raise _nothing_imported([*error.problems, *hint]) from error
        return entries

    def _without_demo_partners(self, entries: list[dict[str, object]]) -> list[dict[str, object]]:
        """Their settlement addresses are those that the sandbox put USDC on, the file's are not."""
        demo = selectors.partner_ids_created_by(SANDBOX_ACTOR)
        for entry in entries:
            if entry["partnerId"] in demo:
                self.stdout.write(f"{entry['partnerId']}: a demo partner of this sandbox, left as it is")
        return [entry for entry in entries if entry["partnerId"] not in demo]

    def _show(self, planned: list[config_file.Planned]) -> None:
        for partner in planned:
            what = "new" if partner.is_new else "to be changed" if partner.changes else "unchanged"
            self.stdout.write(f"{partner.partner_id}: {what}")
            for name, before, after in partner.changes:
                self.stdout.write(f"  {name}: {after}" if partner.is_new else f"  {name}: {before} -> {after}")
                if name == "settlementAddress" and not partner.is_new:
                    self.stdout.write(f"    {NEW_ADDRESS}")

    def _import(self, entries: list[dict[str, object]], agreed: list[config_file.Planned]) -> None:
        try:
            imported = config_file.import_entries(entries, actor=ACTOR, agreed=agreed)
        except config_file.BadConfigFile as error:
            raise _nothing_imported(error.problems) from error
        for opened in imported.created:
            partner, key, webhook_secret = opened
            self.stdout.write(f"{partner.partner_id}: created")
            self.stdout.write(f"  API key: {key}" if key is not None else f"  {opened.warning}")
            if webhook_secret is not None:
                self.stdout.write(f"  Webhook secret: {webhook_secret}")
        for partner in imported.updated:
            self.stdout.write(f"{partner.partner_id}: terms updated")
            if partner.partner_id in imported.webhook_secrets:
                self.stdout.write(f"  Webhook secret: {imported.webhook_secrets[partner.partner_id]}")
        has_keys = any(opened.api_key is not None for opened in imported.created)
        has_secrets = imported.webhook_secrets or any(opened.webhook_secret for opened in imported.created)
        if has_keys or has_secrets:
            what = "these API keys" if has_keys else "these secrets"
            self.stdout.write(SAVE_IT.replace("this API key", what).replace("It will", "They will"))


def _ask() -> None:
    """Return where somebody says yes."""
    if not sys.stdin.isatty():
        raise _nothing_imported(["There is nobody to ask: say --yes, or --dry-run to see what would change."])
    if input("Import this? [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was imported.")


def _nothing_imported(problems: list[str]) -> CommandError:
    return CommandError("Nothing was imported:\n" + "\n".join(problems))
