"""`manage.py copy_database --to URL`: move to another database engine."""

import json
import os
import subprocess
import sys

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from partner_platform.core.database import copying


class Command(BaseCommand):
    """Copies every row to a database of any engine, and proves that all arrived."""

    help = "Copy all rows to the empty database of another URL (web, worker and beat must be stopped), and verify them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to",
            default=os.environ.get("COPY_TO_URL"),
            help="DATABASE_URL of the target (or COPY_TO_URL in the environment, out of the process list's sight)",
        )
        parser.add_argument("--receive", action="store_true", help="(inner half: rows on standard input, sums out)")

    def handle(self, *args: object, to: str | None, receive: bool, **options: object) -> None:
        if receive:
            self._receive()
        elif not to:
            raise CommandError("--to DATABASE_URL is missing")
        elif to == settings.DATABASE_URL:
            raise CommandError("source and target are the same database")
        else:
            self._send(to)

    def _send(self, url: str) -> None:
        arrived = self._stream(url)
        expected = copying.sums()
        differing = [label for label in expected if expected[label] != arrived.get(label)]
        for label in differing:
            self.stderr.write(f"{label}: here {expected[label]}, there {arrived.get(label)}")
        if differing:
            raise CommandError("The copy does not agree with its source: drop the target, stop all writers, try again")
        for label, numbers in expected.items():
            self.stdout.write(f"{label}: " + ", ".join(f"{name} {value}" for name, value in numbers.items()))
        total = sum(int(numbers["rows"]) for numbers in expected.values())
        self.stdout.write(f"Copied and verified: {total} rows of {len(expected)} tables; counts and sums agree.")

    def _stream(self, url: str) -> dict[str, dict[str, str]]:
        """Dump into the receiving process and return the sums it found."""
        receiver = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "copy_database", "--receive"],
            env={**os.environ, "DATABASE_URL": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert receiver.stdin is not None  # noqa: S101 - for the type checker: PIPE was asked for
        try:
            copying.dump(receiver.stdin)
            said, _ = receiver.communicate()
        except BrokenPipeError:  # it refused the target; the reason is on standard error
            receiver.wait()
            said = ""
        if receiver.returncode or not said:
            raise CommandError("The target did not take the rows")
        arrived: dict[str, dict[str, str]] = json.loads(said)
        return arrived

    def _receive(self) -> None:
        call_command("migrate", verbosity=0)
        loader = copying.Loader()
        try:
            loader.require_empty()
            loader.load(sys.stdin)
        except copying.CopyError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(copying.sums()))
