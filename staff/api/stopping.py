"""Stopping: the platform's pause of new borrows, and the block list of wallets."""

# ruff: noqa: N815 - the contract's names

from django.conf import settings
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from authority.rights import Right
from loans.api.lists import PAGE_EXAMPLE, PageFields, PageQuery, present_page
from loans.models import UserWallet
from loans.stopping.wallets import block_wallet, blocked_wallets, unblock_wallet
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import Address, BaseUnits, Success, Timestamp
from partner_platform.core.openapi.operations import BODY_ERRORS, Caller, Link, OperationDoc, ResponseDoc, described
from partner_platform.core.web.pagination import paginate
from partner_platform.core.web.serializers import AddressInputField, StrictCharField, StrictSerializer
from partners.api.common import returned, validated
from partners.models import BorrowingPause
from partners.rules import MAX_REASON
from partners.selectors import borrowing_pause
from partners.stopping.pause import pause_borrowing, resume_borrowing
from staff.api.common import StaffViewSet, actor_of


class WhyBody(StrictSerializer):
    """Why it is done, for those who come after."""

    reason = StrictCharField(max_length=MAX_REASON)


class BlockBody(WhyBody):
    """A wallet to which no more loans are made."""

    wallet = AddressInputField()


class UnblockQuery(StrictSerializer):
    """Why it is taken off the list."""

    reason = StrictCharField(max_length=MAX_REASON)


class WalletPath(serializers.Serializer):
    """A wallet in a path, in any case."""

    wallet = Address()


class BorrowingState(serializers.Serializer):
    """Whether new borrows are taken; who changed that last, when and why."""

    isPaused = serializers.BooleanField()
    since = Timestamp(allow_null=True)
    by = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)


class PlatformState(serializers.Serializer):
    """What stops borrows of everybody."""

    borrowing = BorrowingState()
    walletExposureCap = BaseUnits(allow_null=True, help_text="The most that one wallet owes; null: no cap.")
    walletScreening = serializers.BooleanField(help_text="Whether a screening service is asked.")


class BlockedWallet(serializers.Serializer):
    """A wallet on the block list."""

    wallet = Address()
    blockedAt = Timestamp(allow_null=True)
    blockedBy = serializers.CharField()
    reason = serializers.CharField()


class BlockedWalletPage(PageFields):
    """Blocked wallets, what was blocked last first."""

    wallets = BlockedWallet(many=True)


class UnblockedWallet(serializers.Serializer):
    """A wallet that is off the list."""

    success = Success()
    wallet = Address()


_OPEN = {"isPaused": False, "since": None, "by": None, "reason": None}
_PAUSED = {
    "isPaused": True,
    "since": "2026-01-05T10:30:00Z",
    "by": "staff:ann",
    "reason": "The pool's contract is upgraded",
}
_STATE = {"borrowing": _OPEN, "walletExposureCap": "250000000000", "walletScreening": False}
_BLOCKED = {
    "wallet": "0x580F5b09765E71D64613c8F4403234f8790DD7D3",
    "blockedAt": "2026-01-05T10:30:00Z",
    "blockedBy": "staff:ann",
    "reason": "On the sanctions list of 5 January",
}
_WHY = {"why": {"reason": "The pool's contract is upgraded"}}

GET_STATE = OperationDoc(
    id="getPlatformState",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Whether new borrows are taken",
    description="Right: `staff.view_partners`.",
    answers=(returned("The state", PlatformState, _STATE),),
)
PAUSE = OperationDoc(
    id="pauseBorrowing",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Take no new borrows from anybody",
    description="Borrows are 503 `borrowing_paused`; repayments, reads and what was accepted go on. When it is "
    "answered, no borrow is accepted any more. Paused already: the reason is added. Right: `staff.pause_borrowing`.",
    body=WhyBody,
    body_examples=_WHY,
    answers=(returned("Paused", PlatformState, {**_STATE, "borrowing": _PAUSED}),),
    errors=BODY_ERRORS,
)
RESUME = OperationDoc(
    id="resumeBorrowing",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Take new borrows again",
    description="Right: `staff.resume_borrowing`.",
    body=WhyBody,
    body_examples=_WHY,
    answers=(returned("Taken again", PlatformState, {**_STATE, "borrowing": {**_PAUSED, "isPaused": False}}),),
    errors=BODY_ERRORS,
)
LIST_BLOCKED = OperationDoc(
    id="listBlockedWallets",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="The wallets to which no loans are made",
    description="Right: `staff.view_loans`.",
    query=PageQuery,
    answers=(
        returned(
            "A page of wallets",
            BlockedWalletPage,
            {**PAGE_EXAMPLE, "wallets": [_BLOCKED]},
            links={"NextPage": Link(operation="listBlockedWallets", parameters={"cursor": "$response.body#/next"})},
        ),
    ),
)
BLOCK = OperationDoc(
    id="blockWallet",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Make no more loans to a wallet",
    description="Whichever partner it comes by: 403 `wallet_refused`. What it owes can be repaid. Blocked already: the "
    "reason is added. Right: `staff.block_wallets`.",
    body=BlockBody,
    body_examples={"block": {"wallet": _BLOCKED["wallet"], "reason": _BLOCKED["reason"]}},
    answers=(ResponseDoc(status=201, when="It is blocked", body=BlockedWallet, example=_BLOCKED),),
    errors=BODY_ERRORS,
)
UNBLOCK = OperationDoc(
    id="unblockWallet",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Lend to a blocked wallet again",
    description="Right: `staff.unblock_wallets`.",
    path=WalletPath,
    query=UnblockQuery,
    answers=(returned("It is off the list", UnblockedWallet, {"success": True, "wallet": _BLOCKED["wallet"]}),),
    errors=(ErrorCode.WALLET_NOT_BLOCKED,),
)


class PlatformStateViewSet(StaffViewSet):
    """The platform's pause of new borrows."""

    required_right = Right.VIEW_PARTNERS

    @described(GET_STATE)
    def list(self, request: Request) -> Response:
        """The state."""
        return Response(present_state(borrowing_pause()))

    @action(detail=False, methods=["post"], required_right=Right.PAUSE_BORROWING)
    @described(PAUSE)
    def pause(self, request: Request) -> Response:
        """Paused."""
        reason = validated(WhyBody(data=request.data))["reason"]
        return Response(present_state(pause_borrowing(actor=actor_of(request), reason=reason)))

    @action(detail=False, methods=["post"], required_right=Right.RESUME_BORROWING)
    @described(RESUME)
    def resume(self, request: Request) -> Response:
        """Taken again."""
        reason = validated(WhyBody(data=request.data))["reason"]
        return Response(present_state(resume_borrowing(actor=actor_of(request), reason=reason)))


class BlockedWalletsViewSet(StaffViewSet):
    """The block list of wallets."""

    required_right = Right.VIEW_LOANS
    rights = {"create": Right.BLOCK_WALLETS, "destroy": Right.UNBLOCK_WALLETS}
    lookup_url_kwarg = "wallet"
    lookup_value_regex = "[^/]+"

    @described(LIST_BLOCKED)
    def list(self, request: Request) -> Response:
        """What was blocked last first."""
        asked = validated(PageQuery(data=request.query_params.dict()))
        page = paginate(streams=[blocked_wallets()], scope="blocked wallets", by="blocked_at", **asked)
        return Response({**present_page(page, asked), "wallets": [present_blocked(row) for row in page.rows]})

    @described(BLOCK)
    def create(self, request: Request) -> Response:
        """Block a wallet."""
        body = validated(BlockBody(data=request.data))
        row = block_wallet(wallet=body["wallet"], actor=actor_of(request), reason=body["reason"])
        return Response(present_blocked(row), status=201)

    @described(UNBLOCK)
    def destroy(self, request: Request, wallet: str) -> Response:
        """Take a wallet off the list."""
        reason = validated(UnblockQuery(data=request.query_params.dict()))["reason"]
        row = unblock_wallet(wallet=wallet, actor=actor_of(request), reason=reason)
        return Response({"success": True, "wallet": row.address})


def present_state(pause: BorrowingPause) -> dict[str, object]:
    """The fields of `PlatformState`."""
    cap = settings.WALLET_EXPOSURE_CAP
    return {
        "borrowing": {
            "isPaused": pause.is_paused,
            "since": isoformat(pause.since),
            "by": pause.actor or None,
            "reason": pause.reason or None,
        },
        "walletExposureCap": None if cap is None else str(cap),
        "walletScreening": bool(settings.WALLET_SCREENING),
    }


def present_blocked(row: UserWallet) -> dict[str, object]:
    """The fields of `BlockedWallet`."""
    return {
        "wallet": row.address,
        "blockedAt": isoformat(row.blocked_at),
        "blockedBy": row.blocked_by,
        "reason": row.block_reason,
    }
