"""manage.py show_loan: a loan with its debt of this moment and its repayments."""

from django.core.management.base import CommandError, CommandParser

from loans import selectors
from loans.debt.interest_clock import interest_moment
from loans.objects.loan import present_loan
from loans.objects.recent_blocks import recent_blocks
from partner_platform.core.errors import NotFound
from partner_platform.core.management.output import JsonCommand, both_units
from partners.management.support import PARTNER_ID_HELP, require_partner

AMOUNTS = (
    *("principalAmount", "outstandingPrincipal", "accruedInterest", "remainingDebt", "totalRepaid"),
    *("interestPaid", "platformFee", "netAmountTransferred", "writtenOff"),
)


class Command(JsonCommand):
    help = "Show a loan as the API does, its debt as of now; amounts in dollars and base units."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        parser.add_argument("partner_loan_id", help="the partner's own id of the loan")

    def handle(self, *args: object, partner_id: str, partner_loan_id: str, **options: object) -> None:
        try:
            loan = selectors.get_loan(partner=require_partner(partner_id), partner_loan_id=partner_loan_id)
        except NotFound as error:
            raise CommandError(f"{partner_id} has no loan {partner_loan_id!r}.") from error
        history = selectors.repayment_history(loan)
        shown = present_loan(loan, interest_moment([loan]), history, recent_blocks.known())
        lines = [f"{name}: {_line(name, value)}" for name, value in shown.items() if value is not None]
        self.show(shown, *(line for line in lines if not line.startswith("repaymentHistory:")), *map(_payment, history))


def _line(name: str, value: object) -> str:
    return both_units(int(str(value))) if name in AMOUNTS else str(value)


def _payment(payment: selectors.SettledPayment) -> str:
    moment = f"{payment.settled_at:%Y-%m-%d %H:%M:%S}"
    return f"repaid: {moment} UTC, {both_units(payment.amount)} by {payment.repaid_by}, {payment.tx_hash}"
