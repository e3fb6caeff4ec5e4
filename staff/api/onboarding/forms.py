"""The bodies, answers and documentation of the documents, contacts and notes of a partner's onboarding."""

# ruff: noqa: N815 - the contract's names

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from loans.api.lists import PAGE_EXAMPLE, PageFields, PageQuery
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import Timestamp
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Caller,
    OperationDoc,
    ResponseDoc,
)
from partner_platform.core.web.serializers import OneOfField, StrictCharField, StrictSerializer
from partners.api.common import returned
from partners.onboarding.models import DocumentKind, Verdict
from staff.api.onboarding.stages import OnboardingPath


class DocumentPath(OnboardingPath):
    """A document's id in a path: any text there that is no document of the partner's is 404."""

    documentId = serializers.UUIDField()


class ContactPath(OnboardingPath):
    """A contact's id in a path."""

    contactId = serializers.UUIDField()


class RecordsQuery(OnboardingPath, PageQuery):
    """Which page."""


@extend_schema_field({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"})
class Sha256Field(StrictCharField):
    """A SHA-256 in hex; the service reads it."""


class DocumentBody(StrictSerializer):
    """A document: where its file is kept, and the file's SHA-256."""

    kind = OneOfField(choices=DocumentKind.choices)
    reference = StrictCharField(max_length=300)
    sha256 = Sha256Field(help_text="64 hex digits.")


class CheckBody(StrictSerializer):
    """What the check found."""

    verdict = OneOfField(choices=Verdict.choices)
    remark = StrictCharField(max_length=300, required=False, default="", allow_blank=True)


class ContactBody(StrictSerializer):
    """A person at the company."""

    name = StrictCharField(max_length=200)
    email = StrictCharField(max_length=254)
    role = StrictCharField(max_length=100, required=False, default="", allow_blank=True)
    phone = StrictCharField(max_length=40, required=False, default="", allow_blank=True)


class NoteBody(StrictSerializer):
    """A note, which stays."""

    text = StrictCharField(max_length=4_000)


class DocumentState(serializers.Serializer):
    """A document."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=DocumentKind.values)
    reference = serializers.CharField()
    sha256 = serializers.CharField()
    addedBy = serializers.CharField()
    createdAt = Timestamp()
    verdict = serializers.ChoiceField(choices=Verdict.values, allow_null=True, help_text="null: not checked yet.")
    remark = serializers.CharField()
    checkedBy = serializers.CharField()
    checkedAt = Timestamp(allow_null=True)


class ContactState(serializers.Serializer):
    """A person at the company."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    role = serializers.CharField()
    email = serializers.CharField()
    phone = serializers.CharField()
    createdAt = Timestamp()


class NoteState(serializers.Serializer):
    """A note."""

    id = serializers.UUIDField()
    text = serializers.CharField()
    writtenBy = serializers.CharField()
    createdAt = Timestamp()


class DocumentPage(PageFields):
    """Documents, newest first."""

    documents = DocumentState(many=True)


class ContactPage(PageFields):
    """Contacts, newest first."""

    contacts = ContactState(many=True)


class NotePage(PageFields):
    """Notes, newest first."""

    notes = NoteState(many=True)


_ID = "5b8a7f02-3c1d-4e9b-9f60-2d4a8c6e1b73"
_DOCUMENT_BODY = {"kind": "REGISTRATION", "reference": "dms://kyc/4711.pdf", "sha256": "9f" * 32}
_DOCUMENT = {
    "id": _ID,
    **_DOCUMENT_BODY,
    "addedBy": "staff:ann",
    "createdAt": "2026-01-05T10:30:00Z",
    "verdict": "ACCEPTED",
    "remark": "",
    "checkedBy": "staff:bob",
    "checkedAt": "2026-01-06T08:00:00Z",
}
_CONTACT_BODY = {"name": "Max Muster", "email": "max@newplatform.com", "role": "CTO", "phone": "+49 30 1234"}
_CONTACT = {"id": _ID, **_CONTACT_BODY, "createdAt": "2026-01-05T10:30:00Z"}
_NOTE = {"id": _ID, "text": "Called: papers follow.", "writtenBy": "staff:ann", "createdAt": "2026-01-05T10:30:00Z"}
_ADDED_ERRORS = (*BODY_ERRORS, *IDEMPOTENCY_ERRORS, ErrorCode.PARTNER_NOT_FOUND)


def _listed(name: str, what: str, page: type[PageFields], example: object) -> OperationDoc:
    rows = {"documents": "listDocuments", "contacts": "listContacts", "notes": "listNotes"}
    return OperationDoc(
        id=rows[name],
        tag="Staff",
        summary=f"The {what} of a partner's onboarding",
        caller=Caller.STAFF,
        path=OnboardingPath,
        query=RecordsQuery,
        answers=(returned(f"A page of {what}", page, {**PAGE_EXAMPLE, name: [example]}),),
        errors=(ErrorCode.PARTNER_NOT_FOUND,),
    )


def _added(
    operation: str, what: str, body: type[StrictSerializer], made: type[serializers.Serializer], examples: list[object]
) -> OperationDoc:
    return OperationDoc(
        id=operation,
        tag="Staff",
        summary=f"Record a {what} of a partner's onboarding",
        caller=Caller.STAFF,
        path=OnboardingPath,
        headers=(headers.IDEMPOTENCY_KEY,),
        body=body,
        body_examples={what: examples[0]},
        answers=(ResponseDoc(status=201, when=f"The {what}", body=made, example=examples[1]),),
        errors=_ADDED_ERRORS,
    )


LIST_DOCUMENTS = _listed("documents", "documents", DocumentPage, _DOCUMENT)
ADD_DOCUMENT = _added("addDocument", "document", DocumentBody, DocumentState, [_DOCUMENT_BODY, _DOCUMENT])
CHECK_DOCUMENT = OperationDoc(
    id="checkDocument",
    tag="Staff",
    summary="Write that a document was checked",
    description="A checked document stays as it is: a better one is added.",
    caller=Caller.STAFF,
    path=DocumentPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=CheckBody,
    body_examples={"accepted": {"verdict": "ACCEPTED"}, "rejected": {"verdict": "REJECTED", "remark": "Expired"}},
    answers=(returned("The document", DocumentState, _DOCUMENT),),
    errors=(*_ADDED_ERRORS, ErrorCode.DOCUMENT_NOT_FOUND),
)
LIST_CONTACTS = _listed("contacts", "contacts", ContactPage, _CONTACT)
ADD_CONTACT = _added("addContact", "contact", ContactBody, ContactState, [_CONTACT_BODY, _CONTACT])
REMOVE_CONTACT = OperationDoc(
    id="removeContact",
    tag="Staff",
    summary="Take a contact off the list",
    caller=Caller.STAFF,
    path=ContactPath,
    answers=(returned("The contact that was removed", ContactState, _CONTACT),),
    errors=(ErrorCode.PARTNER_NOT_FOUND, ErrorCode.CONTACT_NOT_FOUND),
)
LIST_NOTES = _listed("notes", "notes", NotePage, _NOTE)
ADD_NOTE = _added("addNote", "note", NoteBody, NoteState, [{"text": "Called: papers follow."}, _NOTE])
