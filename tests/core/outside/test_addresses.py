"""The address that a name resolves to, checked when the connection is made."""

import ipaddress
import socket
from typing import Any

import pytest

from partner_platform.core.outside import Kind, OutsideError
from partner_platform.core.outside.addresses import is_public_address
from tests.core.outside.receivers import JSON, OK, Names, answering, outside_client, receiver

REFUSED = [
    *("0.0.0.0", "0.255.255.255", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255"),  # noqa: S104
    *("127.0.0.1", "127.255.255.255", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1"),
    *("172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1"),
    *("198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    *("255.255.255.255", "168.63.129.16"),
    *("::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "fdff::1", "ff02::1", "ff0e::1"),
    *("100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "5f00::1", "4000::1"),
    *("::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8"),
    *("2002:7f00:1::1", "2002:a9fe:a9fe::", "2002:808:808::1"),  # 6to4 is refused altogether
    *("2001:0:4136:e378:8000:63bf:f5ff:fffe", "2001:0:808:808::1"),  # and so is Teredo
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255"),
    *("192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17"),
    *("2000::1", "2001:200::1", "2606:4700:4700::1111", "2a00:1450:4001::1", "2003::1", "3ffe::1"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
]


@pytest.mark.parametrize("address", REFUSED)
def test_this_address_is_not_public(address: str) -> None:
    assert not is_public_address(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_this_address_is_public(address: str) -> None:
    assert is_public_address(ipaddress.ip_address(address))


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where sockets were connected to."""
    places: list[Any] = []
    connect = socket.socket.connect

    def note(self: socket.socket, place: Any) -> None:
        places.append(place)
        connect(self, place)

    monkeypatch.setattr(socket.socket, "connect", note)
    return places


def test_a_name_that_resolves_to_such_an_address_is_not_connected_to(connected: list[Any]) -> None:
    names = Names()
    with outside_client(names, allowed_networks=[]) as client:
        for address in REFUSED:
            names.names["hooks.example.com."] = [address]
            with pytest.raises(OutsideError) as refused:
                client.post("https://hooks.example.com/", body=b"{}", headers=JSON)
            assert refused.value.kind is Kind.UNSAFE
            assert str(refused.value) == "The name hooks.example.com has an address that is not public."
    assert connected == []


@pytest.mark.parametrize("answer", [["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["2606:4700::1", "::1"]])
def test_one_address_that_is_not_public_refuses_the_name(connected: list[Any], answer: list[str]) -> None:
    names = Names({"hooks.example.com.": answer})
    with outside_client(names, allowed_networks=[]) as client, pytest.raises(OutsideError) as refused:
        client.post("https://hooks.example.com/", body=b"{}", headers=JSON)
    assert refused.value.kind is Kind.UNSAFE
    assert connected == []


def test_dns_that_changes_its_answer_after_the_check_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer is an address that may be connected to, each later one an address that may not."""
    names = Names({"localhost": ["127.0.0.1"]})
    with receiver(answering(OK)) as good, receiver(answering(OK), host="127.0.0.2", port=good.port) as inside:

        def look_up(name: str, *args: Any) -> list[tuple[Any, ...]]:
            answer = names(name)
            names.names["localhost"] = ["127.0.0.2"]
            return answer

        monkeypatch.setattr(socket, "getaddrinfo", look_up)  # whoever else looks a name up
        with outside_client(look_up, allowed_networks=["127.0.0.1/32"]) as client:  # type: ignore[arg-type]
            url = f"http://localhost:{good.port}/hook"
            assert client.post(url, body=b"{}", headers=JSON).status == 200
            assert names.asked == ["localhost"]
            assert client.post(url, body=b"{}", headers=JSON).status == 200  # on the kept connection
            assert names.asked == ["localhost"]
            client.close()
            with pytest.raises(OutsideError) as refused:
                client.post(url, body=b"{}", headers=JSON)
        assert refused.value.kind is Kind.UNSAFE
        assert (good.connections, len(good.requests)) == (1, 2)
        assert inside.connections == 0


def test_without_tls_only_the_allowed_networks_are_connected_to(connected: list[Any]) -> None:
    with outside_client(Names({"receiver": ["8.8.8.8"]})) as client, pytest.raises(OutsideError) as refused:
        client.post("http://receiver/", body=b"{}", headers=JSON)
    assert refused.value.kind is Kind.UNSAFE
    assert connected == []


def test_the_settings_say_which_networks_are_allowed(settings: Any) -> None:
    with receiver(answering(OK)) as listening:
        with outside_client(allowed_networks=None) as client, pytest.raises(OutsideError) as refused:
            client.post(listening.url, body=b"{}", headers=JSON)
        assert refused.value.kind is Kind.UNSAFE
        assert listening.connections == 0
        settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
        with outside_client(allowed_networks=None) as client:
            assert client.post(listening.url, body=b"{}", headers=JSON).status == 200
