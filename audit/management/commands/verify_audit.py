"""`manage.py verify_audit`: is the trail of changes whole?"""

import os
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.trail.anchors import AnchorsUnreadable
from audit.trail.verification import Verification, verify_trail
from partner_platform.core.management.output import JsonCommand

SHOWN = 100


class Command(JsonCommand):
    help = "Check every audit entry, the chain of blocks and the anchors; fails naming what was changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many share the work")
        parser.add_argument("--no-anchors", action="store_true", help="do not ask the chain for the anchors")

    def handle(self, **options: Any) -> None:
        began = time.perf_counter()
        try:
            result = verify_trail(processes=options["processes"], with_anchors=not options["no_anchors"])
        except AnchorsUnreadable as error:
            raise CommandError(f"The anchors cannot be read ({error}); --no-anchors checks the rest.") from error
        self._tell(result, time.perf_counter() - began)

    def _tell(self, result: Verification, seconds: float) -> None:
        self.show(
            {
                "intact": not result.findings,
                "entries": result.entries,
                "blocks": result.blocks,
                "unsealed": result.unsealed,
                "anchors": result.anchors,
                "head": result.head,
                "findings": [str(finding) for finding in result.findings],
                "notes": result.notes,
            }
        )
        for finding in result.findings[:SHOWN]:
            self.say(str(finding))
        for note in result.notes:
            self.say(f"note: {note}")
        counts = (
            f"{result.entries} entries in {result.blocks} blocks, {result.unsealed} unsealed, {result.anchors} anchors"
        )
        self.say(f"{counts}; head {result.head}; {seconds:.1f} s")
        if result.findings:
            raise CommandError(f"The audit trail is NOT intact: {len(result.findings)} findings")
        self.say("The audit trail is intact.")
