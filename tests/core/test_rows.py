"""Stored rows say the same as Django's, on each engine."""

import datetime as dt

import pytest
from django.db.models import Sum

from loans.models import SolvencyPosition
from partner_platform.core.database.rows import ZERO_UINT256, as_day, as_uuid, stored_rows
from partner_platform.core.fields import MAX_UINT256
from partners.models import Partner, PartnerDailyUsage
from tests.factories import PartnerFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def partner() -> Partner:
    return PartnerFactory.create()


def test_keys_days_and_amounts_are_read_as_they_are_stored(partner: Partner) -> None:
    day = dt.date(2026, 1, 5)
    usage = PartnerDailyUsage.objects.create(partner=partner, day=day, borrowed=2**62)

    [(key, owner, stored_day, borrowed)] = stored_rows(
        PartnerDailyUsage.objects.values_list("pk", "partner_id", "day", "borrowed")
    )

    assert (as_uuid(key), as_uuid(owner), as_day(stored_day), borrowed) == (usage.pk, partner.pk, day, 2**62)


def test_a_stored_key_finds_its_row_and_what_points_at_it(partner: Partner) -> None:
    usage = PartnerDailyUsage.objects.create(partner=partner, day=dt.date(2026, 1, 5))
    [(key,)] = stored_rows(Partner.objects.values_list("pk"))

    assert Partner.objects.filter(pk__in=[key]).get() == partner
    assert Partner.objects.filter(pk__stored_in=[key, key]).get() == partner
    assert PartnerDailyUsage.objects.filter(partner_id__stored_in=[key]).get() == usage
    assert not PartnerDailyUsage.objects.filter(partner_id__stored_in=[]).exists()
    [(other,)] = stored_rows(PartnerDailyUsage.objects.values_list("pk"))
    assert not Partner.objects.filter(pk__stored_in=[other]).exists()


def test_sums_and_nothing_are_read_too(partner: Partner) -> None:
    assert list(stored_rows(PartnerDailyUsage.objects.values_list("pk"))) == []
    assert list(stored_rows(PartnerDailyUsage.objects.none().values_list("pk"))) == []
    for day in (1, 2):
        PartnerDailyUsage.objects.create(partner=partner, day=dt.date(2026, 1, day), borrowed=day)
    rows = stored_rows(PartnerDailyUsage.objects.values_list("partner_id").annotate(total=Sum("borrowed")))
    assert [(as_uuid(key), total) for key, total in rows] == [(partner.pk, 3)]


@pytest.mark.parametrize("number", [0, 7, MAX_UINT256])
def test_a_uint256_is_stored_as_said(number: int) -> None:
    same = {"collateral_amount": 0, "collateral_value_usd": 0, "usdc_borrowed": 0, "active": True}
    SolvencyPosition.objects.create(position_id=number, oaid_token_id=1, user_wallet="", token_type="RWA", **same)
    [(stored,)] = stored_rows(SolvencyPosition.objects.values_list("position_id"))
    assert stored == f"{number:078d}"
    assert (stored == ZERO_UINT256) == (number == 0)
