"""A partner's endpoints: create, change, disable, delete, rotate the secret, send a test event.

Every change has its audit entry in the same transaction; no entry contains a secret, and a secret is returned once. The
changes of one partner's endpoints run one after the other (`credentials.serialize_changes`), so that neither their
number nor a URL's being used once depends on two requests of the same moment. A disabled endpoint keeps no backlog.

The plan's `webhookUrl` is the endpoint with `is_partners_url`: its `url` is `Partner.webhook_url`, whoever changes one.
"""

from collections.abc import Iterable
from uuid import UUID

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from events.kinds import EventType
from events.models import Event
from events.selectors import newest_number
from events.services import NewEvent, record_events
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import Conflict, ErrorCode
from partner_platform.core.secrets import crypto
from partners import credentials
from partners.models import Partner
from partners.services import change_terms
from webhooks import selectors
from webhooks.models import ALL_TYPES, Endpoint, EndpointStatus
from webhooks.rules import MAX_ENDPOINTS, is_same_url
from webhooks.secrets import GRACE, new_secret
from webhooks.services.pending import BATCH, DISABLED_BY_PARTNER, fail_pending, fail_soon

AUDITED = {"url": "url", "event_types": "eventTypes", "description": "description", "status": "status"}


@needs(Right.CHANGE_PARTNERS)
def create_endpoint(
    *, partner: Partner, actor: str, url: str, event_types: list[str], description: str = ""
) -> tuple[Endpoint, str]:
    """Make an endpoint of values that `webhooks.rules` accepts; returns it and its secret, which is shown once.

    Raises 409 `too_many_endpoints`, or `duplicate_endpoint` where another endpoint of the partner has the URL.
    """

    def create() -> tuple[Endpoint, str]:
        credentials.serialize_changes(partner)
        others = selectors.live_endpoints(partner)
        if len(others) >= MAX_ENDPOINTS:
            message = f"A partner has at most {MAX_ENDPOINTS} webhook endpoints; delete one first"
            raise Conflict(ErrorCode.TOO_MANY_ENDPOINTS, message, details={"maximum": MAX_ENDPOINTS})
        _require_new_url(url, others)
        return _insert(partner, actor, url=url, event_types=event_types, description=description)

    return run_in_transaction(create)


@needs(Right.CHANGE_PARTNERS)
def update_endpoint(*, partner: Partner, endpoint_id: object, actor: str, **changes: object) -> Endpoint:
    """Change `url`, `event_types`, `description` or `status`, to values that `webhooks.rules` accepts.

    A new URL, and being enabled, forget earlier failures. Disabled, its pending deliveries fail; enabled again, it gets
    new events. Raises 404 `endpoint_not_found`, 409 `duplicate_endpoint`.
    """

    def update() -> Endpoint:
        credentials.serialize_changes(partner)
        before = selectors.get_endpoint(partner=partner, endpoint_id=endpoint_id)
        if is_enabled:
            fail_pending(before.pk)  # the last of it, where anything came meanwhile
        changed = {name: value for name, value in changes.items() if getattr(before, name) != value}
        if not changed:
            return before
        if "url" in changed:
            others = [endpoint for endpoint in selectors.live_endpoints(partner) if endpoint.pk != before.pk]
            _require_new_url(str(changed["url"]), others)
        after = _write(before, changed, actor)
        if before.is_partners_url and "url" in changed:
            change_terms(partner=partner, actor=actor, webhook_url=changed["url"])
        return after

    is_enabled = changes.get("status") == EndpointStatus.ENABLED
    if is_enabled:
        _clear_backlog(selectors.get_endpoint(partner=partner, endpoint_id=endpoint_id))
    return run_in_transaction(update)


def disable_endpoint(*, endpoint_id: UUID, actor: str, reason: str) -> bool:
    """Disable an endpoint that cannot be delivered to; its pending deliveries fail. False where it was not enabled."""

    def disable() -> bool:
        enabled = Endpoint.objects.filter(pk=endpoint_id, status=EndpointStatus.ENABLED, deleted_at=None)
        now = clock.now()
        if enabled.update(status=EndpointStatus.DISABLED, disabled_reason=reason[:300], updated_at=now) != 1:
            return False
        fail_soon(endpoint_id)
        record_change(
            actor=actor,
            action="webhook.endpoint_disabled",
            target=f"webhook:{endpoint_id}",
            before={"status": EndpointStatus.ENABLED.value},
            after={"status": EndpointStatus.DISABLED.value, "reason": reason},
        )
        return True

    return run_in_transaction(disable)


@needs(Right.CHANGE_PARTNERS)
def delete_endpoint(*, partner: Partner, endpoint_id: object, actor: str) -> None:
    """Delete an endpoint: its secrets are erased and its pending deliveries fail; its deliveries stay readable.

    Raises 404 `endpoint_not_found`.
    """

    def delete() -> None:
        credentials.serialize_changes(partner)
        endpoint = selectors.get_endpoint(partner=partner, endpoint_id=endpoint_id)
        _delete(endpoint, actor)
        if endpoint.is_partners_url:
            change_terms(partner=partner, actor=actor, webhook_url="")

    run_in_transaction(delete)


@needs(Right.ROTATE_SECRETS)
def rotate_secret(*, partner: Partner, endpoint_id: object, actor: str) -> tuple[Endpoint, str]:
    """Give the endpoint a new secret, which is returned; the former one signs too for 24 hours.

    Rotated again within them, the one before the former stops signing. Raises 404 `endpoint_not_found`.
    """
    secret = new_secret()
    token = crypto.encrypt(secret)

    def rotate() -> Endpoint:
        credentials.serialize_changes(partner)
        endpoint = selectors.get_endpoint(partner=partner, endpoint_id=endpoint_id)
        now = clock.now()
        Endpoint.objects.filter(pk=endpoint.pk).update(
            secret=token, previous_secret=endpoint.secret, previous_secret_until=now + GRACE, updated_at=now
        )
        until: dict[str, object] = {"previousSecretValidUntil": clock.isoformat(now + GRACE)}
        _record(endpoint, actor, "webhook.secret_rotated", after=until)
        return Endpoint.objects.get(pk=endpoint.pk)

    return run_in_transaction(rotate), secret


def send_test_event(*, partner: Partner, endpoint_id: object) -> Event:
    """Record a `webhook.test` for this endpoint alone (`data.endpointId`), whatever event types it asks for.

    Raises 404 `endpoint_not_found`, 409 `endpoint_disabled`.
    """

    def send() -> Event:
        endpoint = selectors.get_endpoint(partner=partner, endpoint_id=endpoint_id)
        require_enabled(endpoint)
        data = {"endpointId": str(endpoint.pk), "message": "A test event: nothing happened to a loan."}
        (event,) = record_events([NewEvent(type=EventType.WEBHOOK_TEST, partner_key=partner.pk, data=data)])
        return event

    return run_in_transaction(send)


def follow_partners_url(*, partner: Partner, url: str, actor: str) -> str | None:
    """In the transaction that changed `Partner.webhook_url`: make the partner's first endpoint the same.

    Returns the secret of an endpoint that was made for it. An endpoint that has the URL already becomes the partner's.
    """
    live = selectors.live_endpoints(partner)
    own = next((endpoint for endpoint in live if endpoint.is_partners_url), None)
    named = next((endpoint for endpoint in live if url and is_same_url(endpoint.url, url)), None)
    if own is not None and own is not named and (named is not None or not url):
        _delete(own, actor)
    follower = named or own
    if follower is not None and url and follower.url != url:
        _write(follower, {"url": url}, actor)
    if named is not None and not named.is_partners_url:
        Endpoint.objects.filter(pk=named.pk).update(is_partners_url=True, updated_at=clock.now())
    if own is None and named is None and url:
        return _insert(partner, actor, url=url, event_types=[ALL_TYPES], description="", is_partners_url=True)[1]
    return None


def require_enabled(endpoint: Endpoint) -> None:
    """Raise 409 `endpoint_disabled` where nothing can be delivered."""
    if endpoint.status != EndpointStatus.ENABLED:
        message = "The endpoint is disabled: enable it first"
        raise Conflict(ErrorCode.ENDPOINT_DISABLED, message, details={"reason": endpoint.disabled_reason})


def _insert(partner: Partner, actor: str, **values: object) -> tuple[Endpoint, str]:
    secret = new_secret()
    values["from_number"] = newest_number()
    endpoint = Endpoint(partner_id=partner.pk, secret=crypto.encrypt(secret), **values)
    endpoint.save(force_insert=True)
    _record(endpoint, actor, "webhook.endpoint_created", after=_as_audited(endpoint, AUDITED))
    return endpoint, secret


def _write(before: Endpoint, changed: dict[str, object], actor: str) -> Endpoint:
    columns = {**changed, **_consequences(changed)}
    Endpoint.objects.filter(pk=before.pk).update(updated_at=clock.now(), **columns)
    if changed.get("status") == EndpointStatus.DISABLED:
        fail_soon(before.pk)
    after = Endpoint.objects.get(pk=before.pk)
    _record(
        after,
        actor,
        "webhook.endpoint_updated",
        before=_as_audited(before, changed),
        after=_as_audited(after, changed),
    )
    return after


def _clear_backlog(endpoint: Endpoint) -> None:
    """Fail what is left from before the endpoint was disabled: it is not to be sent when it is enabled."""
    while fail_pending(endpoint.pk) == BATCH:
        pass


def _consequences(changed: dict[str, object]) -> dict[str, object]:
    """The columns that follow a changed one."""
    if changed.get("status") == EndpointStatus.DISABLED:
        return {"disabled_reason": DISABLED_BY_PARTNER}
    columns: dict[str, object] = {"disabled_reason": ""} if "status" in changed else {}
    if "url" in changed or "status" in changed:
        columns |= {"failures_in_a_row": 0, "resume_at": None, "failing_since": None, "last_failed_at": None}
    return columns


def _delete(endpoint: Endpoint, actor: str) -> None:
    now = clock.now()
    Endpoint.objects.filter(pk=endpoint.pk).update(
        deleted_at=now,
        status=EndpointStatus.DISABLED,
        secret="",
        previous_secret="",
        previous_secret_until=None,
        due_at=None,
        updated_at=now,
    )
    fail_soon(endpoint.pk)
    _record(endpoint, actor, "webhook.endpoint_deleted", before=_as_audited(endpoint, AUDITED))


def _require_new_url(url: str, others: list[Endpoint]) -> None:
    """Twice the same URL would get every event twice; so does a POST that is sent again without a key."""
    for other in others:
        if is_same_url(other.url, url):
            details = {"endpointId": str(other.pk)}
            raise Conflict(ErrorCode.DUPLICATE_ENDPOINT, "Another endpoint of yours has this URL", details=details)


def _as_audited(endpoint: Endpoint, names: Iterable[str]) -> dict[str, object]:
    return {AUDITED[name]: getattr(endpoint, name) for name in names}


def _record(
    endpoint: Endpoint,
    actor: str,
    action: str,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    record_change(
        actor=actor,
        action=action,
        target=f"webhook:{endpoint.pk}",
        before=before,
        after=after,
    )
