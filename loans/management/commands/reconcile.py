"""manage.py reconcile: the books against themselves and the chain; exit code 1 where something disagrees."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chain.clients import ChainUnavailable
from loans.services.reconcile import Report, reconcile


class Command(BaseCommand):
    help = "Compare the books with themselves and with the chain; exit code 1 where something disagrees."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", metavar="FILE", help="write the report there as JSON; - is the console")
        parser.add_argument("--freeze", action="store_true", help="freeze what disagrees")
        parser.add_argument("--repair", action="store_true", help="put right what can be derived, thaw what agrees")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = reconcile(freeze=options["freeze"], repair=options["repair"])
        except ChainUnavailable as error:
            raise CommandError(str(error)) from error
        text = json.dumps(report.as_json(), indent=2)
        if options["json"] == "-":
            self.stdout.write(text)
        else:
            if options["json"]:
                Path(options["json"]).write_text(text + "\n")
            self._print(report)
        if len(report.findings) > len(report.repaired):
            sys.exit(1)

    def _print(self, report: Report) -> None:
        counted = ", ".join(f"{count} {kind}s" for kind, count in report.checked.items())
        self.stdout.write(f"As of block {report.block_number}: {counted} compared.")
        for finding in report.findings:
            self.stdout.write(f"  {finding}")
        for title, lines in (("Repaired", report.repaired), ("Frozen", report.frozen), ("In motion", report.in_motion)):
            if lines:
                self.stdout.write(f"{title}: {', '.join(lines)}")
        if not report.findings:
            self.stdout.write("Everything agrees.")
