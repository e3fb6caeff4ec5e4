"""`manage.py openapi`: writes docs/openapi.json from the code; `--check` says whether it is the code's."""

from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from partner_platform.core.openapi import document

COMMITTED = Path(settings.BASE_DIR) / "docs" / "openapi.json"


class Command(BaseCommand):
    help = "Write the OpenAPI schema that the code makes to docs/openapi.json."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; fail where the file is not the code's")

    def handle(self, *args: object, check: bool, **options: object) -> None:
        if not check:
            COMMITTED.write_text(document.text(), encoding="utf-8")
        elif COMMITTED.read_text(encoding="utf-8") != document.text():
            raise CommandError("docs/openapi.json is not what the code makes: run `make openapi`, and look at the diff")
