"""From where a partner's calls may come."""

from typing import Any

import pytest
from django.test import Client

from partner_platform.core.errors import BadRequest
from partners import services
from tests.factories import PartnerFactory, partner_with_key

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.urls")]


def call(key: str, peer: str, forwarded: str = "") -> Any:
    return Client().get(
        "/partners/whoami",
        headers={"Authorization": f"Bearer {key}"},
        REMOTE_ADDR=peer,
        HTTP_X_FORWARDED_FOR=forwarded,
    )


@pytest.fixture
def key() -> str:
    partner, key = partner_with_key()
    services.update_partner(
        partner=partner, actor="test", ip_allow_list=["203.0.113.0/24", "198.51.100.5", "2001:db8::/32"]
    )
    return key


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        ("203.0.113.200", 200),
        ("203.0.114.1", 403),
        ("198.51.100.5", 200),
        ("198.51.100.6", 403),
        ("::ffff:198.51.100.5", 200),
        ("2001:db8:ffff::1", 200),
        ("2001:db9::1", 403),
        ("", 403),
    ],
)
def test_only_the_addresses_on_the_list_come_in(key: str, peer: str, status: int) -> None:
    answer = call(key, peer)
    assert answer.status_code == status
    if status == 403:
        assert (answer.json()["code"], answer.json()["message"]) == ("ip_not_allowed", "IP not whitelisted")


def test_a_forwarding_header_is_believed_behind_a_trusted_proxy_only(key: str, settings: Any) -> None:
    assert call(key, "10.0.0.1", "203.0.113.7").status_code == 403
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert call(key, "10.0.0.1", "203.0.113.7").status_code == 200
    assert call(key, "10.0.0.1", "203.0.113.7, 192.0.2.1").status_code == 403  # what the caller claims of itself
    assert call(key, "10.0.0.1").status_code == 403


def test_without_a_list_calls_come_from_anywhere() -> None:
    _, key = partner_with_key()
    assert call(key, "192.0.2.1").status_code == 200


def test_a_list_is_stored_as_networks_and_audited() -> None:
    partner = PartnerFactory.create()
    updated = services.update_partner(
        partner=partner, actor="test", ip_allow_list=["198.51.100.5", "198.51.100.5/32", "2001:DB8::/32"]
    )
    assert updated.ip_allow_list == ["198.51.100.5/32", "2001:db8::/32"]


@pytest.mark.parametrize(
    "wrong", ["203.0.113.0/24", [1], ["203.0.113.7/24"], ["host.example"], ["1.2.3.4"] * 101, [""]]
)
def test_what_is_no_list_of_networks_is_refused_by_name(wrong: Any) -> None:
    partner = PartnerFactory.create()
    with pytest.raises(BadRequest) as refused:
        services.update_partner(partner=partner, actor="test", ip_allow_list=wrong)
    assert list(refused.value.details) == ["ipWhitelist"]
