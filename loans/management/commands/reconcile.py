"""manage.py reconcile: the books against themselves and the chain; exit code 1 where something disagrees."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from authority.commands import StaffCommand
from chain.rpc.clients import ChainUnavailable
from loans.reconciliation.by_staff import reconcile_by_staff
from loans.reconciliation.run import Report, reconcile, wait_for_next_block

WAIT_SECONDS = 60.0


class Command(StaffCommand):
    help = "Compare the books with themselves and with the chain; exit code 1 where something disagrees."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--freeze", action="store_true", help="freeze what disagrees in two runs")
        parser.add_argument("--repair", action="store_true", help="put right what can be derived, thaw what agrees")
        parser.add_argument("--quick", action="store_true", help="compare what moved since the last run, and the sums")
        parser.add_argument(
            "--wait",
            type=float,
            default=WAIT_SECONDS,
            metavar="SECONDS",
            help="for the next block, where --freeze or --repair needs a second run (%(default)s)",
        )

    def add_json_option(self, parser: CommandParser) -> None:
        """`--json` may name a file; the console then shows the report as sentences."""
        parser.add_argument(
            "--json", metavar="FILE", nargs="?", const="-", help="the report as JSON, into the file or to stdout (-)"
        )

    def changes(self, options: Mapping[str, object]) -> bool:
        return bool(options["freeze"] or options["repair"])

    def act(self, **options: Any) -> None:
        try:
            report = self._reconcile(options)
        except ChainUnavailable as error:
            raise CommandError(str(error)) from error
        text = json.dumps(report.as_json(), indent=2)
        if options["json"] == "-":
            self.stdout.write(text)
        else:
            if options["json"]:
                Path(options["json"]).write_text(text + "\n")
            self._print(report)
        if report.finding_count > len(report.repaired):
            sys.exit(1)

    def _reconcile(self, options: dict[str, Any]) -> Report:
        """Once; and once more at the next block where something is to be done about what one run alone saw."""
        acts = {"freeze": options["freeze"], "repair": options["repair"]}
        report = self._run(acts, quick=options["quick"])
        if not report.unconfirmed or not any(acts.values()):
            return report
        self.stderr.write(
            f"{report.unconfirmed} findings as of block {report.block_number}, seen once:"
            " they are compared again at the next block before anything is done."
        )
        if not wait_for_next_block(report.block_number, seconds=options["wait"]):
            self.stderr.write(f"No new block within {options['wait']:g} s: nothing was done about them.")
            return report
        return self._run(acts, quick=False)

    def _run(self, acts: dict[str, bool], *, quick: bool) -> Report:
        if any(acts.values()):
            return reconcile_by_staff(actor=self.actor, freeze=acts["freeze"], repair=acts["repair"], quick=quick)
        return reconcile(quick=quick)

    def _print(self, report: Report) -> None:
        counted = ", ".join(f"{count} {kind}s" for kind, count in report.checked.items())
        compared = "everything" if report.is_full else "what moved since the last run"
        self.stdout.write(
            f"As of block {report.block_number}, {compared}: {counted} compared in {report.seconds:.1f} s."
        )
        for sighting in report.sightings:
            self.stdout.write(f"  {sighting}")
        if report.finding_count > len(report.sightings):
            self.stdout.write(f"  and {report.finding_count - len(report.sightings)} more")
        moving = [
            f"{motion.subject} (since block {motion.since_block}{', overdue' if motion.overdue else ''})"
            for motion in report.in_motion
        ]
        for title, lines in (("Repaired", report.repaired), ("Frozen", report.frozen), ("In motion", moving)):
            if lines:
                self.stdout.write(f"{title}: {', '.join(lines)}")
        if not report.finding_count:
            self.stdout.write("Everything agrees.")
