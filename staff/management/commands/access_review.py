"""`manage.py access_review`: who may do what in the platform."""

import io
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from staff.access_review import write_csv


class Command(BaseCommand):
    help = "Write the access review as CSV: each account with its roles, rights, last sign-in and second factors."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--csv", metavar="FILE", help="write into this file, not to the standard output")

    def handle(self, *args: object, csv: str | None, **options: object) -> None:
        review = io.StringIO(newline="")
        write_csv(review)
        if csv is None:
            self.stdout.write(review.getvalue(), ending="")
            return
        try:
            Path(csv).write_text(review.getvalue(), encoding="utf-8", newline="")
        except OSError as error:
            raise CommandError(f"{csv} cannot be written: {error.strerror}") from error
        self.stdout.write(f"The access review is in {csv}.")
