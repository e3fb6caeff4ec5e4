"""Signing in to the staff API: tokens by password or wallet, their refresh, and signing out."""

from typing import Any

from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import Success
from partner_platform.core.openapi.operations import BODY_ERRORS, Caller, OperationDoc, described
from partner_platform.core.web.contract_view import ContractView
from partner_platform.core.web.serializers import SignatureField, StrictCharField, StrictSerializer
from partners.access.admission import PublicThrottle
from partners.api.common import returned, validated
from staff.access import api_sessions, nonces, siwe
from staff.access.api_sessions import TokenPair
from staff.access.sign_in import sign_in_with_password, sign_in_with_wallet
from staff.api.common import StaffViewSet

TAG = "Staff sign-in"
_OTP = "A code of the authenticator app, or a recovery code; each is taken once."


class PasswordBody(StrictSerializer):
    """A name and a password; the second factor where the account has one."""

    username = StrictCharField(max_length=150)
    password = StrictCharField(max_length=1000, trim_whitespace=False)
    otp = StrictCharField(max_length=40, required=False, help_text=_OTP)


class RefreshBody(StrictSerializer):
    """The newest refresh token of the session."""

    refresh = StrictCharField(max_length=200)


class WalletBody(StrictSerializer):
    """A message of Sign-In with Ethereum (EIP-4361) and its signature by the wallet (EIP-191)."""

    message = StrictCharField(max_length=siwe.MAX_LENGTH, trim_whitespace=False)
    signature = SignatureField()
    otp = StrictCharField(max_length=40, required=False, help_text=_OTP)


class Tokens(serializers.Serializer):
    """The access token for ten minutes, and the refresh token that is exchanged for the next pair."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class Nonce(serializers.Serializer):
    """A nonce for one message."""

    nonce = serializers.RegexField(f"^{siwe.NONCE_PATTERN}$")


class SignedOut(serializers.Serializer):
    """The session has ended."""

    success = Success()


_TOKENS_EXAMPLE = {"access": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…", "refresh": "rt_…"}
_NONCE_EXAMPLE = "695b94c85f0b1c7e93d2a4460b7d1e8f2c6a95d3b4071f88e2c9a65d"
_MESSAGE_EXAMPLE = (
    "admin.example.com wants you to sign in with your Ethereum account:\n"
    "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7\n\n\n"
    "URI: https://admin.example.com/auth/siwe/verify\nVersion: 1\nChain ID: 5000\n"
    f"Nonce: {_NONCE_EXAMPLE}\nIssued At: 2026-01-05T10:30:00Z"
)
_OPEN_ERRORS = (ErrorCode.INVALID_REQUEST, ErrorCode.UNSUPPORTED_API_VERSION)
_SIGN_IN_ERRORS = (
    *_OPEN_ERRORS,
    *BODY_ERRORS,
    ErrorCode.INVALID_CREDENTIALS,
    ErrorCode.SECOND_FACTOR_REQUIRED,
    ErrorCode.TOO_MANY_SIGN_INS,
    ErrorCode.DATABASE_UNAVAILABLE,
)

SIGN_IN = OperationDoc(
    id="signInWithPassword",
    tag=TAG,
    caller=Caller.ANYBODY,
    summary="Sign in with name, password and second factor",
    description="Live, every account needs a second factor. Ten wrong tries of an address in five minutes, or thirty "
    "for a name in an hour, and the next is 429 `too_many_sign_ins`.",
    body=PasswordBody,
    body_examples={"withSecondFactor": {"username": "ann", "password": "…", "otp": "492039"}},
    answers=(returned("The tokens", Tokens, _TOKENS_EXAMPLE),),
    errors=_SIGN_IN_ERRORS,
)
REFRESH = OperationDoc(
    id="refreshTokens",
    tag=TAG,
    caller=Caller.ANYBODY,
    summary="Exchange the refresh token for a new pair",
    description="Each refresh token is exchanged once, within 30 minutes; a session lasts 12 hours at most. One that "
    "comes twice was copied: the session ends, with all of its tokens.",
    body=RefreshBody,
    body_examples={"newest": {"refresh": "rt_…"}},
    answers=(returned("The next tokens", Tokens, _TOKENS_EXAMPLE),),
    errors=(
        *_OPEN_ERRORS,
        *BODY_ERRORS,
        ErrorCode.INVALID_TOKEN,
        ErrorCode.EXPIRED_TOKEN,
        ErrorCode.DATABASE_UNAVAILABLE,
    ),
)
NEW_NONCE = OperationDoc(
    id="newSignInNonce",
    tag=TAG,
    caller=Caller.ANYBODY,
    summary="A nonce for a message of Sign-In with Ethereum",
    description="For one message, within ten minutes.",
    answers=(returned("The nonce", Nonce, {"nonce": _NONCE_EXAMPLE}),),
    errors=_OPEN_ERRORS,
)
VERIFY = OperationDoc(
    id="signInWithWallet",
    tag=TAG,
    caller=Caller.ANYBODY,
    summary="Sign in with a wallet (EIP-4361) and second factor",
    description="A superuser linked the wallet to the account. The message names the platform's domain, a URI of it, "
    "version 1, its chain and a nonce; it was issued within the last ten minutes. It takes the place of the password, "
    "not of the second factor.",
    body=WalletBody,
    body_examples={"withSecondFactor": {"message": _MESSAGE_EXAMPLE, "signature": "0x" + "1b" * 65, "otp": "492039"}},
    answers=(returned("The tokens", Tokens, _TOKENS_EXAMPLE),),
    errors=_SIGN_IN_ERRORS,
)
SIGN_OUT = OperationDoc(
    id="signOut",
    tag=TAG,
    caller=Caller.SIGNED_IN,
    is_limited=False,
    summary="End the session of the access token",
    description="Its access and refresh tokens are refused from then on.",
    answers=(returned("It has ended", SignedOut, {"success": True}),),
)


class SignInViewSet(ContractView, ViewSet):
    """What comes before there is an access token; limited by the caller's address."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes = [PublicThrottle]

    @action(detail=False, methods=["post"])
    @described(SIGN_IN)
    def token(self, request: Request) -> Response:
        """Name, password and second factor."""
        body = validated(PasswordBody(data=request.data))
        otp = body.get("otp", "")
        pair = sign_in_with_password(_django(request), username=body["username"], password=body["password"], otp=otp)
        return Response(present_tokens(pair))

    @action(detail=False, methods=["post"], url_path="token/refresh")
    @described(REFRESH)
    def refresh(self, request: Request) -> Response:
        """The next pair."""
        body = validated(RefreshBody(data=request.data))
        pair = api_sessions.refresh_session(body["refresh"], api_sessions.device_of(_django(request)))
        return Response(present_tokens(pair))

    @action(detail=False, methods=["post"], url_path="siwe/nonce")
    @described(NEW_NONCE)
    def nonce(self, request: Request) -> Response:
        """A nonce."""
        return Response({"nonce": nonces.new_sign_in_nonce()})

    @action(detail=False, methods=["post"], url_path="siwe/verify")
    @described(VERIFY)
    def verify(self, request: Request) -> Response:
        """A signed message and second factor."""
        body = validated(WalletBody(data=request.data))
        text, signature, otp = body["message"], body["signature"], body.get("otp", "")
        return Response(present_tokens(sign_in_with_wallet(_django(request), text=text, signature=signature, otp=otp)))


class SignOutViewSet(StaffViewSet):
    """Whoever is signed in may sign out: no right is asked for."""

    permission_classes: list[Any] = []

    @action(detail=False, methods=["post"])
    @described(SIGN_OUT)
    def logout(self, request: Request) -> Response:
        """End the session."""
        session: Any = request.auth  # an ApiSession: our authentication sets nothing else
        api_sessions.sign_out(session)
        return Response({"success": True})


def present_tokens(pair: TokenPair) -> dict[str, str]:
    """The fields of `Tokens`."""
    return {"access": pair.access, "refresh": pair.refresh}


def _django(request: Request) -> HttpRequest:
    """The request as Django made it, which the counts of tries read the address from."""
    return request._request  # noqa: SLF001 - as middleware does
