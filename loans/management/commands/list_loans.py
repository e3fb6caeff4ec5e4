"""manage.py list_loans: a partner's loans, newest first."""

from django.core.management.base import CommandError, CommandParser

from loans import selectors
from loans.debt.interest_clock import interest_moment
from loans.debt.payoffs import debt_at
from loans.models import LoanStatus, PartnerLoan
from loans.objects.loan import present_row
from loans.objects.recent_blocks import recent_blocks
from loans.selectors import LoanSelection
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import BadRequest
from partner_platform.core.ethereum import parse_address
from partner_platform.core.management.output import JsonCommand, both_units, table
from partners.management.support import PARTNER_ID_HELP, require_partner

MOST = 1_000


class Command(JsonCommand):
    help = "Show a partner's loans, newest first; amounts in dollars and base units."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        parser.add_argument("--status", choices=LoanStatus.values, help="only those in this status")
        parser.add_argument("--wallet", help="only those of this user's address")
        parser.add_argument("--limit", type=int, default=50, help=f"how many, 1 to {MOST} (default 50)")
        parser.add_argument("--cursor", help="what the page before this one ended with")

    def handle(self, *args: object, partner_id: str, **options: object) -> None:
        limit = int(str(options["limit"]))
        if not 1 <= limit <= MOST:
            raise CommandError(f"--limit: Must be from 1 to {MOST}.")
        selection = LoanSelection(
            partner=require_partner(partner_id),
            status=_text(options["status"]),
            user_wallet=_wallet(_text(options["wallet"])),
        )
        try:
            page = selectors.list_loans(selection, limit=limit, offset=0, cursor=_text(options["cursor"]))
        except BadRequest as error:
            raise CommandError(error.message) from error
        moment, known = interest_moment(page.rows), recent_blocks.known()
        loans = [
            {
                **present_row(loan, moment, known),
                "internalLoanId": str(loan.internal_loan_id),
                "userWallet": loan.user_wallet,
                "createdAt": isoformat(loan.created_at),
            }
            for loan in page.rows
        ]
        heading = ("loan", "status", "accepted", "principal", "remaining debt", "user")
        lines = table(heading, *(_row(loan, moment) for loan in page.rows))
        ending = f"{len(loans)} of {page.total} loans" + (f"; go on with --cursor {page.next}" if page.next else "")
        self.show({"total": page.total, "next": page.next, "loans": loans}, *lines, ending)


def _row(loan: PartnerLoan, moment: int) -> tuple[str, ...]:
    return (
        loan.partner_loan_id,
        loan.status,
        isoformat(loan.created_at) or "",
        both_units(loan.principal_amount),
        both_units(debt_at(loan, moment)),
        loan.user_wallet,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _wallet(value: str | None) -> str | None:
    try:
        return None if value is None else parse_address(value)
    except ValueError as error:
        raise CommandError(f"--wallet: {error}") from error
