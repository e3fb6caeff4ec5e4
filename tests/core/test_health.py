"""What anybody may ask without a key costs next to nothing, however often it is asked."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from partner_platform import health

CLIENT = Client()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the dependencies that were looked at."""
    found: list[str] = []
    for name in health.DEPENDENCIES:
        monkeypatch.setattr(health, f"_{name}", lambda name=name: found.append(name))
    monkeypatch.setattr(health, "_borrowing", lambda: "open")
    return found


def test_the_dependencies_are_looked_at_once_a_second(looks: list[str]) -> None:
    answers = [CLIENT.get("/health/ready") for _ in range(100)]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[-1].json() == {
        "status": "ok",
        "database": "ok",
        "redis": "ok",
        "chain": "ok",
        "borrowing": "open",
    }
    assert looks == ["database", "redis", "chain"]
    health.readiness._until = 0.0
    CLIENT.get("/health/ready")
    assert len(looks) == 6


def test_a_dependency_that_hangs_holds_one_thread_and_the_others_get_the_last_states(
    looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    CLIENT.get("/health/ready")
    health.readiness._until = 0.0
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        goes_on.wait(30)
        raise TimeoutError

    monkeypatch.setattr(health, "_chain", hang)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(CLIENT.get, "/health/ready")
        assert hangs.wait(30)
        assert CLIENT.get("/health/ready").status_code == 200
        goes_on.set()
        assert first.result().json()["chain"] == "unavailable: TimeoutError"
    assert CLIENT.get("/health/ready").status_code == 503


def test_a_process_that_is_asked_for_the_first_time_looks_before_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ConnectionError

    for name in health.DEPENDENCIES:
        monkeypatch.setattr(health, f"_{name}", fail)
    told = CLIENT.get("/health/ready").json()
    assert (told["database"], told["borrowing"]) == ("unavailable: ConnectionError", "unknown")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/docs", "/docs/redoc", "/openapi.json", "/health/live"])
def test_pages_and_the_schema_are_made_once_and_ask_no_database(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    CLIENT.get(path)
    rendered: list[str] = []
    monkeypatch.setattr("partner_platform.api_docs.render_to_string", rendered.append)
    with CaptureQueriesContext(connection) as queries:
        assert CLIENT.get(path).status_code == 200
    assert (queries.captured_queries, rendered) == ([], [])
