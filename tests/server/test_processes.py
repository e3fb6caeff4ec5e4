"""The server's processes: several answer, one that dies or hangs is replaced, none outlives the first."""

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from partner_platform.server import __main__ as web_server
from partner_platform.server import prefork
from partner_platform.server.prefork import Child, Prefork
from sandbox.servers.ports import LOOPBACK, accepts, free_port
from sandbox.servers.process import Server
from tests.support.process_groups import kill_group
from tests.support.running_sandbox import exists
from tests.support.waiting import eventually

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Server]:
    port = free_port()
    server = Server(
        name="web",
        command=[
            *(sys.executable, "-m", "partner_platform.server", "tests.server.forking_app"),
            *("--bind", f"{LOOPBACK}:{port}", "--processes", "2", "--threads", "2", "--grace", "20"),
        ],
        log=tmp_path / "web.log",
        env={**os.environ, "PORT": str(port)},
        cwd=PROJECT,
        ready=lambda: accepts(port),
    )
    yield server.start()
    kill_group(server)


def ask(web: Server, path: str = "/") -> int:
    """The id of the process that answered."""
    port = (web.env or {})["PORT"]
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=30) as answer:
        return int(answer.read())


def children(web: Server) -> set[int]:
    return {int(pid) for pid in Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text().split()}


@pytest.mark.parametrize(
    ("environment", "arguments", "threads"),
    [({}, [], "32"), ({"WEB_THREADS": "5"}, [], "5"), ({"WEB_THREADS": "5"}, ["--threads", "7"], "7")],
)
def test_the_platform_shares_out_as_many_threads_as_the_server_has(
    environment: dict[str, str], arguments: list[str], threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEB_THREADS", raising=False)
    monkeypatch.setattr(os, "environ", {**os.environ, **environment})

    assert web_server._options(arguments).threads == int(threads)
    with pytest.raises(ModuleNotFoundError):
        web_server.main(["nowhere", *arguments])
    assert os.environ["WEB_THREADS"] == threads


def test_two_processes_answer_and_one_that_is_killed_is_replaced(web: Server) -> None:
    first = eventually(lambda: found if len(found := children(web)) == 2 else None, 20) or set()
    assert ask(web) in first

    for pid in first:
        os.kill(pid, signal.SIGKILL)

    second = eventually(lambda: found if len(found := children(web) - first) == 2 else None, 20) or set()
    assert ask(web) in second
    assert "ended (exit code -9), another one is started" in web.log.read_text()


def test_at_the_end_what_was_begun_is_answered_and_no_process_is_left(web: Server, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(ask, web, f"/wait?{fifo}")
        with fifo.open("w"):  # opens when the application reads from it
            started = children(web)
            assert web.popen is not None
            web.popen.send_signal(signal.SIGTERM)
            eventually(lambda: len(children(web)) < 2, 20)
            assert not answered.done()
            eventually(lambda: not accepts(int((web.env or {})["PORT"])), 5)  # who comes now learns so at once
        assert answered.result(timeout=20) in started
    assert web.popen.wait(20) == 0
    assert not any(exists(pid) for pid in started)


def test_no_process_outlives_the_first_however_that_one_ends(web: Server) -> None:
    started = eventually(lambda: found if len(found := children(web)) == 2 else None, 20) or set()

    web.kill()

    eventually(lambda: not any(exists(pid) for pid in started), 20)


def test_a_process_that_gives_no_sign_of_life_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, Any]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    parent = Prefork(lambda line: None, 2, stop_seconds=1)
    now = time.monotonic()
    lively, hanging = Child(-2, None, heard=now), Child(-3, None, heard=now - prefork.HANG_SECONDS - 1)  # type: ignore[arg-type]
    parent._places = [lively, hanging]

    parent._kill_overdue()

    assert killed == [(-3, signal.SIGKILL)]


def test_a_stop_that_comes_while_processes_are_started_starts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one would never hear of it: it would be killed at the end of the time, and hold up the whole stop."""
    forked: list[int] = []
    passed_on: list[int] = []
    parent = Prefork(lambda line: None, 3, stop_seconds=1)

    def fork() -> int:
        forked.append(-len(forked) - 2)
        parent._pass_on(signal.SIGTERM, None)
        return forked[-1]

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(os, "kill", lambda pid, number: passed_on.append(pid))

    parent._fill()

    assert forked == [-2]
    for child in parent._children():
        child.line.close()
