"""The `webhooks` of the OpenAPI schema: every type of event, the headers it comes with, its body and an example.

To add a type of event: `events/kinds.py`, its entry in `EVENTS`, whose schema comes from a serializer, and
of a loan its example in `event_examples`.
"""

# ruff: noqa: N815 - the contract's names

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework import serializers

from events.kinds import EventType
from loans.api.loan import Instalment, Loan
from loans.api.repayments import RepaymentAnswer
from loans.api.transfers import TRANSFER_EXAMPLE, TransferState
from loans.objects.health import HEALTH_WARNING_EXAMPLE, HealthWarningObject
from partner_platform.core.openapi.auto_schema import schemas_of
from partner_platform.core.openapi.fields import BaseUnits, Timestamp
from partner_platform.core.openapi.operations import Serializer, camel
from partner_platform.event_examples import LOAN_EVENTS
from partners.notices import event_objects as partner_objects
from webhooks.api.feed import EVENT_EXAMPLE, FeedEvent
from webhooks.event_objects import TEST_EXAMPLE, TestObject


class LoanEventData(serializers.Serializer):
    """An event of a loan: the loan as `GET /partners/loan/{partnerLoanId}` answers it, as of the event."""

    loan = Loan()


class RepaymentEventData(LoanEventData):
    """An event of a loan that a repayment brought about."""

    repayment = RepaymentAnswer()


class UndoneEventData(LoanEventData):
    """A reorganization of the chain took back what an earlier event told."""

    repayment = RepaymentAnswer(required=False, help_text="Where the earlier event was about one.")
    undone = serializers.CharField(help_text="The type of the event that no longer holds.")
    reason = serializers.CharField()


class InstalmentEventData(LoanEventData):
    """An event about a due date of a loan."""

    installment = Instalment()


class LoanEventFields(serializers.Serializer):
    """What an event of a loan has beside `data`."""

    internalLoanId = serializers.UUIDField()
    totalRepaid = BaseUnits()
    timestamp = Timestamp(help_text="When it happened: the block's time where a block did it.")


@dataclass(frozen=True)
class EventDoc:
    """`when` completes the sentence "told when …"; `data` is the serializer of `data`, `example` one of `data`.

    Of an event of a loan, `extra` is the serializer of its further fields and `example` is None: the whole event is in
    `event_examples.LOAN_EVENTS`.
    """

    when: str
    data: Serializer
    example: Mapping[str, object] | None
    extra: Serializer | None = None


def _loan(when: str, data: Serializer = LoanEventData) -> EventDoc:
    return EventDoc(when, data, None, LoanEventFields)


EVENTS: dict[EventType, EventDoc] = {
    EventType.LOAN_BORROWED: _loan("a loan is drawn and its money is paid out"),
    EventType.LOAN_REPAYMENT: _loan(
        "a payment of a loan is settled, whoever paid: you, the user on the chain, or a liquidation", RepaymentEventData
    ),
    EventType.LOAN_REPAID: _loan(
        "a loan is repaid in full, after the `loan.repayment` of its last payment", RepaymentEventData
    ),
    EventType.LOAN_FAILED: _loan("an accepted borrow failed on the chain: nothing was paid out"),
    EventType.LOAN_DEFAULTED: _loan("a loan is in default, by a missed due date or by us"),
    EventType.LOAN_CURED: _loan("a default ended"),
    EventType.LOAN_LIQUIDATED: _loan("the collateral of a loan was liquidated"),
    EventType.LOAN_UNDONE: _loan(
        "a reorganization of the chain took back what an earlier event told; it may happen again, and is told again",
        UndoneEventData,
    ),
    EventType.REPAYMENT_FAILED: _loan(
        "an accepted repayment failed: the debt is as it was, and nothing was taken", RepaymentEventData
    ),
    EventType.PAYMENT_DUE_SOON: _loan("a due date of a loan comes near", InstalmentEventData),
    EventType.PAYMENT_MISSED: _loan("a due date of a loan passed and was not paid", InstalmentEventData),
    EventType.POSITION_HEALTH_WARNING: EventDoc(
        "a position with loans of yours comes near its liquidation",
        HealthWarningObject,
        HEALTH_WARNING_EXAMPLE,
    ),
    EventType.PARTNER_SUSPENDED: EventDoc(
        "your account is suspended; events still come",
        partner_objects.SuspendedObject,
        partner_objects.SUSPENDED_EXAMPLE,
    ),
    EventType.PARTNER_LIMIT_WARNING: EventDoc(
        "80 % or 100 % of a limit is used", partner_objects.LimitWarningObject, partner_objects.LIMIT_WARNING_EXAMPLE
    ),
    EventType.API_KEY_EXPIRING: EventDoc(
        "an API key of yours will expire soon",
        partner_objects.ApiKeyExpiringObject,
        partner_objects.API_KEY_EXPIRING_EXAMPLE,
    ),
    EventType.TRANSFER_UNCLAIMED: EventDoc(
        "USDC from an address of yours reached the platform account, and no repayment has claimed it",
        TransferState,
        TRANSFER_EXAMPLE,
    ),
    EventType.WEBHOOK_TEST: EventDoc("you ask for it", TestObject, TEST_EXAMPLE),
}

_HEX = "[0-9a-f]{64}"
HEADERS: dict[str, dict[str, object]] = {
    "webhook-id": {
        "description": "The event's id; the same in every try and every delivery of it.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "webhook-timestamp": {
        "description": "When this try was sent, in seconds since the epoch: refuse what is minutes off.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "webhook-signature": {
        "description": "Standard Webhooks: `v1,` and the base64 HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}."
        "{raw body}`, with the decoded base64 behind `whsec_`; while two secrets are live, one of each with a space "
        "between them.",
        "schema": {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]+=*( v1,[A-Za-z0-9+/]+=*)*$"},
    },
    "X-Webhook-Event": {"description": "The event's type.", "schema": {"type": "string"}},
    "X-Webhook-Timestamp": {
        "description": "The same moment as `webhook-timestamp`, in milliseconds.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "X-Webhook-Signature": {
        "description": "`sha256=` and the hex HMAC-SHA256 of the raw body, with the UTF-8 bytes of the whole `whsec_…`;"
        " while two secrets are live, one of each with a comma between them.",
        "schema": {"type": "string", "pattern": f"^sha256={_HEX}(,sha256={_HEX})*$"},
    },
}
RESPONSES = {
    "2XX": {"description": "You have the event. Any other answer, or none within 15 seconds, is a failed try."},
    "410": {"description": "You no longer want events here: the endpoint is disabled."},
}


def add_webhooks(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """drf-spectacular's post-processing hook, after `core.openapi.document.complete_document`."""
    used: set[Serializer] = {FeedEvent, LoanEventFields, *(doc.data for doc in EVENTS.values())}
    components = result["components"]
    components["schemas"] = dict(sorted({**components["schemas"], **schemas_of(used)}.items()))
    components["parameters"] = {**components["parameters"], **{_name(name): _header(name) for name in HEADERS}}
    result["webhooks"] = {str(kind): {"post": _operation(kind, doc)} for kind, doc in EVENTS.items()}
    return result


def _operation(kind: EventType, doc: EventDoc) -> dict[str, object]:
    about: Mapping[str, object] = {"partnerLoanId": None, "sequence": None, "data": doc.example}
    example = {**EVENT_EXAMPLE, **LOAN_EVENTS.get(kind, about), "type": str(kind)}
    return {
        "operationId": camel(str(kind).replace(".", "_")),
        "summary": f"Told when {doc.when.partition(';')[0]}",
        "description": f"Told when {doc.when}.",
        "tags": ["Webhooks"],
        "security": [],
        "parameters": [{"$ref": f"#/components/parameters/{_name(name)}"} for name in HEADERS],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _body(kind, doc), "examples": {str(kind): {"value": example}}}},
        },
        "responses": RESPONSES,
    }


def _body(kind: EventType, doc: EventDoc) -> dict[str, object]:
    narrowed = {"properties": {"type": {"const": str(kind)}, "data": _ref(doc.data)}}
    extra = [] if doc.extra is None else [_ref(doc.extra)]
    return {"allOf": [_ref(FeedEvent), *extra, narrowed]}


def _ref(serializer: Serializer) -> dict[str, object]:
    return {"$ref": f"#/components/schemas/{serializer.__name__}"}


def _name(header: str) -> str:
    """What a header is called among the components."""
    return "".join(part.title() for part in header.split("-"))


def _header(name: str) -> dict[str, object]:
    return {"name": name, "in": "header", "required": True, **HEADERS[name]}
