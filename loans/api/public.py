"""Endpoints 1 and 2: what anyone can read on the chain, without a key."""

# ruff: noqa: N815 - the contract's names

from typing import Any

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from chain.lending import readings
from chain.lending.readings import OaidReading, PositionReading
from loans import rules
from loans.api.common import EXAMPLE_WALLET, returned, validated
from partner_platform.core.errors import ErrorCode, NotFound
from partner_platform.core.openapi.fields import Address, BaseUnits, Count, IdText
from partner_platform.core.openapi.operations import Caller, OperationDoc, described
from partner_platform.core.web.contract_view import ContractView
from partner_platform.core.web.serializers import IdInPathField
from partners.access.admission import PublicThrottle

_PUBLIC_ERRORS = (ErrorCode.INVALID_REQUEST, ErrorCode.UNSUPPORTED_API_VERSION)


class TokenIdPath(serializers.Serializer):
    """An id in a path: digits only."""

    oaidTokenId = IdInPathField()


class PositionIdPath(serializers.Serializer):
    """An id in a path: digits only."""

    positionId = IdInPathField()


class CreditLine(serializers.Serializer):
    """An OAID's credit line, in base units of USDC."""

    oaidTokenId = Count()
    oaidTokenIdString = IdText()
    creditLimit = BaseUnits()
    creditUsed = BaseUnits()
    availableCredit = BaseUnits()
    active = serializers.BooleanField()
    owner = Address()


CREDIT_LINE_EXAMPLE = {
    "oaidTokenId": 123,
    "oaidTokenIdString": "123",
    "creditLimit": "10000000000",
    "creditUsed": "2000000000",
    "availableCredit": "8000000000",
    "active": True,
    "owner": EXAMPLE_WALLET,
}

GET_CREDIT_LINE = OperationDoc(
    id="getCreditLine",
    tag="Public",
    caller=Caller.ANYBODY,
    summary="An OAID's credit line",
    description="As of the newest block.",
    path=TokenIdPath,
    answers=(returned("The credit line", CreditLine, CREDIT_LINE_EXAMPLE),),
    errors=(*_PUBLIC_ERRORS, ErrorCode.OAID_NOT_FOUND, ErrorCode.CHAIN_UNAVAILABLE),
)


class Position(serializers.Serializer):
    """A collateral position."""

    positionId = Count()
    positionIdString = IdText()
    user = Address()
    collateralToken = Address()
    collateralAmount = BaseUnits(help_text="In the collateral token's own units.")
    collateralValueUSD = BaseUnits(help_text="6 decimals, as USDC.")
    usdcBorrowed = BaseUnits()
    healthFactor = serializers.FloatField(allow_null=True, help_text="Collateral value over debt; null without debt.")
    active = serializers.BooleanField()
    tokenType = serializers.CharField()


POSITION_EXAMPLE = {
    "positionId": 42,
    "positionIdString": "42",
    "user": EXAMPLE_WALLET,
    "collateralToken": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
    "collateralAmount": "50000000000000000000",
    "collateralValueUSD": "4000000000",
    "usdcBorrowed": "2000000000",
    "healthFactor": 2.0,
    "active": True,
    "tokenType": "RWA",
}

GET_POSITION = OperationDoc(
    id="getPosition",
    tag="Public",
    caller=Caller.ANYBODY,
    summary="A collateral position",
    description="As of the newest block.",
    path=PositionIdPath,
    answers=(returned("The position", Position, POSITION_EXAMPLE),),
    errors=(*_PUBLIC_ERRORS, ErrorCode.POSITION_NOT_FOUND, ErrorCode.CHAIN_UNAVAILABLE),
)


class PublicViewSet(ContractView, ViewSet):
    """Readings of the chain, limited by the caller's address alone."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes = [PublicThrottle]

    @action(detail=False, url_path=r"oaid/(?P<oaid_token_id>[^/]+)/credit-line")
    @described(GET_CREDIT_LINE)
    def credit_line(self, request: Request, oaid_token_id: str) -> Response:
        """Endpoint 1: the OAID's credit line, as of the newest block."""
        number = validated(TokenIdPath(data={"oaidTokenId": oaid_token_id}))["oaidTokenId"]
        reading = readings.read_oaid(number) if number < 2**256 else None
        if reading is None:
            raise rules.oaid_not_found(number)
        return Response(present_credit_line(reading))

    @action(detail=False, url_path=r"position/(?P<position_id>[^/]+)/details")
    @described(GET_POSITION)
    def position_details(self, request: Request, position_id: str) -> Response:
        """Endpoint 2: a collateral position, as of the newest block."""
        number = validated(PositionIdPath(data={"positionId": position_id}))["positionId"]
        reading = readings.read_position(number) if number < 2**256 else None
        if reading is None:
            raise NotFound(ErrorCode.POSITION_NOT_FOUND, f"Position {number} does not exist")
        return Response(present_position(reading))


def present_credit_line(reading: OaidReading) -> dict[str, object]:
    """The fields of `CreditLine`."""
    return {
        "oaidTokenId": reading.oaid_token_id,
        "oaidTokenIdString": str(reading.oaid_token_id),
        "creditLimit": str(reading.credit_limit),
        "creditUsed": str(reading.credit_used),
        "availableCredit": str(reading.available),
        "active": reading.active,
        "owner": reading.owner,
    }


def present_position(reading: PositionReading) -> dict[str, object]:
    """The fields of `Position`; `healthFactor` is collateral value over debt, null without debt."""
    debt = reading.usdc_borrowed
    return {
        "positionId": reading.position_id,
        "positionIdString": str(reading.position_id),
        "user": reading.user,
        "collateralToken": reading.collateral_token,
        "collateralAmount": str(reading.collateral_amount),
        "collateralValueUSD": str(reading.collateral_value_usd),
        "usdcBorrowed": str(debt),
        "healthFactor": round(reading.collateral_value_usd / debt, 4) if debt else None,
        "active": reading.active,
        "tokenType": reading.token_type,
    }
