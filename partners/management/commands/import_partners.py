"""`manage.py import_partners`: the partners of a config file, all or none."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from partners import config_file
from partners.management.support import ACTOR, SAVE_IT

DEFAULT_PATH = "configs/partner_platforms.json"


class Command(BaseCommand):
    help = (
        "Open the partners of a config file, all or none, and show the new ones' API keys, once. Run again, it brings "
        "known partners to the file's terms; it never makes a second key and never changes a status. Bad entries are "
        "named by partner and field. Keys are of this platform's environment, whatever the file's apiKeyPrefix says."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", nargs="?", help=f"default: the project's {DEFAULT_PATH}")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["path"] or settings.BASE_DIR / DEFAULT_PATH)
        try:
            imported = config_file.import_entries(config_file.read_entries(path), actor=ACTOR)
        except config_file.BadConfigFile as error:
            raise CommandError("Nothing was imported:\n" + "\n".join(error.problems)) from error
        for partner, key in imported.created:
            self.stdout.write(f"{partner.partner_id}: created\n  API key: {key}")
        for partner in imported.updated:
            self.stdout.write(f"{partner.partner_id}: terms updated")
        for partner in imported.unchanged:
            self.stdout.write(f"{partner.partner_id}: unchanged")
        if imported.created:
            self.stdout.write(SAVE_IT.replace("this API key", "these API keys").replace("It will", "They will"))
