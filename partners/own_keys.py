"""What a partner does with its own keys, by a call with one of them: list, rotate the one in use, revoke.

Unlike a rotation by staff (`partners.services`), it touches no other key, and gives the new one nothing that the one in
use has not: its scopes, and where that one has an end, one as far away. The changes of a partner's keys run one after
the other, so a key that was revoked at the same moment rotates nothing, and a partner never ends without a live key.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from django.conf import settings

from audit.services import record_change
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import Conflict, ErrorCode, NotFound, Unauthorized
from partners import credentials, keys, selectors
from partners.credentials import MAX_LIVE_KEYS
from partners.models import ApiKey, Partner
from partners.rules import is_live, require_grace_hours


@dataclass(frozen=True)
class Rotated:
    """The new key, which is shown once, its row, and until when the former one is valid."""

    key: str
    row: ApiKey
    former_until: dt.datetime


def live_keys(partner: Partner) -> list[ApiKey]:
    """The partner's keys that are live, newest first."""
    now = clock.now()
    return [key for key in selectors.keys_of(partner) if is_live(key, now)]


def rotate_own_key(*, in_use: ApiKey, grace_hours: int) -> Rotated:
    """Replace the key in use; it is revoked at once, or expires `grace_hours` (0 to 168) from now.

    Raises 400 `invalid_request` for other hours, 401 `invalid_api_key` where it is not live any more, 409
    `api_key_replaced` where it was rotated before, `too_many_api_keys` where more than two would be live.
    """
    require_grace_hours(grace_hours)
    partner = in_use.partner
    new_key = keys.generate(partner.key_label, settings.PLATFORM_ENVIRONMENT)

    def rotate() -> Rotated:
        credentials.serialize_changes(partner)
        current, others = _current_and_others(in_use)
        _require_may_rotate(current, others, grace_hours)
        now = clock.now()
        grace = dt.timedelta(hours=grace_hours) if grace_hours else None
        former_until = credentials.retire_key(current, now, grace=grace)
        end = None if current.expires_at is None else now + (current.expires_at - current.created_at)
        row = credentials.add_key(partner, new_key, scopes=current.scopes, expires_at=end)
        record_change(
            actor=_actor(partner),
            action="partner.api_key_rotated",
            target=_actor(partner),
            before={"apiKeyPrefixes": [current.prefix]},
            after={"apiKeyPrefix": new_key.prefix, "gracePeriodHours": grace_hours},
        )
        return Rotated(new_key.key, row, former_until)

    return run_in_transaction(rotate)


def revoke_own_key(*, in_use: ApiKey, key_id: str) -> None:
    """Revoke one of the partner's live keys, the one in use too where another is live.

    Raises 401 `invalid_api_key` where the one in use is not live any more, 404 `api_key_not_found`, 409 `last_api_key`.
    """

    def revoke() -> None:
        credentials.serialize_changes(in_use.partner)
        current, others = _current_and_others(in_use)
        chosen = next((key for key in (current, *others) if key.pk == _uuid(key_id)), None)
        if chosen is None:
            raise NotFound(ErrorCode.API_KEY_NOT_FOUND, "API key not found")
        if not others:
            raise Conflict(ErrorCode.LAST_API_KEY, "This is your only live key: rotate it instead")
        credentials.revoke_api_key(api_key=chosen, actor=_actor(in_use.partner))

    run_in_transaction(revoke)


def _current_and_others(in_use: ApiKey) -> tuple[ApiKey, list[ApiKey]]:
    """The key in use as it is now, and the partner's other live ones."""
    live = live_keys(in_use.partner)
    current = next((key for key in live if key.pk == in_use.pk), None)
    if current is None:
        raise Unauthorized(ErrorCode.INVALID_API_KEY, "Invalid API key")
    return current, [key for key in live if key.pk != in_use.pk]


def _require_may_rotate(current: ApiKey, others: list[ApiKey], grace_hours: int) -> None:
    """A key that ends must not outlive its end by making another: whoever found an old one could keep it for ever."""
    if current.expires_at is not None and any(key.created_at > current.created_at for key in others):
        message = "This key ends, and a newer one is live: rotate with that one"
        raise Conflict(ErrorCode.API_KEY_REPLACED, message)
    staying = len(others) + (1 if grace_hours else 0)
    if staying >= MAX_LIVE_KEYS:
        message = f"{staying} keys would stay live beside the new one; delete one, or rotate without a grace period"
        raise Conflict(ErrorCode.TOO_MANY_API_KEYS, message, details={"maximum": MAX_LIVE_KEYS})


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _actor(partner: Partner) -> str:
    return f"partner:{partner.partner_id}"
