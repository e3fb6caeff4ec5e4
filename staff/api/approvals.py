"""Changes that wait for a second person: list, look, approve, reject.

Looking needs the right to view approvals; deciding needs the rights of the change, for which the service asks.
"""

# ruff: noqa: N815 - the contract's names

from typing import Any

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from authority import selectors
from authority.approvals import deciding
from authority.approvals.kinds import kind_names, title_of
from authority.models import Approval, ApprovalStatus
from authority.rights import Right
from loans.api.lists import PAGE_EXAMPLE, PageFields, PageQuery, present_page
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import AnyObject, Timestamp
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Caller,
    OperationDoc,
    ResponseDoc,
    described,
)
from partner_platform.core.web.pagination import paginate
from partner_platform.core.web.serializers import OneOfField, StrictCharField, StrictSerializer
from partners.api.common import returned, validated
from partners.idempotency.view import idempotent
from staff.api.common import StaffViewSet, actor_of

MAX_REASON = 500


class ApprovalIdPath(serializers.Serializer):
    """An approval's id in a path: any text there that is none is 404."""

    approvalId = serializers.UUIDField()


class ApprovalsQuery(PageQuery):
    """Which approvals."""

    status = OneOfField(choices=ApprovalStatus.values, required=False, default=None, help_text="Only of this status.")
    kind = serializers.CharField(max_length=60, required=False, default=None, help_text="Only of this kind.")

    def validate_kind(self, kind: str | None) -> str | None:
        if kind is not None and kind not in kind_names():
            raise serializers.ValidationError(f"Must be one of {', '.join(kind_names())}.", code="invalid_choice")
        return kind


class DecisionBody(StrictSerializer):
    """Why it is decided so."""

    reason = StrictCharField(max_length=MAX_REASON, help_text="Kept with the decision and in the audit trail.")


class ApprovalFields(serializers.Serializer):
    """A change that waits for a second person, or waited for one."""

    approvalId = serializers.UUIDField()
    kind = serializers.CharField()
    title = serializers.CharField(help_text="The kind, for people.")
    target = serializers.CharField(help_text="What is changed: its kind and its id.")
    status = serializers.ChoiceField(choices=ApprovalStatus.values)
    before = AnyObject(help_text="As it was when the change was asked for; compared at approval.")
    after = AnyObject()
    impact = serializers.CharField(help_text="What hung on it when the change was asked for.")
    reason = serializers.CharField(help_text="Of who asked; empty where they gave none.")
    rights = serializers.ListField(child=serializers.CharField(), help_text="What who decides must have.")
    createdBy = serializers.CharField()
    createdAt = Timestamp()
    expiresAt = Timestamp()
    decidedBy = serializers.CharField(allow_null=True)
    decidedAt = Timestamp(allow_null=True)
    decisionReason = serializers.CharField(allow_null=True)


class ApprovedFields(ApprovalFields):
    """The approval, and what the change made."""

    result = AnyObject(help_text="Secrets that the change made, shown once: `apiKey`, `webhookSecret`; else empty.")


class ApprovalsPage(PageFields):
    """Approvals, newest first."""

    approvals = ApprovalFields(many=True)


class WaitingFields(serializers.Serializer):
    """The change is not made: a second person must approve it."""

    approvalId = serializers.UUIDField()
    status = serializers.ChoiceField(choices=[ApprovalStatus.WAITING])
    before = AnyObject()
    after = AnyObject()


_ID = "6f1c2d9e-04b8-4b7a-9c35-1e8d7a2f5b60"
_BEFORE, _AFTER = {"dailyBorrowLimit": "50000000000"}, {"dailyBorrowLimit": "80000000000"}
_EXAMPLE: dict[str, Any] = {
    "approvalId": _ID,
    "kind": "partner.terms",
    "title": "Change a partner's terms",
    "target": "partner:partner_nlp_003",
    "status": "WAITING",
    "before": _BEFORE,
    "after": _AFTER,
    "impact": "2 active loans, $49,000 outstanding",
    "reason": "Their volume doubled",
    "rights": ["staff.change_limits"],
    "createdBy": "staff:ann",
    "createdAt": "2026-01-05T10:30:00Z",
    "expiresAt": "2026-01-08T10:30:00Z",
    "decidedBy": None,
    "decidedAt": None,
    "decisionReason": None,
}
_DECIDED = {"decidedBy": "staff:bob", "decidedAt": "2026-01-05T11:00:00Z", "decisionReason": "Seen their books"}
_DECISION_ERRORS = (
    *BODY_ERRORS,
    *IDEMPOTENCY_ERRORS,
    ErrorCode.APPROVAL_NOT_FOUND,
    ErrorCode.SELF_APPROVAL,
    ErrorCode.APPROVAL_CLOSED,
)

# For the documentation of every call whose change can wait.
WAITING = ResponseDoc(
    status=202,
    when="Nothing is changed: a second person must approve it",
    body=WaitingFields,
    example={"approvalId": _ID, "status": "WAITING", "before": _BEFORE, "after": _AFTER},
)
LIST_APPROVALS = OperationDoc(
    id="listApprovals",
    tag="Staff",
    caller=Caller.STAFF,
    summary="Changes that wait for a second person, or waited",
    query=ApprovalsQuery,
    answers=(returned("A page of them", ApprovalsPage, {**PAGE_EXAMPLE, "approvals": [_EXAMPLE]}),),
)
GET_APPROVAL = OperationDoc(
    id="getApproval",
    tag="Staff",
    caller=Caller.STAFF,
    summary="An approval",
    path=ApprovalIdPath,
    answers=(returned("The approval", ApprovalFields, _EXAMPLE),),
    errors=(ErrorCode.APPROVAL_NOT_FOUND,),
)
APPROVE = OperationDoc(
    id="approveChange",
    tag="Staff",
    caller=Caller.STAFF,
    summary="Approve a change that somebody else asked for",
    description="The change is made now, as who asked for it. It is computed anew: where it is no longer what was "
    "shown, it is refused and the approval is closed. Secrets that it makes are shown once; with an `Idempotency-Key` "
    "the same call shows them again.",
    path=ApprovalIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=DecisionBody,
    body_examples={"default": {"reason": "Seen their books"}},
    answers=(returned("It is made", ApprovedFields, {**_EXAMPLE, **_DECIDED, "status": "APPROVED", "result": {}}),),
    errors=(*_DECISION_ERRORS, ErrorCode.APPROVAL_OUTDATED, ErrorCode.CHAIN_UNAVAILABLE),
)
REJECT = OperationDoc(
    id="rejectChange",
    tag="Staff",
    caller=Caller.STAFF,
    summary="Reject a change that somebody else asked for",
    path=ApprovalIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=DecisionBody,
    body_examples={"default": {"reason": "Not agreed with them"}},
    answers=(returned("It is closed", ApprovalFields, {**_EXAMPLE, **_DECIDED, "status": "REJECTED"}),),
    errors=_DECISION_ERRORS,
)


class ApprovalsViewSet(StaffViewSet):
    """Changes that wait for a second person."""

    required_right = Right.VIEW_APPROVALS
    lookup_url_kwarg = "approval_id"
    lookup_value_regex = "[^/]+"

    @described(LIST_APPROVALS)
    def list(self, request: Request) -> Response:
        """A page of approvals."""
        query = validated(ApprovalsQuery(data=request.query_params.dict()))
        chosen = {"status": query["status"], "kind": query["kind"]}
        page = paginate(
            streams=[selectors.approvals_query(**chosen)],
            scope=f"approvals:{chosen['status']}:{chosen['kind']}",
            limit=query["limit"],
            offset=query["offset"],
            cursor=query["cursor"],
        )
        return Response({**present_page(page, query), "approvals": [present_approval(row) for row in page.rows]})

    @described(GET_APPROVAL)
    def retrieve(self, request: Request, approval_id: str) -> Response:
        """One approval."""
        return Response(present_approval(selectors.get_approval(approval_id)))

    @action(detail=True, methods=["post"])
    @described(APPROVE)
    @idempotent(is_secret=True)
    def approve(self, request: Request, approval_id: str) -> Response:
        """Make the change."""
        reason = validated(DecisionBody(data=request.data))["reason"]
        done = deciding.approve(approval_id=approval_id, actor=actor_of(request), reason=reason)
        return Response({**present_approval(done.approval), "result": done.secrets})

    @action(detail=True, methods=["post"])
    @described(REJECT)
    @idempotent(atomic=True)
    def reject(self, request: Request, approval_id: str) -> Response:
        """Close it without the change."""
        reason = validated(DecisionBody(data=request.data))["reason"]
        row = deciding.reject(approval_id=approval_id, actor=actor_of(request), reason=reason)
        return Response(present_approval(row))


def present_approval(row: Approval) -> dict[str, object]:
    """The fields of `ApprovalFields`."""
    return {
        "approvalId": str(row.pk),
        "kind": row.kind,
        "title": title_of(row.kind),
        "target": row.target,
        "status": str(row.status),
        "before": row.before,
        "after": row.after,
        "impact": row.impact,
        "reason": row.reason,
        "rights": row.rights,
        "createdBy": row.maker,
        "createdAt": isoformat(row.created_at),
        "expiresAt": isoformat(row.expires_at),
        "decidedBy": row.decided_by or None,
        "decidedAt": isoformat(row.decided_at),
        "decisionReason": row.decision_reason or None,
    }
