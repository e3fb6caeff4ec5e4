"""What partners are told of their account and their keys: exactly this, once, and nothing that is a secret."""

import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from events.models import Event
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partners import credentials, keys, services, tasks
from partners.models import ApiKey, OutgoingMail, Partner
from partners.notices import event_objects
from partners.notices import events as notices
from tests.core.concurrency import at_once
from tests.factories import ApiKeyFactory, PartnerFactory
from tests.support.acting import staff
from tests.support.events import bodies, data_of

NOW = dt.datetime(2026, 1, 5, 9, 30, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The platform's clock, which a test moves by setting `at`."""
    moved = SimpleNamespace(at=NOW)
    monkeypatch.setattr(clock, "timezone", SimpleNamespace(now=lambda: moved.at))
    return moved


# --- Suspension ---


@pytest.mark.django_db
def test_a_suspension_is_one_event_and_one_mail_without_its_reason() -> None:
    partner = PartnerFactory.create(partner_id="partner_a")
    services.suspend_partner(partner=partner, actor=staff("ann"), reason="we suspect a fraud")
    (body,) = bodies(partner)
    assert (body["type"], body["partnerLoanId"], body["sequence"]) == ("partner.suspended", None, None)
    assert body["data"] == {
        "partnerId": "partner_a",
        "status": "SUSPENDED",
        "scope": "ALL",
        "suspendedAt": "2026-01-05T09:30:00Z",
    }
    mail = OutgoingMail.objects.get()
    assert (mail.recipient, mail.subject) == (partner.contact_email, "partner_a is suspended")
    assert mail.text == (
        "The partner account partner_a was suspended at 2026-01-05T09:30:00Z.\n\n"
        "Its API calls are refused with 403 partner_not_active. Loans that were accepted are settled, and webhooks are "
        "delivered as before. Please contact us.\n"
    )
    assert "fraud" not in Event.objects.get().body + mail.text + mail.subject


@pytest.mark.django_db
def test_a_further_reason_and_a_reactivation_are_not_told_and_a_second_suspension_is() -> None:
    partner = PartnerFactory.create()
    for reason in ("one", "another"):
        services.suspend_partner(partner=partner, actor=staff("ann"), reason=reason)
    services.activate_partner(partner=partner, actor=staff("ann"))
    assert len(bodies(partner)) == 1
    services.suspend_partner(partner=partner, actor=staff("ann"))
    assert [body["type"] for body in bodies(partner)] == ["partner.suspended"] * 2
    assert OutgoingMail.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_suspension_that_is_rolled_back_is_told_to_nobody() -> None:
    partner = PartnerFactory.create()

    def suspend_and_fail() -> None:
        services.suspend_partner(partner=partner, actor=staff("ann"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        run_in_transaction(suspend_and_fail)
    assert (Event.objects.count(), OutgoingMail.objects.count()) == (0, 0)
    assert Partner.objects.get(pk=partner.pk).status == "ACTIVE"


# --- Keys ---


def key_that_expires(left: dt.timedelta, **fields: Any) -> ApiKey:
    return ApiKeyFactory.create(expires_at=NOW + left, **fields)


@pytest.mark.django_db
def test_a_key_that_expires_in_a_week_is_told_by_its_prefix() -> None:
    text = keys.generate("test", "sandbox").key
    key = key_that_expires(7 * 24 * HOUR, key=text, partner=PartnerFactory.create(partner_id="partner_a"))
    assert tasks.warn_of_expiring_keys() == 1
    assert data_of(key.partner, "api_key.expiring") == [
        {"partnerId": "partner_a", "prefix": text[:16], "expiresAt": "2026-01-12T09:30:00Z"}
    ]
    mail = OutgoingMail.objects.get()
    assert mail.subject == "An API key of partner_a expires at 2026-01-12T09:30:00Z"
    assert mail.text == (
        f"The API key {text[:16]}… of partner_a expires at 2026-01-12T09:30:00Z.\n\n"
        "Calls with it are refused with 401 expired_api_key from then on. Use another key before.\n"
    )
    told = Event.objects.get().body + mail.text + mail.subject
    assert text[16:] not in told
    assert key.key_hash not in told


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("left", "told"),
    [
        (dt.timedelta(days=7, milliseconds=1), 0),
        (dt.timedelta(days=7), 1),
        (dt.timedelta(milliseconds=1), 1),
        (dt.timedelta(0), 0),
        (-HOUR, 0),
    ],
)
def test_only_a_key_that_still_works_and_ends_within_the_week_is_told(left: dt.timedelta, told: int) -> None:
    key_that_expires(left)
    key_that_expires(left, revoked_at=NOW - HOUR)
    ApiKeyFactory.create()  # without an end
    assert notices.tell_expiring_keys() == told
    assert (Event.objects.count(), OutgoingMail.objects.count()) == (told, told)


@pytest.mark.django_db
def test_a_key_is_told_once_a_week_before_and_once_a_day_before(time: SimpleNamespace) -> None:
    key = key_that_expires(8 * 24 * HOUR)
    told = []
    for hour in range(0, 8 * 24 + 1, 12):
        time.at = NOW + hour * HOUR
        told += [hour] * notices.tell_expiring_keys()
    assert told == [24, 7 * 24]
    assert len(bodies(key.partner)) == OutgoingMail.objects.count() == 2


@pytest.mark.django_db
def test_a_key_that_ends_within_a_day_when_it_is_first_seen_is_told_once() -> None:
    partner = ApiKeyFactory.create().partner
    services.rotate_api_key(partner=partner, actor=staff("ann"), grace_hours=24)
    assert [notices.tell_expiring_keys() for _ in range(2)] == [1, 0]
    assert len(bodies(partner, "api_key.expiring")) == 1


@pytest.mark.django_db
def test_a_key_that_is_revoked_after_the_sweep_read_it_is_not_told() -> None:
    key = key_that_expires(HOUR)
    credentials.revoke_api_key(api_key=key, actor=staff("ann"))
    assert run_in_transaction(lambda: notices._tell_expiring(key, NOW)) == 0
    assert Event.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize(("days", "told"), [([30, 7], 1), ([14], 0), ([], 0)])
def test_the_days_are_a_setting(settings: Settings, days: list[int], told: int) -> None:
    settings.API_KEY_EXPIRY_WARNING_DAYS = days
    key_that_expires(20 * 24 * HOUR)
    assert notices.tell_expiring_keys() == told


@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_tell_a_key_once() -> None:
    key = key_that_expires(HOUR)
    assert sum(at_once(4, lambda _: notices.tell_expiring_keys())) == 1
    assert len(bodies(key.partner)) == OutgoingMail.objects.count() == 1


@pytest.mark.django_db
def test_one_key_that_cannot_be_told_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = key_that_expires(HOUR), key_that_expires(2 * HOUR)
    tell = notices._tell_expiring

    def fail_once(key: ApiKey, now: dt.datetime) -> int:
        if key.pk == first.pk:
            raise ValueError("a bug")
        return tell(key, now)

    monkeypatch.setattr(notices, "_tell_expiring", fail_once)
    assert notices.tell_expiring_keys() == 1
    assert (len(bodies(first.partner)), len(bodies(second.partner))) == (0, 1)
    assert f"warning of key {first.prefix} failed" in caplog.text


@pytest.mark.django_db
def test_the_objects_are_as_the_schema_describes_them() -> None:
    partner = PartnerFactory.create(daily_borrow_limit=1_000, current_outstanding=900)
    key_that_expires(HOUR, partner=partner)
    notices.tell_expiring_keys()
    services.update_partner(partner=partner, actor=staff("ann"), total_borrow_limit="900")
    services.suspend_partner(partner=partner, actor=staff("ann"))
    described: dict[str, tuple[Any, Any]] = {
        "api_key.expiring": (event_objects.ApiKeyExpiringObject, event_objects.API_KEY_EXPIRING_EXAMPLE),
        "partner.limit_warning": (event_objects.LimitWarningObject, event_objects.LIMIT_WARNING_EXAMPLE),
        "partner.suspended": (event_objects.SuspendedObject, event_objects.SUSPENDED_EXAMPLE),
    }
    for event_type, (serializer, example) in described.items():
        data = data_of(partner, event_type)
        assert data
        for one in [*data, example]:
            assert list(one) == list(serializer().fields), event_type
            assert json.loads(json.dumps(serializer(one).data)) == one
