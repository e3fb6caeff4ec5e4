"""A partner's further keys and its signing secret: creating, restricting, revoking.

The first key is made with the partner and rotated in `partners.services`. Every change has its audit entry in the same
transaction; a key or secret is returned once, and no entry contains it.
"""

import datetime as dt
from collections.abc import Iterable

from django.conf import settings
from django.db.models import F

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import invalid_fields
from partner_platform.core.secrets import crypto, reencryption
from partners import keys, selectors
from partners.access import signing
from partners.approvals import sensitive
from partners.models import ApiKey, Partner, Scope, all_scopes
from partners.onboarding.rule import require_onboarded
from partners.rules import is_live, require_grace_hours

MAX_LIVE_KEYS = 2


@needs(Right.CREATE_API_KEYS)
def create_api_key(
    *, partner: Partner, actor: str, scopes: Iterable[str] | None = None, expires_at: dt.datetime | None = None
) -> str:
    """Make one more API key, with these scopes, until `expires_at`; returns it. At most two keys are live.

    Without `scopes` it has those of `all_scopes`, which `manage` is not among.
    Raises 400 `invalid_request` for an unknown scope, none at all, a time that has passed, or a third key, and
    `onboarding_incomplete` for a partner that may not have one yet.
    """
    chosen = clean_scopes(all_scopes() if scopes is None else scopes)
    now = clock.now()
    if expires_at is not None and expires_at <= now:
        raise invalid_fields({"expiresAt": ["Must be in the future."]})
    new_key = keys.generate(partner.key_label, settings.PLATFORM_ENVIRONMENT)

    def create() -> None:
        serialize_changes(partner)
        require_onboarded(Partner.objects.get(pk=partner.pk))
        if sum(is_live(key, now) for key in selectors.keys_of(partner)) >= MAX_LIVE_KEYS:
            raise invalid_fields({"apiKey": [f"{MAX_LIVE_KEYS} keys are live; revoke one first."]})
        sensitive.require_for_new_key(partner, scopes=chosen, expires_at=expires_at, actor=actor)
        add_key(partner, new_key, scopes=chosen, expires_at=expires_at)
        _record(
            partner,
            actor,
            "partner.api_key_created",
            after={"apiKeyPrefix": new_key.prefix, "scopes": chosen, "expiresAt": clock.isoformat(expires_at)},
        )

    run_in_transaction(create)
    return new_key.key


def serialize_changes(partner: Partner) -> None:
    """Make transactions that count what the partner has (keys, endpoints) run one after the other: all write its row.

    Without it, two keys created at the same moment could each count as the second, and two rotations could each leave
    an old key live. The column is a counter, not a time: on MongoDB an update that writes the value already there is no
    write, and conflicts with no other transaction.
    """
    Partner.objects.filter(pk=partner.pk).update(key_changes=F("key_changes") + 1, updated_at=clock.now())


def add_key(
    partner: Partner, new_key: keys.NewKey, *, scopes: list[str], expires_at: dt.datetime | None = None
) -> ApiKey:
    """In a transaction: the row of a new key."""
    return ApiKey.objects.create(
        partner_id=partner.pk,
        key_hash=new_key.key_hash,
        prefix=new_key.prefix,
        scopes=scopes,
        expires_at=expires_at,
    )


def retire_key(api_key: ApiKey, now: dt.datetime, *, grace: dt.timedelta | None) -> dt.datetime:
    """In a transaction: revoke the key, or have it expire after `grace` if not sooner; returns when it ends."""
    if grace is None:
        ApiKey.objects.filter(pk=api_key.pk).update(revoked_at=now)
        return now
    end = min(now + grace, api_key.expires_at or now + grace)
    ApiKey.objects.filter(pk=api_key.pk).update(expires_at=end)
    return end


@needs(Right.REVOKE_API_KEYS)
def revoke_api_key(*, api_key: ApiKey, actor: str) -> None:
    """Revoke a key at once; one that is revoked already stays as it is."""

    def revoke() -> None:
        if ApiKey.objects.filter(pk=api_key.pk, revoked_at=None).update(revoked_at=clock.now()):
            _record(api_key.partner, actor, "partner.api_key_revoked", after={"apiKeyPrefix": api_key.prefix})

    run_in_transaction(revoke)


@needs(Right.ROTATE_SECRETS)
def rotate_signing_secret(*, partner: Partner, actor: str, grace_hours: int = 0) -> str:
    """Make a new signing secret and return it; the old one stays valid for `grace_hours` (0 to 168).

    Whether calls must be signed stays as it was.
    """
    require_grace_hours(grace_hours)
    secret = signing.new_signing_secret(partner.key_label, settings.PLATFORM_ENVIRONMENT)
    token = crypto.encrypt(secret)

    def rotate() -> None:
        old = Partner.objects.get(pk=partner.pk).signing_secret if grace_hours else ""
        until = clock.now() + dt.timedelta(hours=grace_hours) if old else None
        Partner.objects.filter(pk=partner.pk).update(
            signing_secret=token,
            previous_signing_secret=old,
            previous_signing_secret_until=until,
            updated_at=clock.now(),
        )
        _record(partner, actor, "partner.signing_secret_rotated", after={"gracePeriodHours": grace_hours})

    run_in_transaction(rotate)
    return secret


@needs(Right.ROTATE_SECRETS)
def set_signing_required(*, partner: Partner, actor: str, required: bool) -> Partner:
    """Require signatures on the partner's calls, or stop requiring them; 400 where there is no secret to sign with."""

    def change() -> Partner:
        before = Partner.objects.get(pk=partner.pk)
        if before.signing_required == required:
            return before
        if required and not before.signing_secret:
            raise invalid_fields({"signingRequired": ["Make a signing secret first."]})
        Partner.objects.filter(pk=partner.pk).update(signing_required=required, updated_at=clock.now())
        _record(
            partner,
            actor,
            "partner.signing_required_changed",
            before={"signingRequired": before.signing_required},
            after={"signingRequired": required},
        )
        return Partner.objects.get(pk=partner.pk)

    return run_in_transaction(change)


@needs(Right.ROTATE_SECRETS)
def allow_signature_v1(*, partner: Partner, actor: str, allowed: bool) -> Partner:
    """Accept the partner's signatures of version 1, which cover the body alone, or stop accepting them."""

    def change() -> Partner:
        before = Partner.objects.get(pk=partner.pk)
        if before.signature_v1_allowed == allowed:
            return before
        Partner.objects.filter(pk=partner.pk).update(signature_v1_allowed=allowed, updated_at=clock.now())
        _record(
            partner,
            actor,
            "partner.signature_v1_changed",
            before={"signatureV1Allowed": before.signature_v1_allowed},
            after={"signatureV1Allowed": allowed},
        )
        return Partner.objects.get(pk=partner.pk)

    return run_in_transaction(change)


@needs(Right.ROTATE_PLATFORM_KEYS)
def rotate_encryption_key(*, actor: str) -> dict[str, int]:
    """Encrypt every stored secret with the first of FIELD_ENCRYPTION_KEYS; returns how many, by column."""
    counts = reencryption.reencrypt_all()
    record_change(actor=actor, action="platform.encryption_key_rotated", target="platform:secrets", after=dict(counts))
    return counts


def clean_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes, each once and in the order of `Scope`; raises 400 `invalid_request` for an unknown one, and none."""
    given = set(scopes)
    if not given or given - set(Scope.values):
        raise invalid_fields({"scopes": [f"Must be one or more of {', '.join(Scope.values)}."]})
    return [scope for scope in Scope.values if scope in given]


def _record(
    partner: Partner, actor: str, action: str, *, after: dict[str, object], before: dict[str, object] | None = None
) -> None:
    record_change(actor=actor, action=action, target=f"partner:{partner.partner_id}", before=before, after=after)
