"""Rows for tests, as short as the test needs them."""

from eth_utils.address import to_checksum_address
from factory.declarations import LazyAttribute, LazyFunction, Sequence, SubFactory
from factory.django import DjangoModelFactory

from partners import keys
from partners.models import ApiKey, Partner

DOLLAR = 10**6


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
