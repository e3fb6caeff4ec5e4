"""Changing partners: onboarding, terms, status, keys.

Each change has its audit entry in the same transaction; no entry contains a key. `actor` is `staff:{username}` or
`system:{command}`. Running sums are not touched here: only `partners.limits` moves them. Nothing here saves a whole
`Partner`, which would write back sums that moved meanwhile.
"""

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from django.conf import settings
from django.db import IntegrityError

from audit.services import record_change
from authority.acting import needs, require_right
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.database.transactions import in_transaction, run_in_transaction
from partner_platform.core.errors import invalid_fields
from partners import credentials, keys, selectors, settlement_addresses, terms
from partners.models import Partner, PartnerStatus, all_scopes
from partners.notices import events as notices
from partners.rules import is_live, require_grace_hours
from partners.signals import webhook_url_changed
from partners.stopping import pause
from partners.stopping.suspension import narrow_suspension, require_as_shown, set_status, suspend_partner

__all__ = [
    "LIMITS",
    "MAX_ID_ATTEMPTS",
    "Opened",
    "activate_partner",
    "change_terms",
    "create_partner",
    "narrow_suspension",
    "rotate_api_key",
    "suspend_partner",
    "update_partner",
]

MAX_ID_ATTEMPTS = 50
LIMITS = ("daily_borrow_limit", "total_borrow_limit")


class Opened(NamedTuple):
    """A new partner, and its secrets, which are kept nowhere in clear: its API key, and for its webhookUrl, if it has
    one, what webhooks are signed with.
    """

    partner: Partner
    api_key: str
    webhook_secret: str | None


@needs(Right.CREATE_PARTNERS)
def create_partner(
    *,
    actor: str,
    partner_id: str | None = None,
    status: str = PartnerStatus.ACTIVE,
    scopes: Iterable[str] | None = None,
    **values: object,
) -> Opened:
    """Open a partner, make its first API key, and with a `webhook_url` its first endpoint.

    `values` are the fields of `partners.terms.FIELDS`, amounts as strings of base units. Without `partner_id` one is
    made of label and number: `partner_nlp_003`. The key has the `scopes`, by default those of `all_scopes`.
    Raises 400 `invalid_request` naming every bad field, a taken id or another's settlement address included.
    """
    cleaned = terms.clean_terms(values, partial=False)
    given_id, status = _clean_identity(partner_id, status)
    chosen = credentials.clean_scopes(all_scopes() if scopes is None else scopes)
    address = cleaned["settlement_address"]
    settlement_addresses.require_free(address, partner_id=None)
    pause.ensure_pause_row()
    number = selectors.partner_count() + 1
    for attempt in range(MAX_ID_ATTEMPTS):
        candidate = given_id or f"partner_{cleaned['key_label']}_{number + attempt:03d}"
        if selectors.by_partner_id(candidate) is None:
            partner = Partner(partner_id=candidate, status=status, created_by=actor, **cleaned)
            new_key = keys.generate(partner.key_label, settings.PLATFORM_ENVIRONMENT)
            try:
                webhook_secret = run_in_transaction(lambda p=partner, k=new_key: _insert(p, k, chosen, actor))  # type: ignore[misc]
                return Opened(partner, new_key.key, webhook_secret)
            except IntegrityError:
                # Another request took the id or the address between our check and the insert. Inside a caller's
                # transaction nothing can be retried.
                if in_transaction():
                    raise
                settlement_addresses.require_free(address, partner_id=None)
                if selectors.by_partner_id(candidate) is None:
                    raise
        if given_id:
            break
    raise invalid_fields({"partnerId": ["Is taken."]})


def update_partner(*, partner: Partner, actor: str, **values: object) -> Partner:
    """Change a partner's terms; returns it as it is now.

    Raises 400 `invalid_request` naming every bad field, another's settlement address included, and 403 `right_missing`
    where staff may not change one of them (`terms.FIELDS`). A settlement address that the partner leaves stays its own
    (`partners.settlement_addresses`).
    """
    change_terms(partner=partner, actor=actor, **values)
    return Partner.objects.get(pk=partner.pk)


def change_terms(*, partner: Partner, actor: str, **values: object) -> str | None:
    """`update_partner` that touches no column of the partner's row but its id, `updated_at` and what it changes.

    So it also works while a migration is incomplete and columns that later migrations add do not exist yet. Returns
    the secret that was made for a first `webhook_url`, which is shown now and never again; else None.
    """
    changes = terms.clean_terms(values, partial=True)
    read = Partner.objects.only("partner_id", *changes)

    def update() -> str | None:
        before = read.get(pk=partner.pk)
        changed = {name: value for name, value in changes.items() if getattr(before, name) != value}
        if not changed:
            return None
        for right in sorted({terms.FIELDS[name].right for name in changed}):
            require_right(actor, right)
        if "settlement_address" in changed:
            settlement_addresses.claim_address(changed["settlement_address"], partner_id=partner.pk)
        Partner.objects.filter(pk=partner.pk).update(updated_at=clock.now(), **changed)
        record_change(
            actor=actor,
            action="partner.updated",
            target=_target(partner),
            before=terms.as_audited(before, changed),
            after=terms.as_audited(read.get(pk=partner.pk), changed),
        )
        if former := {name: getattr(before, name) for name in LIMITS if name in changed}:
            notices.tell_changed_limits(partner.pk, former)
        return _announce_webhook_url(partner, changed["webhook_url"], actor) if "webhook_url" in changed else None

    try:
        return run_in_transaction(update)
    except IntegrityError:
        if "settlement_address" in changes and not in_transaction():  # somebody claimed it at the same moment
            settlement_addresses.require_free(changes["settlement_address"], partner_id=partner.pk)
        raise


@needs(Right.ACTIVATE_PARTNERS)
def activate_partner(*, partner: Partner, actor: str, seen: int | None = None) -> Partner:
    """Let a suspended or inactive partner act again.

    `seen` is the `status_changes` that a person was shown: 400 `invalid_request` where the status or its reason changed
    since.
    """

    def activate() -> Partner:
        before = Partner.objects.get(pk=partner.pk)
        if before.status == PartnerStatus.ACTIVE:
            return before
        require_as_shown(before, seen)
        return set_status(before, PartnerStatus.ACTIVE, "", actor=actor, action="partner.activated")

    return run_in_transaction(activate)


@needs(Right.CREATE_API_KEYS)
def rotate_api_key(*, partner: Partner, actor: str, grace_hours: int = 0) -> str:
    """Make and return a new API key; the one in use is revoked at once, or expires `grace_hours` (0 to 168) from now.

    It has the scopes of the one in use. At most two keys are live: older ones are revoked at once in any case.
    """
    require_grace_hours(grace_hours)
    new_key = keys.generate(partner.key_label, settings.PLATFORM_ENVIRONMENT)

    def rotate() -> None:
        now = clock.now()
        credentials.serialize_changes(partner)
        live = [key for key in selectors.keys_of(partner) if is_live(key, now)]
        kept_for_grace = live[:1] if grace_hours else []
        for key in sorted(live, key=lambda key: key.pk):
            credentials.retire_key(key, now, grace=dt.timedelta(hours=grace_hours) if key in kept_for_grace else None)
        credentials.add_key(partner, new_key, scopes=live[0].scopes if live else all_scopes())
        record_change(
            actor=actor,
            action="partner.api_key_rotated",
            target=_target(partner),
            before={"apiKeyPrefixes": [key.prefix for key in live]},
            after={"apiKeyPrefix": new_key.prefix, "gracePeriodHours": grace_hours},
        )

    run_in_transaction(rotate)
    return new_key.key


def _clean_identity(partner_id: str | None, status: str) -> tuple[str | None, str]:
    problems: dict[str, list[str]] = {}
    for name, read, value in (("partnerId", terms.read_partner_id, partner_id), ("status", terms.read_status, status)):
        try:
            if value is not None:
                read(value)
        except ValueError as error:
            problems[name] = [str(error)]
    if problems:
        raise invalid_fields(problems)
    return partner_id, status


def _insert(partner: Partner, new_key: keys.NewKey, scopes: list[str], actor: str) -> str | None:
    """In a transaction; returns the secret of its first endpoint, where it has one."""
    partner.borrowing_paused = pause.join_platform()
    partner.save(force_insert=True)
    settlement_addresses.claim_address(partner.settlement_address, partner_id=partner.pk)
    credentials.add_key(partner, new_key, scopes=scopes)
    record_change(
        actor=actor,
        action="partner.created",
        target=_target(partner),
        after={**terms.as_audited(partner), "status": partner.status, "firstApiKeyPrefix": new_key.prefix},
    )
    return _announce_webhook_url(partner, partner.webhook_url, actor) if partner.webhook_url else None


def _announce_webhook_url(partner: Partner, url: str, actor: str) -> str | None:
    """In the transaction of the change; returns the secret that was made for the URL."""
    answers = webhook_url_changed.send(sender=Partner, partner=partner, url=url, actor=actor)
    return next((secret for _, secret in answers if secret is not None), None)


def _target(partner: Partner) -> str:
    return f"partner:{partner.partner_id}"
