"""Who could have signed in with an account is not the second person beside it."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django.fixtures import Settings

from authority.approvals import deciding, glass
from authority.approvals.requiring import WaitsForApproval
from authority.models import GlassBreak
from partner_platform.core.errors import Forbidden
from partners import services
from partners.models import Partner
from staff.access.wallets import link_wallet
from staff.services import accounts, factors
from tests.factories import DOLLAR, PartnerFactory
from tests.support.approvals import acting, person, the_approval

pytestmark = pytest.mark.django_db

AT = dt.datetime(2026, 1, 8, 10, 0, tzinfo=dt.UTC)
PASSWORD = "a long password indeed"
HERS = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"
HOLDS: dict[str, Callable[[User, User], object]] = {
    "password": lambda by, of: accounts.set_password(actor=acting(by), user=of, password=PASSWORD),
    "factors": lambda by, of: factors.reset_factors(actor=acting(by), user=of),
    "wallet": lambda by, of: link_wallet(actor=acting(by), user=of, address=HERS),
}


@pytest.fixture(autouse=True)
def required(settings: Settings) -> None:
    settings.APPROVALS = "required"


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", "root@platform.example", PASSWORD)


def asked_by(user: User) -> Partner:
    partner = PartnerFactory.create()
    with pytest.raises(WaitsForApproval):
        services.update_partner(partner=partner, actor=acting(user), daily_borrow_limit=str(2_000 * DOLLAR))
    return partner


def approve(user: User) -> None:
    deciding.approve(approval_id=str(the_approval().pk), actor=acting(user), reason="seen")


def limit_of(partner: Partner) -> int:
    return Partner.objects.get(pk=partner.pk).daily_borrow_limit // DOLLAR


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS)
def test_who_took_hold_of_the_second_account_does_not_approve_with_it(root: User, hold: Callable[..., object]) -> None:
    bob = person("bob")
    partner = asked_by(root)
    hold(root, bob)
    with pytest.raises(Forbidden, match="Lately one person"):
        approve(bob)
    assert (limit_of(partner), the_approval().status) == (1_000, "WAITING")


def test_who_took_hold_of_the_account_that_asks_does_not_approve(root: User) -> None:
    bob = person("bob")
    accounts.set_password(actor=acting(root), user=bob, password=PASSWORD)
    partner = asked_by(bob)
    with pytest.raises(Forbidden, match="Lately one person"):
        approve(root)
    assert limit_of(partner) == 1_000


def test_two_accounts_that_one_person_took_hold_of_are_not_two_people(root: User) -> None:
    ann, bob = person("ann"), person("bob")
    for user in (ann, bob):
        accounts.set_password(actor=acting(root), user=user, password=PASSWORD)
    partner = asked_by(ann)
    with pytest.raises(Forbidden, match="Lately one person"):
        approve(bob)
    approve(person("cat"))
    assert limit_of(partner) == 2_000


def test_ones_own_new_password_takes_no_hold(root: User) -> None:
    bob = person("bob")
    accounts.change_own_password(actor=acting(bob), user=bob, password=PASSWORD, keep=None)
    partner = asked_by(root)
    approve(bob)
    assert limit_of(partner) == 2_000


def test_who_broke_the_glass_does_not_review_it_with_an_account_that_they_took_hold_of(root: User) -> None:
    bob = person("bob")
    partner = PartnerFactory.create()
    services.update_partner(
        partner=partner, actor=acting(root, break_glass="alone"), daily_borrow_limit=str(2_000 * DOLLAR)
    )
    factors.reset_factors(actor=acting(root), user=bob)
    with pytest.raises(Forbidden, match="Lately one person"):
        glass.review_glass_break(glass_break_id=GlassBreak.objects.get().pk, actor=acting(bob), note="fine")
    assert GlassBreak.objects.get().reviewed_by == ""


def test_an_account_is_its_owners_alone_once_they_had_time_to_notice(
    root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = person("bob")
    with monkeypatch.context() as earlier:
        earlier.setattr(timezone, "now", lambda: AT - dt.timedelta(hours=72))
        accounts.set_password(actor=acting(root), user=bob, password=PASSWORD)
    monkeypatch.setattr(timezone, "now", lambda: AT)
    partner = asked_by(root)
    approve(bob)
    assert limit_of(partner) == 2_000


def test_two_accounts_that_had_one_address_stay_one_persons(root: User) -> None:
    ann, second = person("ann"), person("ann.2", email="Ann@platform.example")
    for user, by, address in ((ann, ann, "a@x.example"), (second, ann, "b@x.example"), (ann, root, "c@x.example")):
        accounts.change_details(actor=acting(by), user=user, details={"email": address})
    partner = asked_by(ann)
    with pytest.raises(Forbidden, match="Who asked for a change"):
        approve(second)
    assert limit_of(partner) == 1_000
