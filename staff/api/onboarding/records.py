"""The documents, contacts and notes of a partner's onboarding."""

from collections.abc import Callable
from typing import TypeVar

from django.db.models import Model, QuerySet
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans.api.lists import PageQuery, present_page
from partner_platform.core.clock import isoformat
from partner_platform.core.openapi.operations import described
from partner_platform.core.web.pagination import paginate
from partners import selectors
from partners.api.common import validated
from partners.idempotency.view import idempotent
from partners.onboarding import records
from partners.onboarding.models import OnboardingContact, OnboardingDocument, OnboardingNote
from staff.api.common import actor_of
from staff.api.onboarding.forms import (
    ADD_CONTACT,
    ADD_DOCUMENT,
    ADD_NOTE,
    CHECK_DOCUMENT,
    LIST_CONTACTS,
    LIST_DOCUMENTS,
    LIST_NOTES,
    REMOVE_CONTACT,
    CheckBody,
    ContactBody,
    DocumentBody,
    NoteBody,
)
from staff.api.onboarding.stages import OnboardingViews

M = TypeVar("M", bound=Model)


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
