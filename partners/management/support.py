"""What the partner commands share."""

from django.core.management.base import CommandError

from partner_platform.core.clock import isoformat
from partner_platform.core.management.output import both_units
from partners import selectors, terms
from partners.models import ApiKey, Partner
from partners.rules import scope_of

SANDBOX_ACTOR = "system:sandbox"  # who opened the demo partners
SAVE_IT = "Save this API key securely. It will not be shown again!"
PARTNER_ID_HELP = "such as partner_xyz_lending_001"


def require_partner(partner_id: str, *columns: str) -> Partner:
    """The partner, or a `CommandError` that says how to find the right id; with `columns` only these are read."""
    partner = selectors.by_partner_id(partner_id, *columns)
    if partner is None:
        known = ", ".join(selectors.active_partner_ids()) or "none yet"
        raise CommandError(f"There is no partner {partner_id!r}. Active partners: {known}.")
    return partner


def status_json(partner: Partner) -> dict[str, object]:
    """Whether the partner may act, for `--json`."""
    return {
        "partnerId": partner.partner_id,
        "status": str(partner.status),
        "suspensionScope": scope_of(partner),
        "statusReason": partner.status_reason or None,
    }


def partner_json(partner: Partner) -> dict[str, object]:
    """The partner's terms, status and sums for `--json`: contract names, amounts as strings of base units."""
    return {
        **status_json(partner),
        **terms.as_audited(partner),
        "currentOutstanding": str(partner.current_outstanding),
        "totalBorrowed": str(partner.total_borrowed),
        "totalRepaid": str(partner.total_repaid),
        "activeLoans": partner.active_loans,
        "repaidLoans": partner.repaid_loans,
        "signingRequired": partner.signing_required,
        "signatureV1Allowed": partner.signature_v1_allowed,
        "createdBy": partner.created_by,
        "createdAt": isoformat(partner.created_at),
        "lastUsedAt": isoformat(partner.last_used_at),
    }


def partner_lines(partner: Partner) -> list[str]:
    """The same for a person, a line each; amounts in dollars and base units."""
    amounts = {terms.FIELDS[name].api_name for name in terms.AMOUNTS}
    amounts |= {"currentOutstanding", "totalBorrowed", "totalRepaid"}
    lines = []
    for name, value in partner_json(partner).items():
        shown = both_units(int(str(value))) if name in amounts else _as_text(value)
        lines.append(f"{name}: {shown}".rstrip())
    return lines


def key_json(key: ApiKey) -> dict[str, object]:
    """An API key for `--json`; its first characters are all that is kept of it."""
    return {
        "id": str(key.pk),
        "prefix": key.prefix,
        "scopes": key.scopes,
        "createdAt": isoformat(key.created_at),
        "expiresAt": isoformat(key.expires_at),
        "revokedAt": isoformat(key.revoked_at),
        "lastUsedAt": isoformat(key.last_used_at),
    }


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
