"""The forms of a URL: every way to write an address that is not public is refused, at registration and at a request."""

from typing import Any

import pytest

from partner_platform.core.outside import Kind, OutsideError, UnsafeUrl, check_url
from partner_platform.core.outside.urls import read_url
from tests.core.outside.receivers import Names, outside_client

NOT_PUBLIC = "The URL's host is not a public address."
OTHER_NOTATION = "The URL's host is an address that is not written as 192.0.2.1 or [2001:db8::1]."
NO_DOMAIN = "The URL's host is not a public name: it has no domain."
NOT_ASCII = (
    "The URL must consist of printable ASCII characters without spaces and backslashes; "
    "international names are written in their xn-- form."
)
NOT_A_NAME = "The URL's host is not a host name."
NO_HTTPS = "The URL must begin with https://."
INVALID_HOST = "The URL has an invalid host or port."
USER_NAME = "The URL must not have a user name or password before its host."
FINAL_DOT = "The URL's host must not end with a dot."

REFUSED = [
    # Addresses as they are usually written.
    ("https://127.0.0.1/", NOT_PUBLIC),
    ("https://127.255.255.254/", NOT_PUBLIC),
    ("https://0.0.0.0/", NOT_PUBLIC),
    ("https://10.0.0.1/", NOT_PUBLIC),
    ("https://172.16.0.1/", NOT_PUBLIC),
    ("https://192.168.1.1/", NOT_PUBLIC),
    ("https://100.64.0.1/", NOT_PUBLIC),
    ("https://169.254.169.254/latest/meta-data/", NOT_PUBLIC),
    ("https://[::1]/", NOT_PUBLIC),
    ("https://[::]/", NOT_PUBLIC),
    ("https://[0:0:0:0:0:0:0:1]/", NOT_PUBLIC),
    ("https://[fe80::1]/", NOT_PUBLIC),
    ("https://[fd00:ec2::254]/", NOT_PUBLIC),
    ("https://[FD00:EC2::254]/", NOT_PUBLIC),
    # IPv4 in other notations, and with a dot at the end.
    ("https://2130706433/", OTHER_NOTATION),
    ("https://0177.0.0.1/", OTHER_NOTATION),
    ("https://017700000001/", OTHER_NOTATION),
    ("https://0x7f.1/", OTHER_NOTATION),
    ("https://0x7f000001/", OTHER_NOTATION),
    ("https://0X7F.0.0.0x1/", OTHER_NOTATION),
    ("https://127.1/", OTHER_NOTATION),
    ("https://127.0.1/", OTHER_NOTATION),
    ("https://0/", OTHER_NOTATION),
    ("https://127.0.0.01/", OTHER_NOTATION),
    ("https://127.0.0.1./", OTHER_NOTATION),
    ("https://2130706433./", OTHER_NOTATION),
    ("https://127.0.0.1../", OTHER_NOTATION),
    ("https://256.0.0.1/", OTHER_NOTATION),
    ("https://1.2.3.4.5/", OTHER_NOTATION),
    ("https://example.0x/", OTHER_NOTATION),
    ("https://4294967297/", OTHER_NOTATION),
    # IPv4 inside IPv6.
    ("https://[::ffff:127.0.0.1]/", NOT_PUBLIC),
    ("https://[::ffff:7f00:1]/", NOT_PUBLIC),
    ("https://[0:0:0:0:0:ffff:a9fe:a9fe]/", NOT_PUBLIC),
    ("https://[::127.0.0.1]/", NOT_PUBLIC),
    ("https://[64:ff9b::7f00:1]/", NOT_PUBLIC),
    ("https://[64:ff9b::169.254.169.254]/", NOT_PUBLIC),
    ("https://[64:ff9b:1::808:808]/", NOT_PUBLIC),
    ("https://[2002:7f00:1::]/", NOT_PUBLIC),
    ("https://[2002:a9fe:a9fe::1]/", NOT_PUBLIC),
    ("https://[2001:0:a9fe:a9fe::1]/", NOT_PUBLIC),
    ("https://[2001:0:808:808:0:0:80ff:fffe]/", NOT_PUBLIC),
    ("https://[fe80::1%25eth0]/", OTHER_NOTATION),
    ("https://[fe80::1%eth0]/", OTHER_NOTATION),
    ("https://[::1", INVALID_HOST),
    ("https://::1/", INVALID_HOST),
    ("https://[127.0.0.1]/", OTHER_NOTATION),
    ("https://[localhost]/", OTHER_NOTATION),
    ("https://[]/", OTHER_NOTATION),
    # Names.
    ("https://localhost/", NO_DOMAIN),
    ("https://LOCALHOST/", NO_DOMAIN),
    ("https://a.localhost/", NO_DOMAIN),
    ("https://redis/", NO_DOMAIN),
    ("https://localhost./", FINAL_DOT),
    ("https://example.com./", FINAL_DOT),
    ("https://.example.com/", NOT_A_NAME),
    ("https://a..example.com/", NOT_A_NAME),
    ("https://-a.example.com/", NOT_A_NAME),
    (f"https://{'a' * 64}.example.com/", NOT_A_NAME),
    (f"https://{'a.' * 124}example.com/", NOT_A_NAME),
    ("https://%6cocalhost/", NOT_A_NAME),
    ("https://127.0.0.1%2f.example.com/", NOT_A_NAME),
    ("https://127.0.0.1%00.example.com/", NOT_A_NAME),
    ("https://a;b.example.com/", NOT_A_NAME),
    ("https:///", "The URL has no host."),
    ("https://?a", "The URL has no host."),
    ("https://:443/", "The URL has no host."),
    # Characters that become digits, dots or letters where a name is prepared for DNS.
    ("https://①②⑦.⓪.⓪.①/", NOT_ASCII),
    ("https://127。0。0。1/", NOT_ASCII),
    ("https://\uff11\uff12\uff17.0.0.1/", NOT_ASCII),  # wide digits
    ("https://ⓛocalhost/", NOT_ASCII),
    ("https://exämple.com/", NOT_ASCII),
    ("https://exa\u00admple.com/", NOT_ASCII),
    ("https://example.com/\u202e", NOT_ASCII),
    # Two readings of where the host is.
    ("https://user@example.com/", USER_NAME),
    ("https://user:password@example.com/", USER_NAME),
    ("https://example.com@127.0.0.1/", USER_NAME),
    ("https://@example.com/", USER_NAME),
    ("https://example.com:443@127.0.0.1/", USER_NAME),
    ("https://127.0.0.1\\@example.com/", NOT_ASCII),
    ("https://example.com\\.evil.example/", NOT_ASCII),
    ("https://example.com /", NOT_ASCII),
    (" https://example.com/", NOT_ASCII),
    ("https://example.com/\r\nX-Injected: 1", NOT_ASCII),
    ("https://exam\tple.com/", NOT_ASCII),
    ("https://example.com/\x00", NOT_ASCII),
    ("https://example.com/\x7f", NOT_ASCII),
    ("https://example.com/#fragment", "The URL must not have a fragment (#)."),
    ("https://example.com#@127.0.0.1/", "The URL must not have a fragment (#)."),
    ("https://example.com/#", "The URL must not have a fragment (#)."),
    # Schemes and ports.
    ("http://example.com/", NO_HTTPS),
    ("http://8.8.8.8/", NO_HTTPS),
    ("http://127.0.0.1/", NOT_PUBLIC),
    ("ftp://example.com/", NO_HTTPS),
    ("file:///etc/passwd", NO_HTTPS),
    ("gopher://127.0.0.1:6379/_FLUSHALL", NO_HTTPS),
    ("//example.com/", NO_HTTPS),
    ("https:/example.com/", NO_HTTPS),
    ("https:example.com", NO_HTTPS),
    ("example.com", NO_HTTPS),
    ("", NO_HTTPS),
    ("https://example.com:0/", INVALID_HOST),
    ("https://example.com:65536/", INVALID_HOST),
    ("https://example.com:/", INVALID_HOST),
    ("https://example.com:+443/", INVALID_HOST),
    ("https://example.com:443:80/", INVALID_HOST),
    (f"https://example.com/{'a' * 481}", "The URL is longer than 500 characters."),
]


@pytest.mark.parametrize(("url", "sentence"), REFUSED)
def test_a_url_of_this_form_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(UnsafeUrl) as refused:
        check_url(url)
    assert str(refused.value) == sentence


def test_no_such_url_is_requested_and_no_name_of_it_looked_up() -> None:
    names = Names()
    with outside_client(names, allowed_networks=[]) as client:
        for url, sentence in REFUSED:
            with pytest.raises(OutsideError) as refused:
                client.post(url, body=b"{}", headers={})
            assert (refused.value.kind, str(refused.value)) == (Kind.UNSAFE, sentence)
    assert names.asked == []


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://example.com", ("https", "example.com", 443, "/")),
        ("HTTPS://EXAMPLE.com/Path", ("https", "example.com", 443, "/Path")),
        ("https://hooks.example.com:8443/a/b?c=d&e=%20", ("https", "hooks.example.com", 8443, "/a/b?c=d&e=%20")),
        ("https://example.com?a@b", ("https", "example.com", 443, "/?a@b")),
        ("https://xn--exmple-cua.com/", ("https", "xn--exmple-cua.com", 443, "/")),
        ("https://a_b.example.com:1/", ("https", "a_b.example.com", 1, "/")),
        ("https://1a.example.com/", ("https", "1a.example.com", 443, "/")),
        ("https://8.8.8.8/", ("https", "8.8.8.8", 443, "/")),
        ("https://[2606:4700::1111]:65535/", ("https", "2606:4700::1111", 65535, "/")),
        (f"https://example.com/{'a' * 480}", ("https", "example.com", 443, "/" + "a" * 480)),
    ],
)
def test_a_public_url_is_taken_and_read(url: str, read: tuple[Any, ...]) -> None:
    check_url(url)
    destination = read_url(url, ())
    assert (destination.scheme, destination.host, destination.port, destination.path) == read


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/",
        "http://[::1]:8000/",
        "http://[::ffff:127.0.0.1]/",
        "https://127.0.0.1/",
        "http://localhost/",
        "https://localhost/",
    ],
)
def test_the_sandbox_takes_urls_of_this_machine_and_without_tls(settings: Any, url: str) -> None:
    with pytest.raises(UnsafeUrl):
        check_url(url)
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8", "::1/128"]
    check_url(url)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://10.0.0.1/", NOT_PUBLIC),
        ("https://10.0.0.1/", NOT_PUBLIC),
        ("http://8.8.8.8/", NO_HTTPS),
        ("http://example.com/", NO_HTTPS),
        ("http://2130706433/", OTHER_NOTATION),
        ("http://127.0.0.1@10.0.0.1/", USER_NAME),
    ],
)
def test_the_sandbox_refuses_all_others(settings: Any, url: str, sentence: str) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8", "::1/128"]
    with pytest.raises(UnsafeUrl) as refused:
        check_url(url)
    assert str(refused.value) == sentence
