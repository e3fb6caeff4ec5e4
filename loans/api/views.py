"""The partner API, endpoints 1 to 8: each translates, makes one domain call, translates back."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain as chain_of
from typing import Any, TypeVar

from django.conf import settings
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ViewSet

from chain.lending import readings
from loans import rules, selectors, stats, transactions
from loans.api import documentation, presenters, requests, waiting_threads
from loans.debt.interest_clock import interest_moment
from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus
from loans.services.borrow import request_borrow
from loans.services.repay import operation_key, request_repay
from loans.transactions import Selection
from partner_platform.core import clock
from partner_platform.core.errors import BadRequest, ErrorCode, NotFound
from partner_platform.core.openapi.operations import described
from partner_platform.core.redis import wakeup
from partner_platform.core.web import prefer
from partner_platform.core.web.contract_view import ContractView
from partner_platform.core.web.pagination import Page
from partners.access.admission import PublicThrottle
from partners.idempotency.view import idempotent, on_accepted, still_answering
from partners.models import Partner, Scope

T = TypeVar("T")
RETRY_AFTER_SECONDS = "2"


class PublicViewSet(ContractView, ViewSet):
    """What anyone can read on the chain, without a key."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes = [PublicThrottle]

    @action(detail=False, url_path=r"oaid/(?P<oaid_token_id>[^/]+)/credit-line")
    @described(documentation.credit_line)
    def credit_line(self, request: Request, oaid_token_id: str) -> Response:
        """Endpoint 1: the OAID's credit line, as of the newest block."""
        number = _validated(requests.TokenIdPath(data={"oaidTokenId": oaid_token_id}))["oaidTokenId"]
        reading = rules.require_oaid(readings.read_oaid(number) if number < 2**256 else None, number)
        return Response(presenters.credit_line(reading))

    @action(detail=False, url_path=r"position/(?P<position_id>[^/]+)/details")
    @described(documentation.position_details)
    def position_details(self, request: Request, position_id: str) -> Response:
        """Endpoint 2: a collateral position, as of the newest block."""
        number = _validated(requests.PositionIdPath(data={"positionId": position_id}))["positionId"]
        reading = readings.read_position(number) if number < 2**256 else None
        if reading is None:
            raise NotFound(ErrorCode.POSITION_NOT_FOUND, f"Position {number} does not exist")
        return Response(presenters.position(reading))


class LoanViewSet(ContractView, ViewSet):
    """Borrow, repay and read, for an authenticated partner."""

    required_scope = Scope.READ

    @action(detail=False, methods=["post"], required_scope=Scope.BORROW)
    @described(documentation.borrow)
    @idempotent(replay=lambda request, loan_id: _borrowed(request, selectors.loan_by_key(loan_id)), is_once=True)
    def borrow(self, request: Request) -> Response:
        """Endpoint 3: 201 when settled, 202 when still pending, 400 when the chain refused it."""
        body = requests.BorrowBody(data=request.data)
        _validated(body)
        return _borrowed(
            request,
            request_borrow(partner=_partner(request), request=body.to_request(), on_accepted=on_accepted(request)),
        )

    @action(detail=False, methods=["post"], url_path="borrow/typed-data")
    @described(documentation.typed_data)
    def typed_data(self, request: Request) -> Response:
        """What the user signs for a borrow, and the `userAuthorization` to send with it, but for the signature."""
        body = requests.TypedDataBody(data=request.data)
        rules.check_minimum(_validated(body)["borrowAmount"], settings.MIN_BORROW)
        return Response(presenters.consent(*body.to_borrow(_partner(request))))

    @action(detail=False, methods=["post"], required_scope=Scope.REPAY)
    @described(documentation.repay)
    @idempotent(replay=lambda request, repayment_id: _repaid(request, selectors.repayment_by_key(repayment_id)))
    def repay(self, request: Request) -> Response:
        """Endpoint 4: 200 when settled, 202 when still pending, 400 when the chain refused it."""
        body = requests.RepayBody(data=request.data)
        _validated(body)
        return _repaid(
            request,
            request_repay(partner=_partner(request), request=body.to_request(), on_accepted=on_accepted(request)),
        )

    @action(detail=False, url_path=r"repayments/(?P<repayment_id>[^/]+)")
    @described(documentation.repayment)
    def repayment(self, request: Request, repayment_id: str) -> Response:
        """What became of a repayment, one that failed after its acceptance included."""
        repayment = selectors.get_repayment(partner=_partner(request), repayment_id=repayment_id)
        return Response(presenters.repayment_details(repayment))

    @action(detail=False, url_path=r"loan/(?P<partner_loan_id>[^/]+)")
    @described(documentation.loan)
    def loan(self, request: Request, partner_loan_id: str) -> Response:
        """Endpoint 5."""
        loan = selectors.get_loan(partner=_partner(request), partner_loan_id=partner_loan_id)
        return Response(presenters.loan_details(loan, interest_moment([loan]), selectors.repayment_history(loan)))

    @action(detail=False, url_path=r"loan/(?P<partner_loan_id>[^/]+)/payoff")
    @described(documentation.payoff)
    def payoff(self, request: Request, partner_loan_id: str) -> Response:
        """What closes the loan, and until when that holds; 400 for a loan that cannot be repaid."""
        loan = selectors.get_loan(partner=_partner(request), partner_loan_id=partner_loan_id)
        rules.check_repayable(loan)
        return Response(presenters.payoff(loan, interest_moment([loan]) or int(clock.now().timestamp())))

    @action(detail=False, url_path=r"user/(?P<user_wallet>[^/]+)/loans")
    @described(documentation.user_loans)
    def user_loans(self, request: Request, user_wallet: str) -> Response:
        """Endpoint 6."""
        query = _validated(requests.UserLoansQuery(data={**request.query_params.dict(), "userWallet": user_wallet}))
        page = selectors.list_user_loans(
            partner=_partner(request),
            user_wallet=query["userWallet"],
            status=query["status"],
            limit=query["limit"],
            offset=query["offset"],
            cursor=query["cursor"],
        )
        moment = interest_moment(page.rows)
        return Response({**_page(page, query), "loans": [presenters.loan_row(loan, moment) for loan in page.rows]})

    @action(detail=False, url_path="my/stats")
    @described(documentation.stats)
    def stats(self, request: Request) -> Response:
        """Endpoint 7."""
        return Response(stats.stats(_partner(request)))

    @action(detail=False, url_path="my/transactions")
    @described(documentation.transactions)
    def transactions(self, request: Request) -> HttpResponseBase:
        """Endpoint 8: a page as JSON, or everything the filters select as CSV."""
        query = _validated(requests.TransactionsQuery(data=request.query_params.dict()))
        selection = Selection(
            partner=_partner(request),
            start=query["startDate"],
            end=query["endDate"],
            type=query["type"],
            status=query["status"],
        )
        if _wants_csv(request):
            requests.refuse_pages_of_csv(request.query_params)
            return _csv(transactions.csv_chunks(selection))
        page = transactions.list_transactions(
            selection, limit=query["limit"], offset=query["offset"], cursor=query["cursor"]
        )
        return Response({**_page(page, query), "transactions": page.rows})


def _page(page: Page, query: Mapping[str, Any]) -> dict[str, Any]:
    return presenters.page(page, limit=query["limit"], offset=query["offset"])


def _wants_csv(request: Request) -> bool:
    return request._request.get_preferred_type(["application/json", "text/csv"]) == "text/csv"  # noqa: SLF001 - Django's


def _csv(chunks: Iterator[str]) -> StreamingHttpResponse:
    first = next(chunks) + next(chunks, "")  # what can go wrong does so while there is an envelope for it
    response = StreamingHttpResponse(chain_of([first], chunks), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="transactions.csv"'
    return response


def _borrowed(request: Request, loan: PartnerLoan) -> Response:
    """The answer to an accepted borrow, once it is settled or the caller's patience is over."""
    if loan.status == LoanStatus.PENDING:
        key = loan.borrow_operation.key
        loan = _await(request, key, lambda: selectors.borrow_outcome(loan.pk)) or loan
    return _borrow_answer(loan)


def _repaid(request: Request, repayment: Repayment) -> Response:
    """The answer to an accepted repayment, once it is settled or the caller's patience is over."""
    if repayment.status == RepaymentStatus.PENDING:
        key = operation_key(repayment)
        repayment = _await(request, key, lambda: selectors.repayment_outcome(repayment.pk)) or repayment
    return _repay_answer(repayment)


def _await(request: Request, key: str, look: Callable[[], T | None]) -> T | None:
    def look_alive() -> T | None:
        still_answering(request)
        return look()

    seconds = _wait_seconds(request)
    if not seconds:
        return None
    with waiting_threads.place(_partner(request).pk) as may_wait:
        return wakeup.wait_until(key, look_alive, seconds) if may_wait else None


def _borrow_answer(loan: PartnerLoan) -> Response:
    if loan.status == LoanStatus.FAILED:
        raise _settlement_failed("Loan", loan.failure_reason, {"internalLoanId": str(loan.internal_loan_id)})
    if loan.status == LoanStatus.PENDING:
        return _accepted(presenters.borrowed(loan), f"/partners/loan/{loan.partner_loan_id}")
    return Response(presenters.borrowed(loan), status=201)


def _repay_answer(repayment: Repayment) -> Response:
    if repayment.status == RepaymentStatus.FAILED:
        raise _settlement_failed("Repayment", repayment.failure_reason, {"repaymentId": str(repayment.pk)})
    body = presenters.repaid(repayment, repayment.loan)
    if repayment.status == RepaymentStatus.PENDING:
        return _accepted(body, f"/partners/repayments/{repayment.pk}")
    return Response(body)


def _accepted(body: dict[str, Any], where: str) -> Response:
    return Response(body, status=202, headers={"Location": where, "Retry-After": RETRY_AFTER_SECONDS})


def _settlement_failed(what: str, reason: str, details: dict[str, Any]) -> BadRequest:
    message = f"{what} was refused by the chain: {reason or 'no reason given'}"
    return BadRequest(ErrorCode.SETTLEMENT_FAILED, message, details={**details, "reason": reason})


def _wait_seconds(request: Request) -> float:
    return prefer.wait_seconds(request.headers.get("Prefer", ""), maximum=settings.SETTLEMENT_WAIT_SECONDS)


def _validated(serializer: BaseSerializer[Any]) -> Any:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _partner(request: Request) -> Partner:
    principal: Any = request.user  # a PartnerPrincipal: the only thing our authentication lets through
    partner: Partner = principal.partner
    return partner
