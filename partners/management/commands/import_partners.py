"""`manage.py import_partners`: the partners of a config file, all or none, once somebody saw what changes."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from authority.approvals.requiring import is_approval_asked_of
from authority.commands import StaffCommand, add_reason_option, waiting_sentence
from partner_platform.core.postponed import Postponed
from partners import config_file, placeholders, selectors
from partners.management.support import SANDBOX_ACTOR, SAVE_IT
from partners.terms import AMOUNTS, FIELDS

DEFAULT_PATH = "configs/partner_platforms.json"
NEW_ADDRESS = "repayments are pulled from the new one: it must hold USDC, with an allowance for the platform's executor"
MONEY_GOES_BY = {"settlementAddress": "settlement addresses", **{FIELDS[name].api_name: "limits" for name in AMOUNTS}}
PLACEHOLDERS = (
    "Where the plan's example file has words in place of addresses, put in the partners' own. In a sandbox, "
    "--placeholder-addresses makes some."
)


class Command(StaffCommand):
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
        add_reason_option(parser)

    def changes(self, options: Mapping[str, object]) -> bool:
        return not options["dry_run"]

    def act(self, *args: Any, **options: Any) -> None:
        self.waiting: dict[str, Postponed] = {}  # by partner id
        default = settings.BASE_DIR / DEFAULT_PATH
        path = Path(options["path"] or default)
        if options["placeholder_addresses"] and not settings.IS_SANDBOX:
            raise CommandError("--placeholder-addresses is for a sandbox: nobody holds the keys of such addresses.")
        entries = self._read(path, fill=options["placeholder_addresses"])
        if settings.IS_SANDBOX and path.resolve() == default.resolve():
            entries = self._without_demo_partners(entries)
        planned = config_file.plan(entries)
        self._show(planned)
        is_nothing = not any(partner.changes for partner in planned)
        if is_nothing or options["dry_run"]:
            if not is_nothing:
                self.say("Nothing was imported: this was a dry run.")
            self._show_json(planned, None)
            return
        if not options["yes"]:
            _ask(planned)
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
                self.say(f"{entry['partnerId']}: a demo partner of this sandbox, left as it is")
        return [entry for entry in entries if entry["partnerId"] not in demo]

    def _show(self, planned: list[config_file.Planned]) -> None:
        for partner in planned:
            what = "new" if partner.is_new else "to be changed" if partner.changes else "unchanged"
            self.say(f"{partner.partner_id}: {what}")
            for name, before, after in partner.changes:
                self.say(f"  {name}: {after}" if partner.is_new else f"  {name}: {before} -> {after}")
                if name == "settlementAddress" and not partner.is_new:
                    self.say(f"    {NEW_ADDRESS}")

    def _import(self, entries: list[dict[str, object]], agreed: list[config_file.Planned]) -> None:
        try:
            imported = self._import_all(entries, agreed)
        except config_file.BadConfigFile as error:
            raise _nothing_imported(error.problems) from error
        if self.as_json:
            self._show_json(agreed, imported)
            return
        for partner_id, waits in self.waiting.items():
            self.say(f"{partner_id}: {waiting_sentence(waits)}")
        for opened in imported.created:
            partner, key, webhook_secret = opened
            self.say(f"{partner.partner_id}: created")
            self.say(f"  API key: {key}" if key is not None else f"  {opened.warning}")
            if webhook_secret is not None:
                self.say(f"  Webhook secret: {webhook_secret}")
        for partner in imported.updated:
            self.say(f"{partner.partner_id}: terms updated")
            if partner.partner_id in imported.webhook_secrets:
                self.say(f"  Webhook secret: {imported.webhook_secrets[partner.partner_id]}")
        has_keys = any(opened.api_key is not None for opened in imported.created)
        has_secrets = imported.webhook_secrets or any(opened.webhook_secret for opened in imported.created)
        if has_keys or has_secrets:
            what = "these API keys" if has_keys else "these secrets"
            self.say(SAVE_IT.replace("this API key", what).replace("It will", "They will"))

    def _import_all(self, entries: list[dict[str, object]], agreed: list[config_file.Planned]) -> config_file.Imported:
        """All or none; but where changes can wait for a second person, each partner for itself: some wait, some not."""
        if self.actor.break_glass or not is_approval_asked_of(self.actor):
            return config_file.import_entries(entries, actor=self.actor, agreed=agreed)
        together = config_file.Imported()
        by_id = {str(entry["partnerId"]): entry for entry in entries}
        for partner in agreed:
            try:
                entry = by_id[partner.partner_id]
                imported = config_file.import_entries([entry], actor=self.actor, agreed=[partner])
            except Postponed as waits:
                self.waiting[partner.partner_id] = waits
            else:
                together.created += imported.created
                together.updated += imported.updated
                together.webhook_secrets |= imported.webhook_secrets
        return together

    def _show_json(self, planned: list[config_file.Planned], imported: config_file.Imported | None) -> None:
        """Per partner what changes, and once it is imported, the secrets that were made."""
        secrets = {} if imported is None else _secrets_of(imported)
        waiting = {partner_id: waits.answer for partner_id, waits in self.waiting.items()}
        shown = [
            {
                "partnerId": partner.partner_id,
                "new": partner.is_new,
                "changes": [{"field": name, "before": old, "after": new} for name, old, new in partner.changes],
                **secrets.get(partner.partner_id, {}),
                **({"waiting": waiting[partner.partner_id]} if partner.partner_id in waiting else {}),
            }
            for partner in planned
        ]
        self.show({"imported": imported is not None, "partners": shown})


def _secrets_of(imported: config_file.Imported) -> dict[str, dict[str, str | None]]:
    secrets: dict[str, dict[str, str | None]] = {
        partner_id: {"webhookSecret": secret} for partner_id, secret in imported.webhook_secrets.items()
    }
    for partner, key, webhook_secret in imported.created:
        secrets[partner.partner_id] = {"apiKey": key, "webhookSecret": webhook_secret}
    return secrets


def _ask(planned: Sequence[config_file.Planned]) -> None:
    """Return where somebody says yes."""
    if not sys.stdin.isatty():
        raise _nothing_imported(["There is nobody to ask: say --yes, or --dry-run to see what would change."])
    changed = [name for partner in planned if not partner.is_new for name, *_ in partner.changes]
    counted = Counter(MONEY_GOES_BY[name] for name in changed if name in MONEY_GOES_BY)
    what = " and ".join(f"{kind}: {count}" for kind, count in counted.items())
    changes = f" It changes what money depends on ({what})." if what else ""
    sys.stderr.write(f"Import this?{changes} [y/N] ")
    if input("").strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was imported.")


def _nothing_imported(problems: list[str]) -> CommandError:
    return CommandError("Nothing was imported:\n" + "\n".join(problems))
