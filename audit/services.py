"""Writing audit entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.models import AuditEntry
from audit.trail import witness
from audit.trail.canonical import canonical_json, entry_digest, entry_mac
from audit.trail.keys import signing_key
from partner_platform.core import context
from partner_platform.core.database.transactions import on_commit


@dataclass(frozen=True)
class Change:
    """What `record_change` takes."""

    actor: str
    action: str
    target: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


def record_change(
    *,
    actor: str,
    action: str,
    target: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEntry:
    """Write one audit entry; call it in the transaction of the change itself. Never pass a secret.

    `actor` is `partner:{partnerId}`, `staff:{username}` or `system`; `action` is dotted (`loan.requested`), `target` is
    `{kind}:{id}`; `before` and `after` are JSON values, amounts as strings of base units. One insert.
    """
    entry = _signed(Change(actor, action, target, before, after))
    entry.save(force_insert=True)
    on_commit(lambda: witness.note_committed([entry.pk.hex]))
    return entry


def record_changes(changes: Sequence[Change]) -> None:
    """`record_change` for many changes of one transaction, in one insert."""
    entries = [_signed(change) for change in changes]
    AuditEntry.objects.bulk_create(entries)
    on_commit(lambda: witness.note_committed([entry.pk.hex for entry in entries]))


def _signed(change: Change) -> AuditEntry:
    request_id = context.current_request_id()
    entry = AuditEntry(**vars(change), request_id="" if request_id == "-" else request_id)
    entry.mac = entry_mac(digest_of_entry(entry), signing_key())
    return entry


def digest_of_entry(entry: AuditEntry) -> str:
    """The digest of an entry in memory, the same as of its stored columns."""
    before, after = (None if value is None else canonical_json(value) for value in (entry.before, entry.after))
    return entry_digest(
        [entry.pk, entry.actor, entry.action, entry.target, before, after, entry.request_id, entry.timestamp]
    )
