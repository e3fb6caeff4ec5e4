"""An address over its limit is answered where connections are read: without a worker, a query or a round trip."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django_redis import get_redis_connection

from audit.calls import refused_calls
from audit.models import ApiLog
from partner_platform.core.errors import ErrorCode, TooManyRequests
from partner_platform.core.web import api_versions, turning_away
from partners.refusals import live_keys
from partners.refusals.counting import refusals
from tests.factories import ApiKeyFactory, partner_with_key
from tests.server.conftest import PATIENCE, Answer, Caller, Running, Serve
from tests.server.test_platform import STATS, closing_connections, request

pytestmark = [pytest.mark.django_db(transaction=True)]

LIMIT = 3
HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def the_limit(settings: Any) -> None:
    get_redis_connection("default").flushdb()
    settings.RATE_LIMIT_REFUSED = LIMIT


class Counted:
    """The platform, counting the requests that reach it."""

    def __init__(self) -> None:
        self._application = closing_connections(get_wsgi_application())
        self.calls = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.calls += 1
        return list(self._application(environ, start_response))


@pytest.fixture
def platform() -> Counted:
    return Counted()


@pytest.fixture
def limited(serve: Serve, platform: Counted, monkeypatch: pytest.MonkeyPatch) -> Running:
    """A server whose only caller is over its limit, within the second in which nothing is sent to Redis."""
    running = serve(platform)
    assert [running.call(request("GET", STATS)).answer().status for _ in range(LIMIT + 1)] == [401] * LIMIT + [429]
    refused_calls.pending.push_due()
    monkeypatch.setattr(refused_calls.pending, "_due", float("inf"))
    platform.calls = 0
    return running


def ask(running: Running, data: bytes) -> Answer:
    return running.call(data).answer()


@pytest.mark.parametrize(
    "data",
    [
        request("GET", STATS),
        request("GET", STATS, Authorization="Bearer nonsense"),
        request("POST", "/partners/nothing", b'{"a": 1}'),
        request("GET", "/partners/public/status"),
        request("GET", "/wp-admin.php"),
    ],
    ids=["no key", "no key's form", "a body", "a public path", "a path outside the API"],
)
def test_its_calls_do_not_reach_the_platform_and_the_connection_ends(
    limited: Running, platform: Counted, data: bytes
) -> None:
    rows, caller = ApiLog.objects.count(), limited.call(data)
    assert (answer := caller.answer()).status == 429
    assert answer.envelope["code"] == "address_rate_limited"
    assert caller.is_closed()
    assert (platform.calls, ApiLog.objects.count()) == (0, rows)


def test_the_answer_is_the_one_that_the_platform_would_give(limited: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    data = request("GET", STATS, X__Request__Id="mine-1")
    unread = ask(limited, data)
    monkeypatch.setattr(turning_away, "_deciders", [])
    read = ask(limited, data)

    own = {"X-Request-Id", "Date", "Retry-After", "Connection", "Content-Length"}
    assert {name: value for name, value in unread.headers.items() if name not in own} == {
        name: value for name, value in read.headers.items() if name not in own
    }
    assert unread.headers["X-Client-Request-Id"] == "mine-1"
    assert unread.headers["API-Version"] == api_versions.current()
    assert unread.headers["X-Request-Id"] == unread.envelope["requestId"] != read.envelope["requestId"]
    assert 1 <= int(unread.headers["Retry-After"]) <= 60
    assert {**unread.envelope, "requestId": ""} == {**read.envelope, "requestId": ""}


def test_a_key_that_works_passes_also_where_only_a_new_reading_of_the_keys_could_tell(
    limited: Running, platform: Counted
) -> None:
    partner, key = partner_with_key()
    live_keys.live_keys.forget()
    assert ask(limited, request("GET", STATS, Authorization=f"Bearer {key}")).status == 200
    newer = "pk_xyz_sandbox_" + "b" * 32
    ApiKeyFactory(partner=partner, key=newer)
    live_keys.live_keys._next_reading = 0.0
    assert ask(limited, request("GET", STATS, Authorization=f"Bearer {newer}")).status == 200
    assert platform.calls == 2


def test_a_made_up_key_is_turned_away_unread_while_the_keys_read_last_are_fresh(
    limited: Running, platform: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_keys.live_keys.has("")
    monkeypatch.setattr(live_keys.live_keys, "_next_reading", float("inf"))
    made_up = "pk_xyz_sandbox_" + "a" * 32
    assert ask(limited, request("GET", STATS, Authorization=f"Bearer {made_up}")).status == 429
    assert platform.calls == 0


def test_health_and_console_are_answered(limited: Running) -> None:
    assert [ask(limited, request("GET", path)).status for path in ("//health/live", "/console/login/")] == [200, 200]


def test_each_is_counted_and_what_is_due_for_redis_takes_a_thread(
    limited: Running, platform: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        ask(limited, request("GET", STATS))
    assert (sum(refused_calls.pending._calls.values()), platform.calls) == (5, 0)
    monkeypatch.setattr(refused_calls.pending, "_due", 0.0)
    assert ask(limited, request("GET", STATS)).status == 429
    assert platform.calls == 1
    counts = get_redis_connection("default").hvals(refused_calls.OPEN)
    assert sum(map(int, counts)) == 1 + 5  # the sixth is told with the next


def test_behind_a_proxy_each_client_has_its_own_limit_and_others_pass(
    serve: Serve, platform: Counted, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.0/8"]
    running = serve(platform)
    hostile = request("GET", STATS, X__Forwarded__For="203.0.113.9")
    assert [ask(running, hostile).status for _ in range(LIMIT + 2)] == [401] * LIMIT + [429] * 2
    assert ask(running, request("GET", STATS, X__Forwarded__For="203.0.113.10")).status == 401


def test_of_whoever_is_no_proxy_of_ours_a_forwarding_header_says_nothing(limited: Running, platform: Counted) -> None:
    assert ask(limited, request("GET", STATS, X__Forwarded__For="203.0.113.10")).status == 429
    assert platform.calls == 0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_it_is_answered_while_all_threads_of_the_server_are_taken(serve: Serve, gate: threading.Event) -> None:
    begun = threading.Semaphore(0)

    def waits(_environ: Any, start_response: Any) -> list[bytes]:
        begun.release()
        gate.wait(PATIENCE)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    running = serve(waits, threads=1)
    busy = running.call(request("GET", "/console/"))
    assert begun.acquire(timeout=PATIENCE)
    refusals.forget()
    for _ in range(LIMIT + 1):
        refusals.count(HERE)
    assert ask(running, request("GET", STATS)).status == 429
    gate.set()
    assert busy.answer().status == 200


def test_a_request_that_waits_behind_another_of_its_connection_is_left_to_the_platform(
    serve: Serve, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker begins it: the thread that reads has nothing to do with it, and both must not answer."""
    asked: list[str] = []

    def decide(_meta: Any, path: str) -> None:
        asked.append(path)

    def answers(environ: Any, start_response: Any) -> list[bytes]:
        gate.wait(PATIENCE)
        start_response("200 OK", [("Content-Length", "1")])
        return [environ["PATH_INFO"][-1].encode()]

    monkeypatch.setattr(turning_away, "_deciders", [decide])
    caller: Caller = serve(answers).call(request("GET", "/1") + request("GET", "/2"))
    gate.set()
    assert (caller.answer().body, caller.answer().body) == (b"1", b"2")
    assert asked == ["/1"]


def test_what_follows_a_call_that_is_turned_away_is_not_answered(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = TooManyRequests(ErrorCode.ADDRESS_RATE_LIMITED, "no", retry_after=1)
    monkeypatch.setattr(turning_away, "_deciders", [lambda _meta, path: refusal if path == "/1" else None])
    reached: list[str] = []

    def answers(environ: Any, start_response: Any) -> list[bytes]:
        reached.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    caller = serve(answers).call(request("GET", "/1") + request("GET", "/2"))
    assert caller.answer().status == 429
    assert caller.is_closed()
    assert reached == []
