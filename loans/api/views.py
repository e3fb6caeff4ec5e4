"""The partner API's two sets of views: what anyone can read, and what needs a partner's key.

To add an endpoint, write it in the module of its group; a new group is added to `LoanViewSet`.
"""

from loans.api.borrow import BorrowViewSet
from loans.api.borrow_preview import BorrowPreviewViewSet
from loans.api.consent import ConsentViewSet
from loans.api.loan import SingleLoanViewSet
from loans.api.partner_loans import PartnerLoansViewSet
from loans.api.payoff import PayoffViewSet
from loans.api.platform import PlatformViewSet
from loans.api.public import PublicViewSet
from loans.api.repay import RepayViewSet
from loans.api.repayments import RepaymentsViewSet
from loans.api.reports import ReportsViewSet
from loans.api.requests import RequestsViewSet
from loans.api.statements import StatementsViewSet
from loans.api.transfers import TransfersViewSet
from loans.api.user_loans import UserLoansViewSet

__all__ = ["LoanViewSet", "PublicViewSet"]


class LoanViewSet(
    BorrowViewSet,
    BorrowPreviewViewSet,
    ConsentViewSet,
    RepayViewSet,
    RepaymentsViewSet,
    SingleLoanViewSet,
    PayoffViewSet,
    UserLoansViewSet,
    PartnerLoansViewSet,
    ReportsViewSet,
    RequestsViewSet,
    PlatformViewSet,
    TransfersViewSet,
    StatementsViewSet,
):
    """Borrow, repay and read, for an authenticated partner."""
