"""`manage.py access_review`: who may do what in the platform."""

import csv as csv_files
import io
from pathlib import Path

from django.core.management.base import CommandError, CommandParser

from partner_platform.core.management.output import JsonCommand
from staff.access_review import write_csv


class Command(JsonCommand):
    help = "Write the access review as CSV: each account with its roles, rights, last sign-in and second factors."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--csv", metavar="FILE", help="write into this file, not to the standard output")

    def handle(self, *args: object, csv: str | None, **options: object) -> None:
        review = io.StringIO(newline="")
        write_csv(review)
        if self.as_json:
            review.seek(0)
            self.show({"accounts": list(csv_files.DictReader(review))})
        elif csv is None:
            self.stdout.write(review.getvalue(), ending="")
        else:
            _write(Path(csv), review.getvalue())
            self.say(f"The access review is in {csv}.")


def _write(path: Path, review: str) -> None:
    try:
        path.write_text(review, encoding="utf-8", newline="")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
