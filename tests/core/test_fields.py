"""Quantities keep their value and their order in every database."""

import datetime as dt
import uuid

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import F

from chain.models import Operation
from loans.models import OaidCredit
from partner_platform.core import clock
from partner_platform.core.database import transactions
from partner_platform.core.fields import MAX_BASE_UNITS, Uint256Field, UUIDPrimaryKey
from tests.factories import OperationFactory
from tests.support.planner import assert_uses_index

pytestmark = pytest.mark.django_db

UINT256_MAX = 2**256 - 1


def test_uint256_values_come_back_as_the_integers_they_were() -> None:
    for number in (0, 1, 2**64, UINT256_MAX):
        OaidCredit.objects.create(oaid_token_id=number)
        assert OaidCredit.objects.get(oaid_token_id=number).oaid_token_id == number


def test_uint256_values_sort_and_compare_as_numbers_not_as_text() -> None:
    numbers = [10, 9, 2**255, 100, UINT256_MAX, 0, 2**64]
    for number in numbers:
        OaidCredit.objects.create(oaid_token_id=number)
    ordered = OaidCredit.objects.order_by("oaid_token_id").values_list("oaid_token_id", flat=True)
    assert list(ordered) == sorted(numbers)
    assert OaidCredit.objects.filter(oaid_token_id__gt=10).count() == 4
    assert OaidCredit.objects.filter(oaid_token_id__lte=9).count() == 2


@pytest.mark.parametrize("number", [-1, 2**256])
def test_what_is_no_uint256_is_refused_before_the_database(number: int) -> None:
    with pytest.raises(ValueError, match="is not a uint256"), transactions.atomic():
        OaidCredit.objects.create(oaid_token_id=number)
    with pytest.raises(ValidationError):
        Uint256Field().clean(number, None)
    assert OaidCredit.objects.count() == 0


def test_a_forms_text_becomes_a_uint256_and_other_text_is_a_field_error() -> None:
    assert Uint256Field().clean(str(UINT256_MAX), None) == UINT256_MAX
    with pytest.raises(ValidationError):
        Uint256Field().clean("0x10", None)


def test_an_amount_holds_the_largest_of_64_bits_and_adds_exactly() -> None:
    row = OaidCredit.objects.create(oaid_token_id=1, reserved=MAX_BASE_UNITS - 1)
    assert OaidCredit.objects.filter(pk=row.pk).update(reserved=F("reserved") + 1) == 1
    assert OaidCredit.objects.get(pk=row.pk).reserved == 9_223_372_036_854_775_807


def test_a_key_is_a_uuid_made_here_and_found_by_the_primary_index() -> None:
    row = OaidCredit.objects.create(oaid_token_id=1)
    assert isinstance(row.pk, uuid.UUID)
    assert OaidCredit.objects.get(pk=str(row.pk)) == row
    assert_uses_index(OaidCredit.objects.filter(pk=row.pk))


def test_the_key_is_the_documents_own_id_on_mongodb_and_a_plain_id_elsewhere() -> None:
    field = OaidCredit._meta.pk
    assert isinstance(field, UUIDPrimaryKey)
    assert field.column == ("_id" if connection.vendor == "mongodb" else "id")


def test_a_lookup_by_key_is_the_fastest_that_mongodb_has() -> None:
    plan = OaidCredit.objects.filter(pk=uuid.uuid4()).explain()
    expected = {"mongodb": "IDHACK", "sqlite": "sqlite_autoindex", "postgresql": "_pkey"}[connection.vendor]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = OaidCredit.objects.filter(pk=uuid.uuid4()).explain()
    assert expected in plan


def test_times_keep_their_milliseconds_and_their_zone() -> None:
    moment = clock.now()
    operation = OperationFactory.create(block_time=moment)
    assert Operation.objects.get(pk=operation.pk).block_time == moment
    assert moment.tzinfo is dt.UTC
    assert moment.microsecond % 1000 == 0


def test_json_comes_back_as_it_was_with_the_keys_a_database_might_mistake() -> None:
    calls = [{"$where": "1", "a.b": {"": None, "ключ": [True, 1.5, 2**53]}}, "0xff"]
    operation = OperationFactory.create(calls=calls)
    assert Operation.objects.get(pk=operation.pk).calls == calls
    Operation.objects.filter(pk=operation.pk).update(calls=[{"$set": {"state": "x"}}, "$state"])
    assert Operation.objects.get(pk=operation.pk).calls == [{"$set": {"state": "x"}}, "$state"]
