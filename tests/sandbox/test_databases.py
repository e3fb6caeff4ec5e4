"""The sandbox's database servers, and one engine to a folder. The servers are those of the run's `DB`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from pymongo import MongoClient

from sandbox import databases
from sandbox.folder import Folder, write_env, write_text
from sandbox.servers import postgres
from sandbox.servers.ports import free_port
from sandbox.servers.process import Server, ServerError
from tests.sandbox.test_start import main_with_signals_restored

ENGINE = settings.DB_ENGINE
with_a_server = pytest.mark.skipif(ENGINE == "sqlite", reason="SQLite has no server")


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Folder]:
    # Where PostgreSQL's user may pass; pytest's own folders are closed to it.
    folder = Folder(settings.TEST_FOLDER / request.node.name[:40])
    with folder.lock():
        yield folder


def start(folder: Folder, port: int) -> Server:
    server = databases.server(ENGINE, folder, port)
    assert server is not None
    server.start()
    databases.prepare_server(ENGINE, port)
    return server


def tell(folder: Folder, port: int, number: int) -> None:
    """One answered write."""
    url = databases.database_url(ENGINE, folder, port)
    if ENGINE == "postgres":
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS told (number integer)")
            connection.execute("INSERT INTO told VALUES (%s)", [number])
    else:
        client: Any
        with MongoClient(url, w="majority") as client:
            client.get_default_database().told.insert_one({"number": number})


def told(folder: Folder, port: int) -> list[int]:
    url = databases.database_url(ENGINE, folder, port)
    if ENGINE == "postgres":
        with psycopg.connect(url) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM told ORDER BY number")]
    client: Any
    with MongoClient(url) as client:
        return sorted(row["number"] for row in client.get_default_database().told.find())


@with_a_server
def test_what_a_server_answered_is_there_after_a_kill_and_a_stop_and_on_another_port(folder: Folder) -> None:
    first, second = free_port(), free_port()
    server = start(folder, first)
    tell(folder, first, 1)
    server.kill()

    databases.wait_for_predecessors(folder)
    server = start(folder, first)
    tell(folder, first, 2)
    server.stop()
    assert server.popen is not None
    assert server.popen.returncode == 0
    server = start(folder, second)

    assert told(folder, second) == [1, 2]
    tell(folder, second, 3)
    assert told(folder, second) == [1, 2, 3]
    server.stop()


@with_a_server
def test_a_server_that_is_still_ending_is_waited_for(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "PREDECESSOR_SECONDS", 0.2)
    server = start(folder, free_port())

    with pytest.raises(ServerError, match=f"the last run's {ENGINE} ended: not after 0.2 s"):
        databases.wait_for_predecessors(folder)

    server.stop()
    databases.wait_for_predecessors(folder)


@pytest.mark.parametrize(("kept", "wanted"), [("sqlite", "postgres"), ("mongodb", "sqlite")])
def test_a_folder_stays_with_its_engine_and_says_how_to_begin_anew(
    kept: str, wanted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Folder(tmp_path / "sandbox")
    old.root.mkdir()
    write_env(old.env, {"SANDBOX_DB": kept, "DATABASE_URL": "what it was"})
    write_text(old.prepared, "for this code")

    code = main_with_signals_restored(["--folder", str(old.root), "--port", "0", "--db", wanted])

    assert code == 1
    screen = capsys.readouterr().out
    assert f"is in {databases.TITLES[kept]}, and its chain belongs to it" in screen
    assert f"`make sandbox DB={kept}`" in screen
    assert f'`make sandbox DB={wanted} ARGS="--fresh"`' in screen
    assert "DATABASE_URL=what it was\n" in old.env.read_text()
    assert not old.chain.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="everybody else runs PostgreSQL as themselves")
def test_root_is_told_which_folder_is_closed_to_the_user_that_postgresql_runs_as(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    tmp_path.chmod(0o711)

    with pytest.raises(ServerError, match=r"who may not pass through .*: run this as an ordinary user"):
        postgres.postgres(port=free_port(), folder=closed / "postgres")

    assert not (closed / "postgres" / "data").exists()
