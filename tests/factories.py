"""Rows for tests, as short as the test needs them."""

from typing import Any

from eth_utils.address import to_checksum_address
from factory.declarations import LazyAttribute, LazyFunction, SelfAttribute, Sequence, SubFactory
from factory.django import DjangoModelFactory

from chain.lending.encoding import uid_of
from chain.models import Operation
from loans.models import PartnerLoan
from partner_platform.core import clock
from partners import keys
from partners.models import ApiKey, Partner
from partners.services import create_partner

DOLLAR = 10**6  # base units of USDC


class PartnerFactory(DjangoModelFactory[Partner]):
    """An active partner: $1,000 a day, $5,000 in all."""

    class Meta:
        model = Partner

    partner_id = Sequence(lambda number: f"partner_test_{number:03d}")
    partner_name = Sequence(lambda number: f"Test Lending {number}")
    key_label = "test"
    daily_borrow_limit = 1_000 * DOLLAR
    total_borrow_limit = 5_000 * DOLLAR
    settlement_address = Sequence(lambda number: str(to_checksum_address(f"0x{'5e' * 16}{number:08x}")))
    contact_email = "dev@test-lending.example"
    created_by = "system"


class ApiKeyFactory(DjangoModelFactory[ApiKey]):
    """A key whose text is the `key` parameter, a random one by default."""

    class Meta:
        model = ApiKey

    class Params:
        key = LazyFunction(lambda: keys.generate("test", "sandbox").key)

    partner = SubFactory(PartnerFactory)
    key_hash = LazyAttribute(lambda row: keys.hash_key(row.key))
    prefix = LazyAttribute(lambda row: row.key[: keys.PREFIX_LENGTH])


def partner_with_key(**terms: object) -> tuple[Partner, str]:
    """A partner and the key it calls with."""
    key = keys.generate("test", "sandbox").key
    api_key = ApiKeyFactory.create(key=key, partner=PartnerFactory.create(**terms))
    return api_key.partner, key


def open_lender(settlement_address: str, *, number: int = 0, **terms: Any) -> tuple[Partner, str]:
    """A partner opened as staff opens one, at this address: $100,000 a day, $500,000 in all, a fee of 0.5 %."""
    lender: dict[str, Any] = {
        "partner_name": f"Lender {number}",
        "key_label": f"len{number}",
        "daily_borrow_limit": str(100_000 * DOLLAR),
        "total_borrow_limit": str(500_000 * DOLLAR),
        "platform_fee_percentage": 50,
        "settlement_address": settlement_address,
        "contact_email": "dev@lender.example",
    }
    opened = create_partner(actor="test", **{**lender, **terms})
    assert opened.api_key is not None
    return opened.partner, opened.api_key


class OperationFactory(DjangoModelFactory[Operation]):
    """A queued operation of no calls; its uid is made of its key, as the engine makes it."""

    class Meta:
        model = Operation

    key = Sequence(lambda number: f"test:{number}")
    uid = LazyAttribute(lambda row: uid_of(row.key))
    kind = "test"
    calls: list[object] = []
    effect: list[object] = []


class LoanFactory(DjangoModelFactory[PartnerLoan]):
    """A PENDING loan of 1,000 base units without a fee, accepted today; OAID and position have the same number."""

    class Meta:
        model = PartnerLoan

    partner = SubFactory(PartnerFactory)
    partner_loan_id = Sequence(lambda number: f"loan-{number}")
    partner_name = SelfAttribute("partner.partner_name")
    user_wallet = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"
    oaid_token_id = Sequence(lambda number: number + 1)
    solvency_position_id = SelfAttribute("oaid_token_id")
    principal_amount = 1_000
    outstanding_principal = SelfAttribute("principal_amount")
    platform_fee_charged = 0
    net_amount = LazyAttribute(lambda loan: loan.principal_amount - loan.platform_fee_charged)
    remaining_credit = 0
    settlement_address = SelfAttribute("partner.settlement_address")
    borrow_operation = SubFactory(OperationFactory, kind="borrow")
    daily_usage_day = LazyFunction(clock.today)
