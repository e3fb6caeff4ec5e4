"""The documents, contacts and notes of a partner's onboarding."""

# ruff: noqa: N815 - the contract's names

from collections.abc import Callable
from typing import TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans.api.lists import PAGE_EXAMPLE, PageFields, PageQuery, present_page
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import Timestamp
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
from partners import selectors
from partners.api.common import returned, validated
from partners.idempotency.view import idempotent
from partners.onboarding import records
from partners.onboarding.models import (
    DocumentKind,
    OnboardingContact,
    OnboardingDocument,
    OnboardingNote,
    Verdict,
)
from staff.api.common import actor_of
from staff.api.onboarding import OnboardingPath, OnboardingViews

M = TypeVar("M", bound=Model)


class DocumentPath(OnboardingPath):
    """A document's id in a path: any text there that is no document of the partner's is 404."""

    documentId = serializers.UUIDField()


class ContactPath(OnboardingPath):
    """A contact's id in a path."""

    contactId = serializers.UUIDField()


class RecordsQuery(OnboardingPath, PageQuery):
    """Which page."""


class DocumentBody(StrictSerializer):
    """A document: where its file is kept, and the file's SHA-256."""

    kind = OneOfField(choices=DocumentKind.choices)
    reference = StrictCharField(max_length=300)
    sha256 = StrictCharField(max_length=64, help_text="64 hex digits.")


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


class OnboardingRecordsViewSet(OnboardingViews):
    """`/admin/partners/{partnerId}/documents`, `…/contacts`, `…/notes`."""

    @action(detail=True)
    @described(LIST_DOCUMENTS)
    def documents(self, request: Request, partner_id: str) -> Response:
        """A page of the documents."""
        return _page(request, partner_id, "documents", records.documents_query, present_document)

    @documents.mapping.post
    @described(ADD_DOCUMENT)
    @idempotent(atomic=True)
    def add_document(self, request: Request, partner_id: str) -> Response:
        """Record a document."""
        body = validated(DocumentBody(data=request.data))
        partner = selectors.get_partner(partner_id)
        added = records.add_document(partner=partner, actor=actor_of(request), **body)
        return Response(present_document(added), status=201)

    @action(detail=True, methods=["post"], url_path="documents/(?P<document_id>[^/]+)/check")
    @described(CHECK_DOCUMENT)
    @idempotent(atomic=True)
    def check_document(self, request: Request, partner_id: str, document_id: str) -> Response:
        """Write what a check found."""
        body = validated(CheckBody(data=request.data))
        checked = records.check_document(
            partner=selectors.get_partner(partner_id), document_id=document_id, actor=actor_of(request), **body
        )
        return Response(present_document(checked))

    @action(detail=True)
    @described(LIST_CONTACTS)
    def contacts(self, request: Request, partner_id: str) -> Response:
        """A page of the contacts."""
        return _page(request, partner_id, "contacts", records.contacts_query, present_contact)

    @contacts.mapping.post
    @described(ADD_CONTACT)
    @idempotent(atomic=True)
    def add_contact(self, request: Request, partner_id: str) -> Response:
        """Record a contact."""
        body = validated(ContactBody(data=request.data))
        partner = selectors.get_partner(partner_id)
        added = records.add_contact(partner=partner, actor=actor_of(request), **body)
        return Response(present_contact(added), status=201)

    @action(detail=True, methods=["delete"], url_path="contacts/(?P<contact_id>[^/]+)")
    @described(REMOVE_CONTACT)
    def remove_contact(self, request: Request, partner_id: str, contact_id: str) -> Response:
        """Take a contact off the list."""
        partner = selectors.get_partner(partner_id)
        removed = records.remove_contact(partner=partner, contact_id=contact_id, actor=actor_of(request))
        return Response(present_contact(removed))

    @action(detail=True)
    @described(LIST_NOTES)
    def notes(self, request: Request, partner_id: str) -> Response:
        """A page of the notes."""
        return _page(request, partner_id, "notes", records.notes_query, present_note)

    @notes.mapping.post
    @described(ADD_NOTE)
    @idempotent(atomic=True)
    def add_note(self, request: Request, partner_id: str) -> Response:
        """Write a note."""
        text = validated(NoteBody(data=request.data))["text"]
        added = records.add_note(partner=selectors.get_partner(partner_id), actor=actor_of(request), text=text)
        return Response(present_note(added), status=201)


def _page(
    request: Request,
    partner_id: str,
    name: str,
    rows_of: Callable[..., QuerySet[M]],
    present: Callable[[M], dict[str, object]],
) -> Response:
    query = validated(PageQuery(data=request.query_params.dict()))
    partner = selectors.get_partner(partner_id)
    page = paginate(
        streams=[rows_of(partner)],
        scope=f"onboarding-{name}:{partner.pk}",
        limit=query["limit"],
        offset=query["offset"],
        cursor=query["cursor"],
    )
    return Response({**present_page(page, query), name: [present(row) for row in page.rows]})


def present_document(document: OnboardingDocument) -> dict[str, object]:
    """The fields of `DocumentState`."""
    return {
        "id": str(document.pk),
        "kind": document.kind,
        "reference": document.reference,
        "sha256": document.sha256,
        "addedBy": document.added_by,
        "createdAt": isoformat(document.created_at),
        "verdict": document.verdict or None,
        "remark": document.remark,
        "checkedBy": document.checked_by,
        "checkedAt": isoformat(document.checked_at),
    }


def present_contact(contact: OnboardingContact) -> dict[str, object]:
    """The fields of `ContactState`."""
    return {
        "id": str(contact.pk),
        "name": contact.name,
        "role": contact.role,
        "email": contact.email,
        "phone": contact.phone,
        "createdAt": isoformat(contact.created_at),
    }


def present_note(note: OnboardingNote) -> dict[str, object]:
    """The fields of `NoteState`."""
    return {
        "id": str(note.pk),
        "text": note.text,
        "writtenBy": note.written_by,
        "createdAt": isoformat(note.created_at),
    }
