"""What is a request and what is refused, in the bytes of a connection: framing, sizes, the answers' envelope."""

import json
import socket

import pytest

from partner_platform.server.channel import Channel
from tests.server.conftest import Serve, echo

GET = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST /partners/borrow HTTP/1.1\r\nHost: a\r\n"
KIB = 1024

REFUSED = {
    "no request": (b"GARBAGE\r\n\r\n", 400, "invalid_request"),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "invalid_request"),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400, "invalid_request"),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400, "invalid_request"),
    "a lower-case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid_request"),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "invalid_request"),
    "a bare line feed in a header": (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, "invalid_request"),
    "a length that is no number": (POST + b"Content-Length: +5\r\n\r\n", 400, "invalid_request"),
    "a negative length": (POST + b"Content-Length: -5\r\n\r\n", 400, "invalid_request"),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "invalid_request"),
    "length and chunks": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "invalid_request",
    ),
    "chunks and length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
        "invalid_request",
    ),
    "chunks in HTTP/1.0": (
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "invalid_request",
    ),
    "another encoding": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501, "encoding_not_supported"),
    "an encoding in disguise": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400, "invalid_request"),
    "two encodings": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "encoding_not_supported"),
    "a chunk's size that is none": (POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\n", 400, "invalid_request"),
    "a chunk with no end": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400, "invalid_request"),
    "a length beyond 64 KiB": (POST + b"Content-Length: 65537\r\n\r\n", 413, "payload_too_large"),
    "a length beyond all": (POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 413, "payload_too_large"),
    "one too large that waits to be asked for": (
        POST + b"Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n",
        413,
        "payload_too_large",
    ),
    "chunks beyond 64 KiB": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n10001\r\n" + b"x" * 65537 + b"\r\n0\r\n\r\n",
        413,
        "payload_too_large",
    ),
    "chunks of one byte": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 30_000,
        413,
        "payload_too_large",
    ),
    "a target that is no URL": (b"GET http://[::1/partners HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid_request"),
    "a target with a host that is none": (b"GET http://[x]/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid_request"),
    "a target that is not ASCII": (b"GET http://h\xff/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid_request"),
    "a long line": (b"GET /" + b"x" * 9 * KIB + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
    "a line without end": (b"GET /" + b"x" * 40 * KIB, 414, "uri_too_long"),
    "a large header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 17 * KIB + b"\r\n\r\n", 431, "headers_too_large"),
    "headers without end": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4 * KIB, 431, "headers_too_large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_request_is_refused_in_the_envelope_and_nothing_after_it_is_read(serve: Serve, name: str) -> None:
    data, status, code = REFUSED[name]
    calls = []

    def watched(environ, start_response):
        calls.append(environ["PATH_INFO"])
        return echo(environ, start_response)

    caller = serve(watched).call(data + GET)

    answer = caller.answer()
    assert (answer.status, answer.envelope["code"]) == (status, code)
    assert set(answer.envelope) == {
        *("success", "statusCode", "error", "message", "code", "requestId", "retryable", "details"),
        *(("errors",) if code == "invalid_request" else ()),
    }
    assert answer.headers["X-Request-Id"] == answer.envelope["requestId"]
    assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == ("application/json", "no-store")
    assert "Server" not in answer.headers
    assert caller.is_closed()
    assert calls == []


def test_a_body_that_is_too_large_is_thrown_away_so_that_its_sender_reads_why(serve: Serve) -> None:
    hidden = b"GET /partners/my/stats HTTP/1.1\r\nHost: a\r\n\r\n"
    body = (hidden * 8000)[: 200 * KIB]
    caller = serve(echo).call(POST + b"Content-Length: %d\r\n\r\n" % len(body))

    caller.send(body)

    assert caller.answer().status == 413
    assert caller.is_closed()


def test_64_kib_are_taken_whole_or_in_chunks(serve: Serve) -> None:
    running, body = serve(echo), b"x" * 64 * KIB
    chunk = b"%x\r\n%s\r\n" % (len(body), body)

    whole = running.call(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body).answer()
    chunked = running.call(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n").answer()

    assert (whole.status, json.loads(whole.body)["body"]) == (200, body.decode())
    assert whole.body == chunked.body


def test_a_chunked_body_reaches_the_application_as_one_with_its_length(serve: Serve) -> None:
    chunks = b'5\r\n{"a":\r\n3;name="value"\r\n 1}\r\n0\r\nTrailer: x\r\n\r\n'
    caller = serve(echo).call(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + GET)

    told = json.loads(caller.answer().body)

    assert (told["body"], told["length"]) == ('{"a": 1}', "8")
    assert json.loads(caller.answer().body)["path"] == "/next"


def test_a_body_that_the_application_does_not_read_is_not_read_as_the_next_request(serve: Serve) -> None:
    def deaf(environ, start_response):
        start_response("405 Method Not Allowed", [("Content-Length", "0")])
        return [b""]

    hidden = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
    caller = serve(deaf).call(POST + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden + GET)

    assert [caller.answer().status, caller.answer().status] == [405, 405]
    assert caller.is_closed()


def test_the_answer_to_head_has_no_body_and_the_length_of_one(serve: Serve) -> None:
    caller = serve(echo).call(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)

    head = caller.answer(has_body=False)

    assert (head.status, int(head.headers["Content-Length"]) > 0) == (200, True)
    assert json.loads(caller.answer().body)["path"] == "/next"


def test_a_client_that_asks_first_is_told_to_go_on(serve: Serve) -> None:
    caller = serve(echo).call(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert caller._read.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert caller._read.readline() == b"\r\n"
    assert json.loads(caller.send(b"{}").answer().body)["body"] == "{}"


@pytest.mark.parametrize("name", [b"SCRIPT_NAME", b"Script-Name", b"Script_Name", b"HTTP_SCRIPT_NAME", b"PATH_INFO"])
def test_no_header_says_what_the_path_is(serve: Serve, name: bytes) -> None:
    request = b"GET /x/partners/my/stats HTTP/1.1\r\nHost: a\r\n%s: /x\r\n\r\n" % name

    told = json.loads(serve(echo).call(request).answer().body)

    assert (told["scriptName"], told["path"]) == ("", "/x/partners/my/stats")


def test_an_application_that_raises_is_500_in_the_envelope(serve: Serve) -> None:
    def broken(environ, start_response):
        raise RuntimeError("a secret of ours")

    answer = serve(broken).call(GET).answer()

    assert (answer.status, answer.envelope["code"]) == (500, "internal_error")
    assert b"secret" not in answer.body


def test_an_urgent_byte_wakes_nobody(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[Channel] = []

    def note(channel: Channel) -> None:
        woken.append(channel)

    monkeypatch.setattr(Channel, "handle_expt_event", note)
    running = serve(echo)
    running.call(b"GET / HT").socket.send(b"!", socket.MSG_OOB)

    assert [running.call(GET).answer().status for _ in range(3)] == [200, 200, 200]

    assert woken == []


def test_headers_are_spelt_as_the_application_spells_them(serve: Serve) -> None:
    def named(environ, start_response):
        start_response(
            "200 OK", [("RateLimit", '"basic";r=1'), ("WWW-Authenticate", "Bearer"), ("Content-Length", "0")]
        )
        return [b""]

    answer = serve(named).call(GET).answer()

    assert (answer.headers["RateLimit"], answer.headers["WWW-Authenticate"]) == ('"basic";r=1', "Bearer")
    assert answer.headers["Content-Length"] == "0"
