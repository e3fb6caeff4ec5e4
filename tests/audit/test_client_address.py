"""Who called, whatever the caller writes into its headers."""

import pytest

from audit.calls.client_address import client_address

PROXIES = ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        # Without proxies of ours the peer is the caller, whatever it claims.
        ("203.0.113.9", "", [], "203.0.113.9"),
        ("203.0.113.9", "1.2.3.4", [], "203.0.113.9"),
        ("203.0.113.9", "1.2.3.4", PROXIES, "203.0.113.9"),
        # Behind a proxy: what the proxy appended.
        ("10.0.0.1", "203.0.113.9", PROXIES, "203.0.113.9"),
        ("10.0.0.1", "", PROXIES, "10.0.0.1"),
        # The caller's own claims stand on the left and do not count.
        ("10.0.0.1", "1.2.3.4, 203.0.113.9", PROXIES, "203.0.113.9"),
        ("10.0.0.1", "127.0.0.1, 203.0.113.9, 10.0.0.2", PROXIES, "203.0.113.9"),
        ("10.0.0.1", "10.9.9.9, 203.0.113.9", PROXIES, "203.0.113.9"),
        # All of them proxies: the farthest.
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", PROXIES, "10.0.0.3"),
        # Nothing is vouched for beyond something unreadable.
        ("10.0.0.1", "1.2.3.4, nonsense, 10.0.0.2", PROXIES, "10.0.0.2"),
        ("10.0.0.1", "1.2.3.4, <script>", PROXIES, "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4,", PROXIES, "10.0.0.1"),
        # IPv6, and IPv4 as a dual-stack socket shows it.
        ("fd00::1", "2001:db8::9", PROXIES, "2001:db8::9"),
        ("::ffff:10.0.0.1", "203.0.113.9", PROXIES, "203.0.113.9"),
        ("::ffff:203.0.113.9", "1.2.3.4", PROXIES, "203.0.113.9"),
        ("fe80::1%eth0", "", [], "fe80::1"),
        # A Unix socket has no address.
        ("", "1.2.3.4", PROXIES, None),
        (None, "", [], None),
    ],
)
def test_the_client_is_the_first_hop_from_the_right_that_is_not_ours(
    peer: str | None, forwarded: str, proxies: list[str], expected: str | None
) -> None:
    meta = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(meta, proxies) == expected
