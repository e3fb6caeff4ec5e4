"""Marking a loan as defaulted, with a reason, and curing it."""

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from authority.rights import Right
from loans import selectors
from loans.services import lifecycle
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import Success
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Caller,
    OperationDoc,
    described,
)
from partner_platform.core.web.serializers import StrictCharField, StrictSerializer
from partners.api.common import returned, validated
from partners.idempotency.view import idempotent
from staff.api.common import StaffViewSet, actor_of
from staff.api.loans import STAFF_LOAN_EXAMPLE, LoanIdInPath, StaffLoan, present_staff_loan

MAX_REASON = 300


class DefaultBody(StrictSerializer):
    """Why the loan is in default."""

    reason = StrictCharField(max_length=MAX_REASON, help_text="The partner is told it.")


class CureBody(StrictSerializer):
    """Why the loan is in order again."""

    reason = StrictCharField(max_length=MAX_REASON, required=False, allow_blank=True, default="")


class ChangedLoan(serializers.Serializer):
    """A loan after a change."""

    success = Success()
    loan = StaffLoan()


_ACTIVE = {**STAFF_LOAN_EXAMPLE, "status": "ACTIVE"}

DEFAULT_LOAN = OperationDoc(
    id="defaultLoan",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Mark an active loan as defaulted",
    description="Only staff or a full repayment cures it. Right: `staff.mark_loans`.",
    path=LoanIdInPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=DefaultBody,
    body_examples={"default": {"reason": "The borrower is insolvent."}},
    answers=(
        returned(
            "The loan is in default",
            ChangedLoan,
            {
                "success": True,
                "loan": {
                    **STAFF_LOAN_EXAMPLE,
                    "status": "DEFAULTED",
                    "defaultedAt": "2026-01-20T09:00:00Z",
                    "defaultReason": "The borrower is insolvent.",
                },
            },
        ),
    ),
    errors=(*BODY_ERRORS, *IDEMPOTENCY_ERRORS, ErrorCode.LOAN_NOT_FOUND),
)
CURE_LOAN = OperationDoc(
    id="cureLoan",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Make a defaulted loan active again",
    description="Right: `staff.mark_loans`.",
    path=LoanIdInPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=CureBody,
    is_body_required=False,
    body_examples={"cure": {}, "withReason": {"reason": "It was paid in another way."}},
    answers=(returned("The loan is active", ChangedLoan, {"success": True, "loan": _ACTIVE}),),
    errors=(*BODY_ERRORS, *IDEMPOTENCY_ERRORS, ErrorCode.LOAN_NOT_FOUND),
)


class LoanStatusViewSet(StaffViewSet):
    """What staff decide about a loan."""

    required_right = Right.MARK_LOANS
    lookup_url_kwarg = "internal_loan_id"
    lookup_value_regex = "[^/]+"

    @action(detail=True, methods=["post"])
    @described(DEFAULT_LOAN)
    @idempotent(atomic=True)
    def default(self, request: Request, internal_loan_id: str) -> Response:
        """ACTIVE to DEFAULTED."""
        body = validated(DefaultBody(data=request.data))
        loan = selectors.loan_by_internal_id(internal_loan_id)
        after = lifecycle.mark_defaulted(loan_id=loan.pk, actor=actor_of(request), reason=body["reason"])
        return Response({"success": True, "loan": present_staff_loan(after)})

    @action(detail=True, methods=["post"])
    @described(CURE_LOAN)
    @idempotent(atomic=True)
    def cure(self, request: Request, internal_loan_id: str) -> Response:
        """DEFAULTED to ACTIVE."""
        body = validated(CureBody(data=request.data))
        loan = selectors.loan_by_internal_id(internal_loan_id)
        after = lifecycle.cure(loan_id=loan.pk, actor=actor_of(request), reason=body["reason"])
        return Response({"success": True, "loan": present_staff_loan(after)})
