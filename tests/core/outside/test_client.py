"""A request to a real server with TLS: what is sent, what comes back, and whom the client believes."""

import gzip
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from partner_platform.core.outside import Kind, OutsideError, Response
from tests.core.outside.certificates import Authority
from tests.core.outside.receivers import JSON, OK, Caller, Names, Receiver, answering, outside_client, receiver

HOST = "hooks.example.com"
NAMES = {f"{HOST}.": ["127.0.0.1"], "receiver": ["127.0.0.1"]}


@pytest.fixture
def secure(authority: Authority, tmp_path: Path) -> Iterator[Receiver]:
    """A server with TLS that answers OK, for hooks.example.com."""
    with receiver(answering(OK)) as listening:
        listening.tls = authority.server_context(tmp_path, HOST)
        yield listening


def url_of(listening: Receiver, path: str = "/hook", host: str = HOST) -> str:
    return f"https://{host}:{listening.port}{path}"


def refusal(listening: Receiver, url: str = "", **options: Any) -> tuple[Kind, str]:
    """How a post to hooks.example.com, or to `url`, failed."""
    with outside_client(Names(NAMES), **options) as client, pytest.raises(OutsideError) as refused:
        client.post(url or url_of(listening), body=b"{}", headers=JSON)
    return refused.value.kind, str(refused.value)


def test_a_post_is_sent_as_given_and_its_response_returned(secure: Receiver, authority: Authority) -> None:
    asked: list[str] = []
    secure.tls.sni_callback = lambda sock, name, context: asked.append(name)
    with outside_client(Names(NAMES), certificate_authorities=authority.pem) as client:
        response = client.post(
            url_of(secure, "/a?b=%20c"), body=b'{"id": 1}', headers={**JSON, "webhook-id": "msg_1", "User-Agent": "p/1"}
        )
    assert response == Response(200, {"content-length": "2"}, b"ok", response.duration_ms)
    assert 0 <= response.duration_ms < 10_000
    assert asked == [HOST]
    [request] = secure.requests
    assert request.split(b"\r\n\r\n") == [
        b"POST /a?b=%%20c HTTP/1.1\r\nHost: hooks.example.com:%d\r\nAccept-Encoding: identity\r\nContent-Length: 9\r\n"
        b"User-Agent: p/1\r\nContent-Type: application/json\r\nwebhook-id: msg_1" % secure.port,
        b'{"id": 1}',
    ]


def test_an_address_needs_a_certificate_for_it(authority: Authority, tmp_path: Path) -> None:
    with receiver(answering(OK)) as listening:
        listening.tls = authority.server_context(tmp_path, "127.0.0.1")
        with outside_client(certificate_authorities=authority.pem) as client:
            assert client.post(url_of(listening, host="127.0.0.1"), body=b"", headers=JSON).status == 200
        listening.tls = authority.server_context(tmp_path, HOST)
        with outside_client(certificate_authorities=authority.pem) as client, pytest.raises(OutsideError) as refused:
            client.post(url_of(listening, host="127.0.0.1"), body=b"", headers=JSON)
    assert refused.value.kind is Kind.TLS
    assert len(listening.requests) == 1


def test_a_certificate_for_another_name_is_refused(authority: Authority, tmp_path: Path) -> None:
    with receiver(answering(OK)) as listening:
        listening.tls = authority.server_context(tmp_path, "other.example.com")
        kind, sentence = refusal(listening, certificate_authorities=authority.pem)
    assert kind is Kind.TLS
    assert sentence == (
        "The certificate of hooks.example.com is refused: "
        "Hostname mismatch, certificate is not valid for 'hooks.example.com'."
    )
    assert listening.requests == []


def test_an_expired_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    with receiver(answering(OK)) as listening:
        listening.tls = authority.server_context(tmp_path, HOST, expired=True)
        kind, sentence = refusal(listening, certificate_authorities=authority.pem)
    assert (kind, sentence) == (Kind.TLS, f"The certificate of {HOST} is refused: certificate has expired.")
    assert listening.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(secure: Receiver) -> None:
    for options in ({}, {"certificate_authorities": Authority().pem}):
        kind, sentence = refusal(secure, **options)
        assert kind is Kind.TLS
        assert sentence.startswith(f"The certificate of {HOST} is refused: ")
    assert secure.requests == []


def test_tls_before_version_1_2_is_refused(secure: Receiver, authority: Authority) -> None:
    secure.tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        secure.tls.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        secure.tls.maximum_version = ssl.TLSVersion.TLSv1_1
    assert refusal(secure, certificate_authorities=authority.pem) == (Kind.TLS, f"TLS with {HOST} failed.")
    assert secure.requests == []


def test_a_server_without_tls_is_refused(authority: Authority) -> None:
    with receiver(lambda caller: caller.send(OK)) as listening:
        kind, _ = refusal(listening, certificate_authorities=authority.pem)
    assert kind is Kind.TLS


def test_a_name_without_an_address_is_told(secure: Receiver) -> None:
    with outside_client(Names()) as client, pytest.raises(OutsideError) as refused:
        client.post(url_of(secure), body=b"{}", headers=JSON)
    assert refused.value.kind is Kind.DNS
    assert str(refused.value) == f"The name {HOST} could not be looked up, or has no address."


def test_a_name_with_an_empty_answer_is_told(secure: Receiver) -> None:
    with outside_client(Names({f"{HOST}.": []})) as client, pytest.raises(OutsideError) as refused:
        client.post(url_of(secure), body=b"{}", headers=JSON)
    assert refused.value.kind is Kind.DNS


def test_the_next_address_is_tried_where_one_takes_no_connection(secure: Receiver, authority: Authority) -> None:
    names = Names({f"{HOST}.": ["127.0.0.3", "::1", "127.0.0.1"]})
    with outside_client(names, certificate_authorities=authority.pem) as client:
        assert client.post(url_of(secure), body=b"{}", headers=JSON).status == 200
    assert names.asked == [f"{HOST}."]


def test_where_no_address_takes_a_connection_it_is_told() -> None:
    with receiver(answering(OK)) as closed:
        pass
    assert refusal(closed) == (Kind.CONNECT, f"{HOST} could not be connected to.")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_response_and_not_followed(status: int) -> None:
    with receiver(answering(OK)) as inside:
        location = f"Location: {inside.url}".encode()
        redirect = b"HTTP/1.1 %d Elsewhere\r\n%s\r\nContent-Length: 0\r\n\r\n" % (status, location)
        with receiver(answering(redirect)) as listening, outside_client() as client:
            response = client.post(listening.url, body=b"{}", headers=JSON)
    assert (response.status, response.headers["location"], response.body) == (status, inside.url, b"")
    assert inside.connections == 0


def test_no_proxy_of_the_environment_is_used(
    secure: Receiver, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver(answering(OK)) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        with outside_client(Names(NAMES), certificate_authorities=authority.pem) as client:
            assert client.post(url_of(secure), body=b"{}", headers=JSON).status == 200
    assert proxy.connections == 0


def test_a_compressed_body_stays_compressed() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with receiver(answering(head + bomb)) as listening, outside_client() as client:
        response = client.post(listening.url, body=b"{}", headers=JSON)
    assert response.body == bomb
    assert len(bomb) < 10_000


def test_headers_are_in_lower_case_joined_and_printable() -> None:
    head = b"HTTP/1.1 429 Slow\r\nRetry-After: 5\r\nX-A: 1\r\nx-a: 2\r\nX-B: a\x00\x1b[2Jb\r\nContent-Length: 0\r\n\r\n"
    with receiver(answering(head)) as listening, outside_client() as client:
        response = client.post(listening.url, body=b"{}", headers=JSON)
    assert response.headers == {"retry-after": "5", "x-a": "1, 2", "x-b": r"a\x00\x1b[2Jb", "content-length": "0"}


def test_an_error_tells_neither_the_url_nor_where_its_host_is() -> None:
    def garbage(caller: Caller) -> None:
        caller.read_request()
        caller.send(b"secret bytes\r\n\r\n")

    with receiver(garbage) as listening:
        kind, sentence = refusal(listening, url=f"http://receiver:{listening.port}/?token=s3cret")
    assert kind is Kind.PROTOCOL
    assert sentence == "receiver sent something that is not a response of HTTP/1.1."


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\rb"])
def test_a_header_that_would_be_two_is_a_mistake_of_ours_and_not_sent(value: str) -> None:
    with receiver(answering(OK)) as listening, outside_client() as client:
        for _ in range(2):
            with pytest.raises(ValueError, match="Invalid header value"):
                client.post(listening.url, body=b"{}", headers={"X-A": value})
    assert listening.requests == []
