"""manage.py prove_consent: show what a user signed for a loan, and whether the proof kept with it holds."""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from chain.rpc.clients import ChainUnavailable
from loans import selectors
from loans.consent import evidence
from partner_platform.core.errors import NotFound
from partner_platform.core.management.output import JsonCommand
from partners.management.support import require_partner


class Command(JsonCommand):
    help = (
        "Print the typed data that the user signed for a loan, the digest and the signature, and check them against "
        "the loan; fails where they do not hold."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")
        parser.add_argument("partner_loan_id", help="the partner's own id of the loan")

    def handle(self, *args: Any, **options: Any) -> None:
        partner = require_partner(options["partner_id"])
        try:
            loan = selectors.get_loan(partner=partner, partner_loan_id=options["partner_loan_id"])
            signed = evidence.message_of(loan)
            shown = {
                "wallet": loan.user_wallet,
                "signature": (loan.user_authorization or {}).get("signature"),
                "digest": signed.digest,
                "typedData": signed.data,
            }
            problems = evidence.problems_with(loan)
        except (NotFound, ChainUnavailable, ValueError) as error:
            raise CommandError(str(error)) from error
        self.show(shown, json.dumps(shown, indent=1))
        if problems:
            raise CommandError("The proof does not hold: " + "; ".join(problems))
        self.say("The wallet signed this, and it is the loan that was drawn.")
