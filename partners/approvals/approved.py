"""Makes approved changes of partners: each kind runs the service that asked for the approval, as its maker."""

import datetime as dt
from typing import Any

from authority.acting import Staff
from authority.approvals.kinds import ApprovalKind, Arguments, Secrets, register_kind
from partners import credentials, selectors, services, settlement_addresses, terms
from partners.approvals import sensitive
from partners.models import Partner


def register_partner_kinds() -> None:
    """Register them; called when Django starts."""
    for name, title, execute in (
        (sensitive.TERMS, "Change a partner's terms", _change_terms),
        (sensitive.CREATION, "Open a partner", _create),
        (sensitive.ACTIVATION, "Activate a partner", _activate),
        (sensitive.NARROWING, "Let a suspended partner read and repay", _narrow),
        (sensitive.FORMER_ADDRESS, "Note a former settlement address", _note_former),
        (sensitive.NEW_KEY, "Create an API key", _create_key),
        (sensitive.ROTATED_KEY, "Rotate an API key", _rotate_key),
    ):
        register_kind(ApprovalKind(name, title, execute))


def _partner(arguments: Arguments) -> Partner:
    found = selectors.by_partner_id(str(arguments["partnerId"]))
    if found is None:
        raise LookupError(f"there is no partner {arguments['partnerId']}, and partners are not deleted")
    return found


def _change_terms(arguments: Arguments, actor: Staff, prepared: object) -> Secrets:
    values: Any = arguments["terms"]
    secret = services.change_terms(partner=_partner(arguments), actor=actor, **terms.from_api(values))
    return {} if secret is None else {"webhookSecret": secret}


def _create(arguments: Arguments, actor: Staff, prepared: object) -> Secrets:
    given: Any = arguments
    opened = services.create_partner(
        actor=actor,
        partner_id=given["partnerId"],
        status=given["status"],
        scopes=given["scopes"],
        **terms.from_api(given["terms"]),
    )
    made = {"apiKey": opened.api_key, "webhookSecret": opened.webhook_secret}
    secrets = {name: secret for name, secret in made.items() if secret is not None}
    return {"partnerId": opened.partner.partner_id, **secrets}


def _activate(arguments: Arguments, actor: Staff, prepared: object) -> Secrets:
    seen: Any = arguments["seen"]
    services.activate_partner(partner=_partner(arguments), actor=actor, seen=seen)
    return {}


def _narrow(arguments: Arguments, actor: Staff, prepared: object) -> Secrets:
    given: Any = arguments
    services.narrow_suspension(partner=_partner(arguments), actor=actor, reason=given["reason"], seen=given["seen"])
    return {}


def _note_former(arguments: Arguments, actor: Staff, prepared: object) -> Secrets:
    settlement_addresses.note_former(partner=_partner(arguments), address=str(arguments["address"]), actor=actor)
    return {}


def _create_key(arguments: Arguments, actor: Staff, prepared: object) -> Secrets:
    given: Any = arguments
    ends = given["expiresAt"]
    key = credentials.create_api_key(
        partner=_partner(arguments),
        actor=actor,
        scopes=given["scopes"],
        expires_at=None if ends is None else dt.datetime.fromisoformat(ends),
    )
    return {"apiKey": key}


def _rotate_key(arguments: Arguments, actor: Staff, prepared: object) -> Secrets:
    hours: Any = arguments["gracePeriodHours"]
    return {"apiKey": services.rotate_api_key(partner=_partner(arguments), actor=actor, grace_hours=hours)}
