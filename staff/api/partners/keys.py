"""A partner's API keys: replace the one in use (endpoint 10), list, add, revoke."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import Success, Timestamp
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Caller,
    OperationDoc,
    described,
)
from partner_platform.core.web.serializers import OneOfField, StrictSerializer
from partners import credentials, selectors, services
from partners.api.common import returned, validated
from partners.api.credentials import GraceBody
from partners.idempotency.view import idempotent
from partners.keys import SAVE_KEY
from partners.models import ApiKey, Scope, all_scopes
from partners.rules import is_live
from staff.api.approvals import WAITING
from staff.api.common import PartnerIdPath, StaffViewSet, actor_of
from webhooks.api.fields import MomentField

OLD_KEY_GONE = "Old API key has been invalidated. Save this new key securely!"
OLD_KEY_STAYS = "The old API key stays valid for {hours} hours at most. Save this new key securely!"


class PartnerKeyPath(PartnerIdPath):
    """A key of a partner in a path: any text there that is no key of that partner is 404."""

    keyId = serializers.UUIDField()


class NewKeyBody(StrictSerializer):
    """What a further key may do, and until when."""

    scopes = serializers.ListField(
        child=OneOfField(choices=Scope.choices),
        min_length=1,
        required=False,
        help_text="Without it all but `manage`.",
    )
    expiresAt = MomentField(required=False, help_text="Without it the key has no end.")


class StaffKey(serializers.Serializer):
    """An API key, without the key itself."""

    id = serializers.UUIDField()
    prefix = serializers.CharField(help_text="Its first 16 characters.")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.values))
    isLive = serializers.BooleanField()
    createdAt = Timestamp()
    expiresAt = Timestamp(allow_null=True)
    revokedAt = Timestamp(allow_null=True)
    lastUsedAt = Timestamp(allow_null=True, help_text="To the minute.")


class StaffKeys(serializers.Serializer):
    """A partner's keys, newest first; of more than 100 the newest."""

    keys = StaffKey(many=True)


class RegeneratedKey(serializers.Serializer):
    """A new key in place of the one in use (plan, endpoint 10)."""

    success = Success()
    apiKey = serializers.CharField()
    warning = serializers.CharField()


class AddedKey(RegeneratedKey):
    """A further key, shown once."""

    key = StaffKey()


class RevokedKey(serializers.Serializer):
    """A key that is revoked."""

    success = Success()
    key = StaffKey()


_KEY_EXAMPLE = {
    "id": "5b8a7f02-3c1d-4e9b-9f60-2d4a8c6e1b73",
    "prefix": "pk_nlp_live_a1b2",
    "scopes": all_scopes(),
    "isLive": True,
    "createdAt": "2026-01-05T10:30:00Z",
    "expiresAt": None,
    "revokedAt": None,
    "lastUsedAt": "2026-01-06T08:00:00Z",
}
_NEW_KEY = "pk_nlp_live_" + "…"

REGENERATE_KEY = OperationDoc(
    id="regenerateApiKey",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="A new API key in place of the one in use",
    description="It has the scopes of the one in use, which is revoked at once, or after `gracePeriodHours`; other "
    "keys are revoked at once. Shown once; with an `Idempotency-Key` the same call shows it again. Right: "
    "`staff.create_api_keys`.",
    path=PartnerIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=GraceBody,
    is_body_required=False,
    body_examples={"plan": {}, "inADay": {"gracePeriodHours": 24}},
    answers=(
        returned("The new key", RegeneratedKey, {"success": True, "apiKey": _NEW_KEY, "warning": OLD_KEY_GONE}),
        WAITING,
    ),
    errors=(*BODY_ERRORS, *IDEMPOTENCY_ERRORS, ErrorCode.PARTNER_NOT_FOUND),
)
LIST_PARTNERS_KEYS = OperationDoc(
    id="listPartnerKeys",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="A partner's API keys, revoked and expired ones too",
    description="Right: `staff.view_partners`.",
    path=PartnerIdPath,
    answers=(returned("The keys", StaffKeys, {"keys": [_KEY_EXAMPLE]}),),
    errors=(ErrorCode.PARTNER_NOT_FOUND,),
)
ADD_KEY = OperationDoc(
    id="createPartnerKey",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="A further API key",
    description="At most two keys are live. Shown once; with an `Idempotency-Key` the same call shows it again. "
    "Right: `staff.create_api_keys`.",
    path=PartnerIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=NewKeyBody,
    is_body_required=False,
    body_examples={"whole": {}, "readsForAYear": {"scopes": ["read"], "expiresAt": "2030-01-05T10:30:00Z"}},
    answers=(
        returned(
            "The new key",
            AddedKey,
            {"success": True, "apiKey": _NEW_KEY, "warning": SAVE_KEY, "key": {**_KEY_EXAMPLE, "lastUsedAt": None}},
        ),
        WAITING,
    ),
    errors=(*BODY_ERRORS, *IDEMPOTENCY_ERRORS, ErrorCode.PARTNER_NOT_FOUND),
)
REVOKE_KEY = OperationDoc(
    id="revokePartnerKey",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Revoke an API key at once",
    description="One that is revoked already stays as it is. Right: `staff.revoke_api_keys`.",
    path=PartnerKeyPath,
    answers=(
        returned(
            "The key is revoked",
            RevokedKey,
            {"success": True, "key": {**_KEY_EXAMPLE, "isLive": False, "revokedAt": "2026-01-06T09:00:00Z"}},
        ),
    ),
    errors=(ErrorCode.PARTNER_NOT_FOUND, ErrorCode.API_KEY_NOT_FOUND),
)


class RegenerationViewSet(StaffViewSet):
    """A new key in place of the one in use."""

    lookup_url_kwarg = "partner_id"
    lookup_value_regex = "[^/]+"

    @action(detail=True, methods=["post"], url_path="regenerate-api-key", required_right=Right.CREATE_API_KEYS)
    @described(REGENERATE_KEY)
    @idempotent(atomic=True, is_secret=True)
    def regenerate(self, request: Request, partner_id: str) -> Response:
        """Endpoint 10."""
        hours = validated(GraceBody(data=request.data))["gracePeriodHours"]
        partner = selectors.get_partner(partner_id)
        key = services.rotate_api_key(partner=partner, actor=actor_of(request), grace_hours=hours)
        warning = OLD_KEY_STAYS.format(hours=hours) if hours else OLD_KEY_GONE
        return Response({"success": True, "apiKey": key, "warning": warning})


class PartnerKeysViewSet(StaffViewSet):
    """A partner's keys."""

    required_right = Right.VIEW_PARTNERS
    rights = {"create": Right.CREATE_API_KEYS, "destroy": Right.REVOKE_API_KEYS}
    lookup_url_kwarg = "key_id"
    lookup_value_regex = "[^/]+"

    @described(LIST_PARTNERS_KEYS)
    def list(self, request: Request, partner_id: str) -> Response:
        """All of them."""
        keys = selectors.newest_keys_of(selectors.get_partner(partner_id))
        return Response({"keys": [present_staff_key(key) for key in keys]})

    @described(ADD_KEY)
    @idempotent(atomic=True, is_secret=True)
    def create(self, request: Request, partner_id: str) -> Response:
        """One more."""
        body = validated(NewKeyBody(data=request.data))
        key = credentials.create_api_key(
            partner=selectors.get_partner(partner_id),
            actor=actor_of(request),
            scopes=body.get("scopes"),
            expires_at=body.get("expiresAt"),
        )
        row = present_staff_key(selectors.row_of_key(key))
        return Response({"success": True, "apiKey": key, "warning": SAVE_KEY, "key": row})

    @described(REVOKE_KEY)
    def destroy(self, request: Request, partner_id: str, key_id: str) -> Response:
        """Revoke one."""
        key = selectors.get_key(partner=selectors.get_partner(partner_id), key_id=key_id)
        credentials.revoke_api_key(api_key=key, actor=actor_of(request))
        key.refresh_from_db()
        return Response({"success": True, "key": present_staff_key(key)})


def present_staff_key(key: ApiKey) -> dict[str, object]:
    """The fields of `StaffKey`."""
    return {
        "id": str(key.pk),
        "prefix": key.prefix,
        "scopes": key.scopes,
        "isLive": is_live(key, clock.now()),
        "createdAt": isoformat(key.created_at),
        "expiresAt": isoformat(key.expires_at),
        "revokedAt": isoformat(key.revoked_at),
        "lastUsedAt": isoformat(key.last_used_at),
    }
