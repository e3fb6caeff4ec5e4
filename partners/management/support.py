"""What the partner commands share."""

from collections.abc import Mapping

from django.core.management.base import CommandError

from partner_platform.core.errors import BadRequest
from partners import selectors
from partners.models import Partner

ACTOR = "system"
SANDBOX_ACTOR = "system:sandbox"  # who opened the demo partners
SAVE_IT = "Save this API key securely. It will not be shown again!"


def require_partner(partner_id: str, *columns: str) -> Partner:
    """The partner, or a `CommandError` that says how to find the right id; with `columns` only these are read."""
    partner = selectors.by_partner_id(partner_id, *columns)
    if partner is None:
        known = ", ".join(selectors.active_partner_ids()) or "none yet"
        raise CommandError(f"There is no partner {partner_id!r}. Active partners: {known}.")
    return partner


def command_error(error: BadRequest, options: Mapping[str, str]) -> CommandError:
    """A refusal by field as one by option; `options` maps the contract's field names."""
    lines = [f"{options.get(name, name)}: {problems[0]}" for name, problems in error.details.items()]
    return CommandError("\n".join(lines) or error.message)
