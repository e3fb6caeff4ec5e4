"""The feed of a partner's events: what its webhooks deliver, for who was down or wants no webhooks."""

# ruff: noqa: N815 - the contract's names

import json
from typing import Any

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from events.feed import read_feed
from events.kinds import EventType
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import AnyObject, BaseUnits, Count, Timestamp
from partner_platform.core.openapi.operations import OperationDoc, ResponseDoc, described
from partner_platform.core.web.contract_view import ContractView
from partner_platform.core.web.serializers import DigitsField, LoanIdField, OneOfField
from partners.models import Scope
from webhooks.api import feed_cursor

MAX_EVENTS = 100


class FeedQuery(serializers.Serializer):
    """Where in the feed to go on, and which events to choose from there."""

    after = serializers.CharField(
        max_length=feed_cursor.MAX_CURSOR,
        trim_whitespace=False,
        required=False,
        default=None,
        help_text="The `next` of the page before; without it the page begins at the oldest event that is kept.",
    )
    limit = DigitsField(
        min_value=1, max_value=MAX_EVENTS, required=False, default=MAX_EVENTS, help_text="Events on the page."
    )
    type = OneOfField(choices=EventType.choices, required=False, default=None)
    partnerLoanId = LoanIdField(required=False, default=None, help_text="Only events of this loan.")


class FeedEvent(serializers.Serializer):
    """An event; a webhook's body is the same."""

    id = serializers.UUIDField(help_text="The same in every delivery of the event: pass over an id that you have seen.")
    type = serializers.CharField(help_text="One of the `webhooks` of this document; more may come: pass over others.")
    createdAt = Timestamp()
    apiVersion = serializers.CharField(help_text="The version of the contract that `data` is of.")
    partnerLoanId = serializers.CharField(allow_null=True)
    sequence = Count(allow_null=True, help_text="Counts the loan's events from 1; null where it is about no loan.")
    internalLoanId = serializers.UUIDField(required=False, help_text="Of an event of a loan only, as the next two.")
    totalRepaid = BaseUnits(required=False)
    timestamp = Timestamp(required=False, help_text="When it happened: the block's time where a block did it.")
    data = AnyObject()  # type: ignore[assignment] # no attribute of the class: DRF takes fields out of it


class Feed(serializers.Serializer):
    """A page of the feed."""

    events = FeedEvent(many=True, help_text="Oldest first.")
    next = serializers.CharField(help_text="For `?after=`; also on a page without events.")


EVENT_EXAMPLE: dict[str, Any] = {
    "id": "0a1d2f6e-9d40-4f0b-8a6a-4f6c1f0b7c55",
    "type": EventType.LOAN_BORROWED.value,
    "createdAt": "2026-01-05T10:30:00Z",
    "apiVersion": "2026-01-05",
    "partnerLoanId": "xyz_loan_12345",
    "sequence": 1,
    "data": {"loan": {"partnerLoanId": "xyz_loan_12345", "principalAmount": "5000000000", "status": "ACTIVE"}},
}
FEED_EXAMPLE = {
    "events": [
        {
            **EVENT_EXAMPLE,
            "internalLoanId": "7c3f4b1e-52a6-4d8e-9a58-0f6f1d0e2b11",
            "totalRepaid": "0",
            "timestamp": "2026-01-05T10:30:00Z",
        }
    ],
    "next": "gAAAAABpW5bI0xPjm6r0n5hJt3sVd9wYk2uCz8bLe4fAo1iGpTnRMs2c7f3b1e52a6d8e9a580f6f1d0e2b11q0xPjm6r0n5h",
}

LIST_EVENTS = OperationDoc(
    id="listEvents",
    tag="Webhooks",
    summary="The feed of events behind the webhooks",
    description="Oldest first, every event once, without gaps: ask again with `after` set to `next`, as often as you "
    "like. An event may be here a moment before or after its delivery. Events are kept for 90 days, where the platform "
    "set no other time; a cursor from before what was deleted is 410 `cursor_expired`.",
    query=FeedQuery,
    answers=(ResponseDoc(status=200, when="The events", body=Feed, example=FEED_EXAMPLE),),
    errors=(ErrorCode.CURSOR_EXPIRED,),
)


class FeedViewSet(ContractView, ViewSet):
    """What happened, for the partner whose key asks."""

    required_scope = Scope.READ

    @action(detail=False, url_path="events")
    @described(LIST_EVENTS)
    def events(self, request: Request) -> Response:
        """A page of the feed."""
        serializer = FeedQuery(data=request.query_params.dict())
        serializer.is_valid(raise_exception=True)
        query = serializer.validated_data
        principal: Any = request.user  # a PartnerPrincipal: our authentication lets nothing else through
        partner_key = principal.partner.pk
        page = read_feed(
            partner_key,
            after=feed_cursor.number_in(query["after"], partner_key) if query["after"] else None,
            limit=query["limit"],
            event_type=query["type"],
            loan_id=query["partnerLoanId"],
        )
        bodies = [json.loads(event.body) for event in page.events]
        return Response({"events": bodies, "next": feed_cursor.cursor_after(page.next, partner_key)})
