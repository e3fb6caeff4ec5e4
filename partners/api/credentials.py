"""A partner's own API keys and signing secret: list, rotate, delete. Scope `manage`."""

# ruff: noqa: N815 - the contract's names

from typing import Any

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from partner_platform.core import clock
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import Timestamp
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    OperationDoc,
    ResponseDoc,
    described,
)
from partner_platform.core.web.serializers import StrictSerializer, WholeNumberField
from partners import credentials, own_keys
from partners.api.common import PartnerViewSet, audit_actor, partner_of, returned, validated
from partners.idempotency.view import idempotent
from partners.keys import SAVE_KEY
from partners.models import ApiKey, Scope
from partners.rules import MAX_GRACE_HOURS

SAVE_SECRET = "Save this signing secret securely. It will not be shown again!"  # noqa: S105 - a sentence about one


class GraceBody(StrictSerializer):
    """How long the former one stays valid."""

    gracePeriodHours = WholeNumberField(
        min_value=0, max_value=MAX_GRACE_HOURS, required=False, default=0, help_text="0: the former one ends at once."
    )


class KeyIdPath(serializers.Serializer):
    """A key's id in a path: any text there that is no live key of the partner's is 404."""

    keyId = serializers.UUIDField()


class OwnKey(serializers.Serializer):
    """An API key, without the key itself."""

    id = serializers.UUIDField()
    prefix = serializers.CharField(help_text="Its first 16 characters.")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.values))
    createdAt = Timestamp()
    expiresAt = Timestamp(allow_null=True)
    lastUsedAt = Timestamp(allow_null=True, help_text="To the minute.")
    isInUse = serializers.BooleanField(help_text="Whether this call was sent with it.")


class OwnKeys(serializers.Serializer):
    """The keys that are live, newest first."""

    keys = OwnKey(many=True)


class NewApiKey(serializers.Serializer):
    """A new key, shown once."""

    id = serializers.UUIDField()
    apiKey = serializers.CharField()
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.values))
    expiresAt = Timestamp(allow_null=True)
    formerKeyValidUntil = Timestamp()
    warning = serializers.CharField()


class NewSigningSecret(serializers.Serializer):
    """A new signing secret, shown once."""

    signingSecret = serializers.CharField()
    formerSecretValidUntil = Timestamp()
    warning = serializers.CharField()


_KEY_ID = "5b8a7f02-3c1d-4e9b-9f60-2d4a8c6e1b73"
_SCOPES = [scope.value for scope in Scope]
_KEY_EXAMPLE = {
    "id": _KEY_ID,
    "prefix": "pk_xyz_live_a1b2",
    "scopes": _SCOPES,
    "createdAt": "2026-01-05T10:30:00Z",
    "expiresAt": None,
    "lastUsedAt": "2026-01-06T08:00:00Z",
    "isInUse": True,
}
_NEW_KEY_EXAMPLE = {
    "id": _KEY_ID,
    "apiKey": "pk_xyz_live_" + "…",
    "prefix": "pk_xyz_live_a1b2",
    "scopes": _SCOPES,
    "expiresAt": None,
    "formerKeyValidUntil": "2026-01-06T10:30:00Z",
    "warning": SAVE_KEY,
}

LIST_KEYS = OperationDoc(
    id="listApiKeys",
    tag="Credentials",
    summary="Your API keys that are live",
    answers=(returned("The keys", OwnKeys, {"keys": [_KEY_EXAMPLE]}),),
)
ROTATE_KEY = OperationDoc(
    id="rotateApiKey",
    tag="Credentials",
    summary="Replace the API key that the call is sent with",
    description="The new key has its scopes, and where it has an end, one as far away. It is shown once; with an "
    "`Idempotency-Key` the same call shows it again. Sent again without one, the former key is refused.",
    headers=(headers.IDEMPOTENCY_KEY,),
    body=GraceBody,
    is_body_required=False,
    body_examples={"atOnce": {}, "inADay": {"gracePeriodHours": 24}},
    answers=(returned("The new key", NewApiKey, _NEW_KEY_EXAMPLE),),
    errors=(
        *BODY_ERRORS,
        *IDEMPOTENCY_ERRORS,
        ErrorCode.TOO_MANY_API_KEYS,
        ErrorCode.API_KEY_REPLACED,
        ErrorCode.QUEUE_UNAVAILABLE,
    ),
)
DELETE_KEY = OperationDoc(
    id="deleteApiKey",
    tag="Credentials",
    summary="Revoke one of your API keys at once",
    description="The one that the call is sent with too, where another one is live.",
    path=KeyIdPath,
    answers=(ResponseDoc(status=204, when="It is revoked", body=None, example=None),),
    errors=(ErrorCode.API_KEY_NOT_FOUND, ErrorCode.LAST_API_KEY, ErrorCode.QUEUE_UNAVAILABLE),
)
ROTATE_SIGNING_SECRET = OperationDoc(
    id="rotateSigningSecret",
    tag="Credentials",
    summary="A new secret for signing your calls",
    description="Whether your calls must be signed stays as it is. It is shown once; with an `Idempotency-Key` the "
    "same call shows it again.",
    headers=(headers.IDEMPOTENCY_KEY,),
    body=GraceBody,
    is_body_required=False,
    body_examples={"atOnce": {}, "inADay": {"gracePeriodHours": 24}},
    answers=(
        returned(
            "The new secret",
            NewSigningSecret,
            {
                "signingSecret": "sk_xyz_live_" + "…",
                "formerSecretValidUntil": "2026-01-06T10:30:00Z",
                "warning": SAVE_SECRET,
            },
        ),
    ),
    errors=(*BODY_ERRORS, *IDEMPOTENCY_ERRORS, ErrorCode.QUEUE_UNAVAILABLE),
)


class KeysViewSet(PartnerViewSet):
    """The partner's own keys."""

    required_scope = Scope.MANAGE
    lookup_url_kwarg = "key_id"
    lookup_value_regex = "[^/]+"

    @described(LIST_KEYS)
    def list(self, request: Request) -> Response:
        """The live keys."""
        in_use: Any = request.auth
        return Response({"keys": [present_key(key, in_use) for key in own_keys.live_keys(partner_of(request))]})

    @action(detail=False, methods=["post"])
    @described(ROTATE_KEY)
    @idempotent(atomic=True, is_secret=True)
    def rotate(self, request: Request) -> Response:
        """A new key in place of the one in use."""
        body = validated(GraceBody(data=request.data))
        in_use: Any = request.auth
        return Response(present_rotated(own_keys.rotate_own_key(in_use=in_use, grace_hours=body["gracePeriodHours"])))

    @described(DELETE_KEY)
    def destroy(self, request: Request, key_id: str) -> Response:
        """Revoke a key."""
        in_use: Any = request.auth
        own_keys.revoke_own_key(in_use=in_use, key_id=key_id)
        return Response(status=204)


class SigningSecretViewSet(PartnerViewSet):
    """The partner's own signing secret."""

    required_scope = Scope.MANAGE

    @action(detail=False, methods=["post"])
    @described(ROTATE_SIGNING_SECRET)
    @idempotent(atomic=True, is_secret=True)
    def rotate(self, request: Request) -> Response:
        """A new signing secret."""
        hours = validated(GraceBody(data=request.data))["gracePeriodHours"]
        partner = partner_of(request)
        secret = credentials.rotate_signing_secret(partner=partner, actor=audit_actor(request), grace_hours=hours)
        partner.refresh_from_db(fields=["previous_signing_secret_until"])
        until = partner.previous_signing_secret_until or clock.now()
        return Response({"signingSecret": secret, "formerSecretValidUntil": isoformat(until), "warning": SAVE_SECRET})


def present_key(key: ApiKey, in_use: ApiKey) -> dict[str, object]:
    """The fields of `OwnKey`."""
    return {
        "id": str(key.pk),
        "prefix": key.prefix,
        "scopes": key.scopes,
        "createdAt": isoformat(key.created_at),
        "expiresAt": isoformat(key.expires_at),
        "lastUsedAt": isoformat(key.last_used_at),
        "isInUse": key.pk == in_use.pk,
    }


def present_rotated(rotated: own_keys.Rotated) -> dict[str, object]:
    """The fields of `NewApiKey`."""
    return {
        "id": str(rotated.row.pk),
        "apiKey": rotated.key,
        "prefix": rotated.row.prefix,
        "scopes": rotated.row.scopes,
        "expiresAt": isoformat(rotated.row.expires_at),
        "formerKeyValidUntil": isoformat(rotated.former_until),
        "warning": SAVE_KEY,
    }
