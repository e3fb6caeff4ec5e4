"""A look-up is Django's `get()` with its SQL made once: the same row, of this moment, for any thread."""

import uuid
from typing import Any

import pytest
from django.db import connection, models
from django.db.models.sql.compiler import SQLCompiler

from partner_platform.core.database.lookup import Listing, Lookup
from partner_platform.core.database.transactions import atomic, is_mongodb
from partners.models import ApiKey, Partner
from tests.core.concurrency import at_once
from tests.factories import ApiKeyFactory, PartnerFactory

pytestmark = pytest.mark.django_db(transaction=True)


def keys_with_partner() -> "Lookup[ApiKey]":
    return Lookup(lambda: ApiKey.objects.select_related("partner"), "key_hash")


def values_of(row: models.Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_it_finds_what_get_finds_with_the_related_row_in_one_query(django_assert_num_queries: Any) -> None:
    api_key = ApiKeyFactory.create(partner__ip_allow_list=["10.0.0.0/8"], scopes=["read"])
    ApiKeyFactory.create()
    lookup = keys_with_partner()
    for _ in range(2):
        with django_assert_num_queries(1):
            found = lookup.get(key_hash=api_key.key_hash)
            partner = found.partner
        assert values_of(found) == values_of(ApiKey.objects.get(pk=api_key.pk))
        assert values_of(partner) == values_of(Partner.objects.get(pk=api_key.partner_id))


def test_it_says_what_is_there_now() -> None:
    api_key, lookup = ApiKeyFactory.create(), keys_with_partner()
    assert lookup.get(key_hash=api_key.key_hash).partner.status == "ACTIVE"
    Partner.objects.update(status="SUSPENDED")
    assert lookup.get(key_hash=api_key.key_hash).partner.status == "SUSPENDED"
    ApiKey.objects.all().delete()
    with pytest.raises(ApiKey.DoesNotExist):
        lookup.get(key_hash=api_key.key_hash)


def test_it_sees_what_its_own_transaction_wrote() -> None:
    api_key, lookup = ApiKeyFactory.create(), keys_with_partner()
    lookup.get(key_hash=api_key.key_hash)
    with atomic():
        Partner.objects.update(status="INACTIVE")
        assert lookup.get(key_hash=api_key.key_hash).partner.status == "INACTIVE"


def test_several_columns_are_each_compared_with_their_own_value() -> None:
    lookup = Lookup(Partner.objects.all, "partner_name", "id", "key_label")
    one, two = PartnerFactory.create(key_label="one"), PartnerFactory.create(key_label="two")
    for partner in (one, two):
        found = lookup.get(id=partner.pk, key_label=partner.key_label, partner_name=partner.partner_name)
        assert found == partner
    for wrong in ({"id": two.pk}, {"key_label": "two"}, {"partner_name": two.partner_name}):
        right = {"id": one.pk, "key_label": one.key_label, "partner_name": one.partner_name}
        with pytest.raises(Partner.DoesNotExist):
            lookup.get(**{**right, **wrong})


def test_more_than_one_row_is_an_error_as_with_get() -> None:
    PartnerFactory.create_batch(2, key_label="twin")
    with pytest.raises(Partner.MultipleObjectsReturned):
        Lookup(Partner.objects.all, "key_label").get(key_label="twin")


def test_a_value_is_a_value_whatever_it_holds() -> None:
    lookup = Lookup(Partner.objects.all, "key_label")
    PartnerFactory.create()
    for value in ("' OR 1=1 --", "%s", "%", "$ne", uuid.uuid4().hex):
        with pytest.raises(Partner.DoesNotExist):
            lookup.get(key_label=value)


def test_threads_at_once_each_get_their_own_row() -> None:
    rows = ApiKeyFactory.create_batch(8)
    lookup = keys_with_partner()

    def ask(number: int) -> set[str]:
        return {str(lookup.get(key_hash=rows[number].key_hash).pk) for _ in range(50)}

    assert at_once(8, ask) == [{str(row.pk)} for row in rows]


def test_its_sql_is_made_once_and_again_for_another_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    if is_mongodb():
        return  # an ordinary get()
    api_key, lookup, made = ApiKeyFactory.create(), keys_with_partner(), []
    as_sql = SQLCompiler.as_sql

    def noted(self: SQLCompiler, *args: Any, **options: Any) -> Any:
        made.append(self)
        return as_sql(self, *args, **options)

    monkeypatch.setattr(SQLCompiler, "as_sql", noted)
    for _ in range(5):
        lookup.get(key_hash=api_key.key_hash)
    connection.close()  # the same connection of Django's, connected anew
    lookup.get(key_hash=api_key.key_hash)
    assert len(made) == 1
    at_once(1, lambda _: lookup.get(key_hash=api_key.key_hash))
    assert len(made) == 2


class TestAListing:
    """The first rows in an order, as a queryset would have them, with the SQL made once."""

    @pytest.fixture
    def limits(self) -> Listing:
        """The three highest limits of partners with a label."""
        rows = lambda: Partner.objects.values_list("partner_id", "daily_borrow_limit")  # noqa: E731
        return Listing(rows, "key_label", order=("-daily_borrow_limit",), limit=3)

    def test_is_what_the_queryset_says_now(self, limits: Listing, django_assert_num_queries: Any) -> None:
        for number in range(1, 6):
            PartnerFactory.create(key_label="one", daily_borrow_limit=number)
        PartnerFactory.create(key_label="two", daily_borrow_limit=9)
        for label, expected in (("one", [5, 4, 3]), ("two", [9]), ("none", []), ("one", [5, 4, 3])):
            with django_assert_num_queries(1):
                found = limits.all(key_label=label)
            assert [limit for _, limit in found] == expected
        Partner.objects.filter(daily_borrow_limit=5).update(daily_borrow_limit=1)
        assert [limit for _, limit in limits.all(key_label="one")] == [4, 3, 2]

    def test_is_each_threads_own(self, limits: Listing) -> None:
        PartnerFactory.create(key_label="one", daily_borrow_limit=7)
        found = at_once(4, lambda _: [limits.all(key_label="one") for _ in range(5)])
        assert {limit for rounds in found for rows in rounds for _, limit in rows} == {7}
