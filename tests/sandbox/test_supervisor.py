"""Keeping processes alive, and the stream of their logs."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import supervisor as supervisor_module
from sandbox.servers.process import Server, ServerError
from sandbox.supervisor import Supervisor
from sandbox.terminal import Follower, Terminal
from tests.support.waiting import eventually

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def supervisor(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr(supervisor_module, "CHECK_SECONDS", 0.01)
    supervisor = Supervisor(Terminal(screen))
    yield supervisor
    supervisor.stop()


def python(folder: Path, name: str, code: str) -> Server:
    return Server(name=name, command=[sys.executable, "-c", code], log=folder / f"{name}.log")


def test_a_killed_worker_is_started_again(supervisor: Supervisor, screen: io.StringIO, tmp_path: Path) -> None:
    worker = supervisor.add(python(tmp_path, "worker", SLEEP))
    first = worker.pid
    worker.kill()

    supervisor.watch(stopping=lambda: worker.alive)

    assert worker.pid != first
    assert screen.getvalue() == "sandbox| worker ended (exit code -9), starting it again\n"


def test_the_sandbox_ends_with_its_chain_and_says_why(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(python(tmp_path, "anvil", "raise SystemExit('the disk is full')"), vital=True)

    with pytest.raises(ServerError, match=r"anvil ended \(exit code 1\), so the sandbox ends\nthe disk is full"):
        supervisor.watch(stopping=lambda: False)


def test_a_process_that_keeps_dying_is_given_up(supervisor: Supervisor, screen: io.StringIO, tmp_path: Path) -> None:
    supervisor.add(python(tmp_path, "web", "raise SystemExit('no such module')"))

    with pytest.raises(ServerError, match=r"web ended 6 times within a minute"):
        supervisor.watch(stopping=lambda: False)

    assert screen.getvalue().count("starting it again") == 5


def test_stopping_leaves_nothing_behind(supervisor: Supervisor, tmp_path: Path) -> None:
    servers = [
        supervisor.add(python(tmp_path, name, SLEEP), vital=name == "redis") for name in ("redis", "web", "worker")
    ]

    supervisor.stop()

    assert [server.alive for server in servers] == [False, False, False]


def test_new_lines_of_a_log_are_shown_whole_with_the_process_name(screen: io.StringIO, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("before we looked\n")
    follower = Follower(Terminal(screen), {"web": log, "beat": tmp_path / "none.log"}).start()

    with log.open("a") as file:
        file.write("GET / -> 200\nhalf a li")
    eventually(lambda: screen.getvalue() == "web    | GET / -> 200\n")
    with log.open("a") as file:
        file.write("ne\n")
    follower.stop()

    assert screen.getvalue() == "web    | GET / -> 200\nweb    | half a line\n"


def test_a_step_tells_how_it_went(screen: io.StringIO) -> None:
    terminal = Terminal(screen)

    with terminal.step("database"):
        pass
    with pytest.raises(RuntimeError), terminal.step("contracts"):
        raise RuntimeError

    done, failed = screen.getvalue().splitlines()
    assert done.split() == ["ok", "database", "0.0", "s"]
    assert failed.split() == ["fail", "contracts"]
