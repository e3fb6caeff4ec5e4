"""`manage.py archive_api_logs`: move old calls into files now, or check the files that are there."""

from collections.abc import Mapping

from django.core.management.base import CommandError, CommandParser

from audit.calls import archiving
from audit.calls.archive_files import ArchiveDamaged
from authority.commands import StaffCommand
from staff.services.archiving import archive_by_staff


class Command(StaffCommand):
    help = "Move API calls that are kept long enough into API_LOG_ARCHIVE_DIR; --check verifies the files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, help="older than these days, refused or not, in place of the settings")
        parser.add_argument("--check", action="store_true", help="only compare each file with its recorded checksum")

    def changes(self, options: Mapping[str, object]) -> bool:
        return not options["check"]

    def act(self, *, days: int | None, check: bool, **options: object) -> None:
        try:
            if check:
                self._check()
                return
            report = archive_by_staff(actor=self.actor, days=days)
        except (archiving.NotConfigured, ArchiveDamaged) as error:
            raise CommandError(str(error)) from error
        if report.busy:
            raise CommandError("Another archiver is at work.")
        self.show(
            {"rows": report.rows, "files": report.files}, f"{report.rows} calls archived into {report.files} files"
        )

    def _check(self) -> None:
        problems = archiving.damaged_archives()
        for problem in problems:
            self.stderr.write(problem)
        self.show({"damaged": problems})
        if problems:
            raise CommandError(f"{len(problems)} archives are damaged")
        self.say("every archive is whole")
