"""The documents, contacts and notes of an onboarding. Each change has its audit entry in the same transaction."""

import uuid
from collections.abc import Mapping
from typing import TypeVar

from django.db.models import Model, QuerySet

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, NotFound, invalid_fields
from partner_platform.core.web.pagination import NEWEST_FIRST
from partners.models import Partner
from partners.onboarding.models import (
    DocumentKind,
    OnboardingContact,
    OnboardingDocument,
    OnboardingNote,
    Verdict,
)
from partners.onboarding.profile import clean_fields, contact_email, long_text, one_of, sha256_hex, short_text
from partners.onboarding.rule import written_onboarding

M = TypeVar("M", bound=Model)
_DOCUMENT = {
    "kind": ("kind", one_of(DocumentKind.values)),
    "reference": ("reference", short_text(300)),
    "sha256": ("sha256", sha256_hex),
}
_CHECK = {
    "verdict": ("verdict", one_of(Verdict.values)),
    "remark": ("remark", short_text(300, is_needed=False)),
}
_CONTACT = {
    "name": ("name", short_text(200)),
    "role": ("role", short_text(100, is_needed=False)),
    "email": ("email", contact_email),
    "phone": ("phone", short_text(40, is_needed=False)),
}


@needs(Right.MANAGE_ONBOARDING)
def add_document(*, partner: Partner, actor: str, kind: str, reference: str, sha256: str) -> OnboardingDocument:
    """Record a document: where its file is kept, and the file's SHA-256. Raises 400 `invalid_request`."""
    values = clean_fields({"kind": kind, "reference": reference, "sha256": sha256}, _DOCUMENT)

    def add() -> OnboardingDocument:
        written_onboarding(partner)
        document = OnboardingDocument.objects.create(partner_id=partner.pk, added_by=actor, **values)
        shown = {"id": str(document.pk), **values}
        _record(partner, actor, "partner.onboarding_document_added", after=shown)
        return document

    return run_in_transaction(add)


@needs(Right.MANAGE_ONBOARDING)
def check_document(
    *, partner: Partner, document_id: str, actor: str, verdict: str, remark: str = ""
) -> OnboardingDocument:
    """Write that somebody checked a document, and what was found. A checked one stays as it is: add another.

    Raises 404 `document_not_found`, and 400 `invalid_request` where it was checked.
    """
    values = clean_fields({"verdict": verdict, "remark": remark}, _CHECK)
    found = _one_of(partner, OnboardingDocument.objects.all(), document_id)
    if found is None:
        raise NotFound(ErrorCode.DOCUMENT_NOT_FOUND, "Document not found")

    def check() -> OnboardingDocument:
        written_onboarding(partner)
        unchecked = OnboardingDocument.objects.filter(pk=found.pk, verdict="")
        if unchecked.update(checked_by=actor, checked_at=clock.now(), **values) != 1:
            raise invalid_fields({"verdict": ["It was checked already: add the document again."]})
        shown = {"id": str(found.pk), "kind": found.kind, **values}
        _record(partner, actor, "partner.onboarding_document_checked", after=shown)
        return OnboardingDocument.objects.get(pk=found.pk)

    return run_in_transaction(check)


@needs(Right.MANAGE_ONBOARDING)
def add_contact(
    *, partner: Partner, actor: str, name: str, email: str, role: str = "", phone: str = ""
) -> OnboardingContact:
    """Record a person at the company. Raises 400 `invalid_request`."""
    values = clean_fields({"name": name, "role": role, "email": email, "phone": phone}, _CONTACT)

    def add() -> OnboardingContact:
        contact = OnboardingContact.objects.create(partner_id=partner.pk, **values)
        _record(partner, actor, "partner.onboarding_contact_added", after={"id": str(contact.pk), **values})
        return contact

    return run_in_transaction(add)


@needs(Right.MANAGE_ONBOARDING)
def remove_contact(*, partner: Partner, contact_id: str, actor: str) -> OnboardingContact:
    """Take a person off the list; returns who it was. Raises 404 `contact_not_found`."""

    def remove() -> OnboardingContact:
        found = _one_of(partner, OnboardingContact.objects.all(), contact_id)
        if found is None or OnboardingContact.objects.filter(pk=found.pk).delete()[0] != 1:
            raise NotFound(ErrorCode.CONTACT_NOT_FOUND, "Contact not found")
        shown = {"id": str(found.pk), "name": found.name, "role": found.role, "email": found.email}
        _record(partner, actor, "partner.onboarding_contact_removed", before=shown)
        return found

    return run_in_transaction(remove)


@needs(Right.MANAGE_ONBOARDING)
def add_note(*, partner: Partner, actor: str, text: str) -> OnboardingNote:
    """Write a note, for good. Raises 400 `invalid_request`."""
    values = clean_fields({"text": text}, {"text": ("text", long_text)})

    def add() -> OnboardingNote:
        note = OnboardingNote.objects.create(partner_id=partner.pk, written_by=actor, **values)
        _record(partner, actor, "partner.onboarding_note_added", after={"id": str(note.pk)})
        return note

    return run_in_transaction(add)


def documents_query(partner: Partner) -> QuerySet[OnboardingDocument]:
    """The partner's documents, newest first, in the order of an index."""
    return OnboardingDocument.objects.filter(partner_id=partner.pk).order_by(*NEWEST_FIRST)


def contacts_query(partner: Partner) -> QuerySet[OnboardingContact]:
    """The same of its contacts."""
    return OnboardingContact.objects.filter(partner_id=partner.pk).order_by(*NEWEST_FIRST)


def notes_query(partner: Partner) -> QuerySet[OnboardingNote]:
    """The same of its notes."""
    return OnboardingNote.objects.filter(partner_id=partner.pk).order_by(*NEWEST_FIRST)


def _one_of(partner: Partner, rows: QuerySet[M], key: str) -> M | None:
    """The partner's row with this key; None too where the key is none."""
    try:
        return rows.filter(pk=uuid.UUID(key), partner_id=partner.pk).first()
    except ValueError:
        return None


def _record(
    partner: Partner,
    actor: str,
    action: str,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    record_change(
        actor=actor,
        action=action,
        target=f"partner:{partner.partner_id}",
        before=None if before is None else dict(before),
        after=None if after is None else dict(after),
    )
