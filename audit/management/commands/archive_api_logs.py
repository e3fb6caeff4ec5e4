"""`manage.py archive_api_logs`: move old calls into files now, or check the files that are there."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.calls import archiving
from audit.calls.archive_files import ArchiveDamaged


class Command(BaseCommand):
    help = "Move API calls that are kept long enough into API_LOG_ARCHIVE_DIR; --check verifies the files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, help="older than these days, refused or not, in place of the settings")
        parser.add_argument("--check", action="store_true", help="only compare each file with its recorded checksum")

    def handle(self, **options: Any) -> None:
        try:
            if options["check"]:
                self._check()
                return
            report = archiving.archive_due(days=options["days"])
        except (archiving.NotConfigured, ArchiveDamaged) as error:
            raise CommandError(str(error)) from error
        if report.busy:
            raise CommandError("Another archiver is at work.")
        self.stdout.write(f"{report.rows} calls archived into {report.files} files")

    def _check(self) -> None:
        problems = archiving.damaged_archives()
        for problem in problems:
            self.stderr.write(problem)
        if problems:
            raise CommandError(f"{len(problems)} archives are damaged")
        self.stdout.write("every archive is whole")
